package etcd

import (
	"cmp"
	"context"
	"hash/maphash"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"sluice/control"
)

// resync reads everything at one revision and hands on what differs from what the sink has; the first time, all of it.
func (s *Source) resync(ctx context.Context, conn *connection, reason string) error {
	kvs, header, err := scan(ctx, conn, under(s.client.cfg.Prefix), 0, s.options.PageSize)
	if err != nil {
		return err
	}
	first := s.known == nil
	back := header.Revision < s.cursor
	changes, known := s.difference(kvs, header)
	if first || back || len(changes) > 0 {
		s.sink.Apply(control.Batch{Revision: header.Revision, Full: first, Changes: changes})
	}
	s.known, s.cursor, s.cluster = known, header.Revision, header.ClusterId
	s.note(func(st *Status) {
		if st.Resyncs == nil {
			st.Resyncs = make(map[string]uint64)
		}
		st.Resyncs[reason]++
		st.Revision, st.LastContact, st.Read = s.cursor, time.Now(), true
	})
	s.options.Log.Info("etcd: everything was read", "reason", reason, "revision", header.Revision, "resources", len(known), "changes", len(changes))
	return nil
}

// difference compares what was read with what the sink has. It returns the changes, removals first and each kind in the order of
// keys, and what the sink will have with them.
func (s *Source) difference(kvs []*mvccpb.KeyValue, header *etcdserverpb.ResponseHeader) ([]control.Change, map[string]version) {
	known := make(map[string]version, len(kvs))
	var puts, removals []control.Change
	for _, kv := range kvs {
		key, ok := s.relative(kv.Key)
		if !ok {
			continue
		}
		entry := control.Entry{Key: key, Value: kv.Value, ModRevision: kv.ModRevision}
		known[key] = s.version(entry)
		if had, ok := s.known[key]; !ok || had != known[key] {
			puts = append(puts, control.Change{Entry: entry})
		}
	}
	for key := range s.known {
		if _, ok := known[key]; !ok {
			removals = append(removals, control.Change{Entry: control.Entry{Key: key, ModRevision: header.Revision}, Deleted: true})
		}
	}
	slices.SortFunc(removals, func(a, b control.Change) int { return cmp.Compare(a.Key, b.Key) })
	return append(removals, puts...), known
}

// version returns what a state of a key is recognised by.
func (s *Source) version(e control.Entry) version {
	return version{revision: e.ModRevision, sum: maphash.Bytes(s.seed, e.Value)}
}
