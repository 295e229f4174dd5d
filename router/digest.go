package router

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
)

// Digest returns a hash of what the trees hold, worked out by a walk over all of them: it costs time in proportion to the
// number of rules. Tables with equal rules have equal digests, however they came to be; so a table that grew by many changes
// can be checked against one built anew. When and Value are seen through Rule.Stamp only.
func (t *Table[T]) Digest() uint64 {
	d := digest{hash: xxhash.New()}
	t.ids.each(nil, func(id []byte, r *Rule[T]) bool {
		d.text(string(id))
		d.number(r.Stamp)
		return true
	})
	t.hosts.each(nil, func(host []byte, tree *paths[T]) bool {
		d.mark('h')
		d.text(string(host))
		addPaths(&d, tree)
		d.mark('.')
		return true
	})
	return d.hash.Sum64()
}

// digest writes values so that no two sequences of them give the same bytes.
type digest struct {
	hash    *xxhash.Digest
	scratch [8]byte
}

func (d *digest) mark(c byte) { d.hash.Write(append(d.scratch[:0], c)) }

func (d *digest) number(n uint64) { d.hash.Write(binary.LittleEndian.AppendUint64(d.scratch[:0], n)) }

func (d *digest) text(s string) {
	d.number(uint64(len(s)))
	d.hash.WriteString(s)
}

func addPaths[T any](d *digest, tree *paths[T]) {
	tree.each(nil, func(run []byte, j *junction[T]) bool {
		d.mark('r')
		d.text(string(run))
		addLeaf(d, '=', j.here)
		if j.param != nil {
			d.mark(':')
			addPaths(d, j.param)
			d.mark('.')
		}
		addLeaf(d, '*', j.rest)
		return true
	})
}

func addLeaf[T any](d *digest, kind byte, l leaf[T]) {
	for _, e := range l {
		r := e.rule
		d.mark(kind)
		d.text(r.ID)
		d.number(uint64(r.Priority))
		d.number(r.Stamp)
		if r.When != nil {
			d.mark('?')
		}
		var methods uint64 // a sum, as their order means nothing
		for _, m := range r.Methods {
			methods += xxhash.Sum64String(m)
		}
		d.number(methods)
		if e.pattern != nil {
			d.number(uint64(len(e.pattern.names)))
			for _, name := range e.pattern.names {
				d.text(name)
			}
		}
	}
}
