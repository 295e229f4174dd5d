package etcd

import (
	"cmp"
	"context"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"sluice/control"
)

// resync reads everything at one revision and hands on what differs from what the sink has; the first time, all of it.
func (s *Source) resync(ctx context.Context, conn *connection, reason string) error {
	begin := time.Now()
	kvs, header, err := scan(ctx, conn, under(s.client.cfg.Prefix), 0, s.options.PageSize)
	if err != nil {
		return err
	}
	read := time.Now()
	first := s.known.versions == nil
	back := header.Revision < s.cursor
	changes, known := s.difference(kvs, header)
	if first || back || len(changes) > 0 {
		s.sink.Apply(control.Batch{Revision: header.Revision, Full: first, Changes: changes})
	}
	s.known, s.cursor, s.cluster, s.auditOwed = known, header.Revision, header.ClusterId, false
	s.note(func(st *Status) {
		if st.Resyncs == nil {
			st.Resyncs = make(map[string]uint64)
		}
		st.Resyncs[reason]++
		st.Revision, st.LastContact, st.Read = s.cursor, time.Now(), true
	})
	s.options.Log.Info("etcd: everything was read", "reason", reason, "revision", header.Revision, "resources", len(known.versions), "changes", len(changes),
		"read_in", read.Sub(begin).Round(time.Microsecond).String(), "applied_in", time.Since(read).Round(time.Microsecond).String())
	return nil
}

// difference compares what was read with what the sink has. It returns the changes, removals first and each kind in the order of
// keys, and what the sink will have with them.
func (s *Source) difference(kvs []*mvccpb.KeyValue, header *etcdserverpb.ResponseHeader) ([]control.Change, ledger) {
	known := newLedger(s.known.seed, len(kvs))
	var puts, removals []control.Change
	for _, kv := range kvs {
		key, ok := relative(s.client.cfg.Prefix, kv.Key)
		if !ok {
			continue
		}
		entry := control.Entry{Key: key, Value: kv.Value, ModRevision: kv.ModRevision}
		v := known.version(&entry)
		known.put(key, v)
		known.lease(key, kv.Lease)
		if had, ok := s.known.versions[key]; !ok || had != v {
			puts = append(puts, control.Change{Entry: entry, Lease: kv.Lease})
		}
	}
	for key := range s.known.versions {
		if _, ok := known.versions[key]; !ok {
			gone := control.Entry{Key: key, ModRevision: header.Revision}
			removals = append(removals, control.Change{Entry: gone, Deleted: true, Lease: s.known.leases[key]})
		}
	}
	slices.SortFunc(removals, func(a, b control.Change) int { return cmp.Compare(a.Key, b.Key) })
	return append(removals, puts...), known
}
