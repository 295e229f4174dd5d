package etcd

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"sluice/control"
)

// How much one transaction may hold. The embedded server is started with these bounds; another one has what its operator gave it, by default 128 operations
// and 1.5 MiB, and refuses what is more.
const (
	maxOps     = 16384    // writes, or guards; a revision with so many events is one message of the watch
	maxRequest = 10 << 20 // bytes; beyond that etcd itself advises against it, since a member is silent while it writes one
)

var errUnguarded = errors.New("etcd: a write of a transaction must say what it writes over")

// Commit implements control.Store.
func (s *Store) Commit(ctx context.Context, ops []control.Op, guarding ...control.Guard) (int64, error) {
	conditions, writes, err := s.transaction(ops)
	if err != nil {
		return 0, err
	}
	for _, g := range guarding {
		prefix := s.client.cfg.Prefix + g.Prefix
		conditions = append(conditions, clientv3.Compare(clientv3.ModRevision(prefix), "<", g.Revision+1).WithPrefix())
	}
	var answer *clientv3.TxnResponse
	what := fmt.Sprintf("commit of %d changes", len(ops))
	err = s.client.keys(ctx, what, func(ctx context.Context, keys clientv3.KV) (err error) {
		answer, err = keys.Txn(ctx).If(conditions...).Then(writes...).Commit()
		return err
	})
	switch {
	case tooLarge(err):
		return 0, fmt.Errorf("etcd: %s: %w (%w)", what, control.ErrTooLarge, err)
	case err != nil:
		return 0, err
	case !answer.Succeeded:
		return 0, control.ErrConflict
	}
	return answer.Header.Revision, nil
}

// transaction turns writes into what etcd compares and what it does then.
func (s *Store) transaction(ops []control.Op) (conditions []clientv3.Cmp, writes []clientv3.Op, err error) {
	for _, op := range ops {
		key := s.client.cfg.Prefix + op.Key
		only := guards(key, op.If)
		switch {
		case op.Key == "":
			return nil, nil, errNoKey
		case len(only) != 1:
			return nil, nil, fmt.Errorf("%w: %s", errUnguarded, op.Key)
		case op.Value == nil:
			writes = append(writes, clientv3.OpDelete(key))
		case op.If.Absent:
			writes = append(writes, clientv3.OpPut(key, string(op.Value)))
		default:
			// The guard says that the key exists, so it can keep its lease: an edit of a registered node must not outlive the node.
			writes = append(writes, clientv3.OpPut(key, string(op.Value), clientv3.WithIgnoreLease()))
		}
		conditions = append(conditions, only...)
	}
	return conditions, writes, nil
}

// tooLarge reports whether a request was refused for its size: by the server or, with a code that the server's own errors have for other reasons, by the
// client library.
func tooLarge(err error) bool {
	var known rpctypes.EtcdError
	if errors.As(err, &known) {
		return errors.Is(err, rpctypes.ErrTooManyOps) || errors.Is(err, rpctypes.ErrRequestTooLarge)
	}
	return status.Code(err) == codes.ResourceExhausted
}

// Latest implements control.Store. etcd reads all of the prefix for it: it is for prefixes that are kept small.
func (s *Store) Latest(ctx context.Context, prefix string, before int64, limit int) ([]control.Entry, int64, error) {
	options := []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithSort(clientv3.SortByModRevision, clientv3.SortDescend), clientv3.WithLimit(int64(limit))}
	if before > 0 {
		options = append(options, clientv3.WithMaxModRev(before-1))
	}
	var answer *clientv3.GetResponse
	err := s.client.keys(ctx, "list "+prefix, func(ctx context.Context, keys clientv3.KV) (err error) {
		answer, err = keys.Get(ctx, s.client.cfg.Prefix+prefix, options...)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	entries := make([]control.Entry, len(answer.Kvs))
	for i, kv := range answer.Kvs {
		entries[i] = s.entry(kv)
	}
	return entries, answer.Header.Revision, nil
}
