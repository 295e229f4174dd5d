package etcd

import (
	"encoding/binary"
	"hash/maphash"

	"sluice/control"
)

// version tells two states of a key apart. The revision alone does not when a cluster was restored from a backup: it counts
// the same numbers once more, for other values.
type version struct {
	revision int64
	sum      uint64
}

// sums stand for all keys and their versions, whatever the order: two ledgers with the same sums hold the same. They are kept up to date at
// each change, so that an audit costs the watch nothing.
type sums struct {
	keys   uint64 // of keys and revisions
	values uint64 // of keys, revisions and values
}

// ledger is what the watch has told up to the cursor: each key in which version.
type ledger struct {
	seed     maphash.Seed
	versions map[string]version // nil: nothing yet, not even that there is nothing
	leases   map[string]int64   // of the keys that are under one
	sums     sums
}

func newLedger(seed maphash.Seed, size int) ledger {
	return ledger{seed: seed, versions: make(map[string]version, size), leases: make(map[string]int64)}
}

// version returns what a state of a key is recognised by.
func (l *ledger) version(e *control.Entry) version {
	return version{revision: e.ModRevision, sum: maphash.Bytes(l.seed, e.Value)}
}

// put notes a version and reports whether the key was there before.
func (l *ledger) put(key string, v version) bool {
	had := l.remove(key)
	l.versions[key] = v
	l.sums.add(l.mark(key, v))
	return had
}

// lease notes the lease of a key; 0 is none. It is no part of a version: a key that goes from one lease to another is the same.
func (l *ledger) lease(key string, id int64) {
	if id == 0 {
		delete(l.leases, key)
		return
	}
	l.leases[key] = id
}

// remove forgets a key and reports whether it was there.
func (l *ledger) remove(key string) bool {
	v, had := l.versions[key]
	if had {
		delete(l.versions, key)
		delete(l.leases, key)
		l.sums.subtract(l.mark(key, v))
	}
	return had
}

// mark returns the part of the sums that a key has.
func (l *ledger) mark(key string, v version) sums {
	var h maphash.Hash
	var number [8]byte
	h.SetSeed(l.seed)
	_, _ = h.WriteString(key) // a hash takes everything
	_, _ = h.Write(binary.LittleEndian.AppendUint64(number[:0], uint64(v.revision)))
	keys := h.Sum64()
	_, _ = h.Write(binary.LittleEndian.AppendUint64(number[:0], v.sum))
	return sums{keys, h.Sum64()}
}

func (s *sums) add(o sums)      { s.keys, s.values = s.keys+o.keys, s.values+o.values }
func (s *sums) subtract(o sums) { s.keys, s.values = s.keys-o.keys, s.values-o.values }

// trail is the sums at each revision since an audit began: that reads at a revision which the watch may have passed before the reading is over.
type trail struct {
	on    bool
	marks []trailMark
}

type trailMark struct {
	revision int64
	sums     sums
}

// maxTrail bounds a trail: by far more revisions than pass until the first page of an audit has come and the watch has reached its revision.
const maxTrail = 1 << 16

// note adds the state at a revision.
func (t *trail) note(revision int64, s sums) {
	if t.on && len(t.marks) < maxTrail {
		t.marks = append(t.marks, trailMark{revision, s})
	}
}

// at returns the sums at a revision that the watch has reached, and false where that is not known.
func (t *trail) at(revision int64) (found sums, ok bool) {
	if len(t.marks) == maxTrail && t.marks[maxTrail-1].revision <= revision {
		return sums{}, false // what came after the last mark is not known
	}
	for _, m := range t.marks {
		if m.revision > revision {
			break
		}
		found, ok = m.sums, true
	}
	return found, ok
}
