package etcd

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"sluice/control"
)

// Store keeps resources as keys below the prefix of its client. Its reads are linearizable. A write that fails with
// control.ErrUnavailable may still have been done, or may be done a moment later: whoever needs to know reads again.
type Store struct {
	client *Client
}

var _ control.Store = (*Store)(nil)

// NewStore returns the store behind client.
func NewStore(client *Client) *Store { return &Store{client: client} }

var errNoKey = errors.New("etcd: a key must not be empty")

// maxValue is the most for one key: what any etcd takes unless its operator has changed that, 1.5 MiB for a whole request, less some room for the key and the
// guards. A store must not hold what it could not be moved with.
const maxValue = 3<<19 - 16<<10

// Get implements control.Store.
func (s *Store) Get(ctx context.Context, key string) (control.Entry, error) {
	if key == "" {
		return control.Entry{}, errNoKey
	}
	var answer *clientv3.GetResponse
	err := s.client.keys(ctx, "get "+key, func(ctx context.Context, keys clientv3.KV) (err error) {
		answer, err = keys.Get(ctx, s.client.cfg.Prefix+key)
		return err
	})
	if err != nil {
		return control.Entry{}, err
	}
	if len(answer.Kvs) == 0 {
		return control.Entry{}, control.ErrNotFound
	}
	return s.entry(answer.Kvs[0]), nil
}

// entry is a key as etcd has it.
func (s *Store) entry(kv *mvccpb.KeyValue) control.Entry {
	return control.Entry{Key: string(kv.Key[len(s.client.cfg.Prefix):]), Value: kv.Value, ModRevision: kv.ModRevision, Leased: kv.Lease != 0}
}

// List implements control.Store. However many pages it takes, all entries are of the one revision that is returned.
func (s *Store) List(ctx context.Context, prefix, after string, limit int) ([]control.Entry, int64, error) {
	root := s.client.cfg.Prefix
	keys := under(root + prefix)
	keys.start = max(keys.start, root+after+"\x00")
	if after == "" {
		keys.start = root + prefix
	}
	var entries []control.Entry
	var revision int64
	err := s.client.do(ctx, "list "+prefix, listTimeout, func(ctx context.Context, conn *connection) error {
		kvs, header, err := scan(ctx, conn, keys, limit, pageSize)
		if err != nil {
			return err
		}
		entries, revision = make([]control.Entry, len(kvs)), header.Revision
		for i, kv := range kvs {
			entries[i] = s.entry(kv)
		}
		return nil
	})
	return entries, revision, err
}

// Put implements control.Store. A key that is under a lease stays under it: an edit of a registered node must not outlive the node.
func (s *Store) Put(ctx context.Context, key string, value []byte, cond control.Precondition) (int64, error) {
	if key == "" {
		return 0, errNoKey
	}
	if len(value) > maxValue {
		return 0, fmt.Errorf("etcd: put %s: a value of %d bytes: etcd takes about 1.5 MiB", key, len(value))
	}
	var revision int64
	err := s.client.keys(ctx, "put "+key, func(ctx context.Context, keys clientv3.KV) (err error) {
		revision, err = write(ctx, keys, s.client.cfg.Prefix+key, string(value), cond)
		return err
	})
	if err != nil {
		return 0, err
	}
	if revision == 0 {
		return 0, control.ErrConflict
	}
	return revision, nil
}

// write changes a key and keeps its lease, or creates it, and returns the revision, 0 where cond does not hold. Only a key that
// exists can keep its lease, so the two are different requests. Both in one transaction would need the value twice, which would
// halve how large it may be.
func write(ctx context.Context, keys clientv3.KV, key, value string, cond control.Precondition) (int64, error) {
	for {
		if !cond.Absent {
			exists := clientv3.Compare(clientv3.CreateRevision(key), ">", 0)
			answer, err := keys.Txn(ctx).If(append(guards(key, cond), exists)...).Then(clientv3.OpPut(key, value, clientv3.WithIgnoreLease())).
				Else(clientv3.OpGet(key, clientv3.WithCountOnly())).Commit()
			if err != nil {
				return 0, err
			}
			if answer.Succeeded {
				return answer.Header.Revision, nil
			}
			if cond.Revision != 0 || answer.Responses[0].GetResponseRange().Count > 0 {
				return 0, nil
			}
		}
		create := append(guards(key, cond), clientv3.Compare(clientv3.CreateRevision(key), "=", 0))
		answer, err := keys.Txn(ctx).If(create...).Then(clientv3.OpPut(key, value)).Commit()
		if err != nil {
			return 0, err
		}
		if answer.Succeeded {
			return answer.Header.Revision, nil
		}
		if cond.Absent {
			return 0, nil
		}
		// Somebody created it in between: then it is a change after all. If somebody keeps creating and removing it, ctx ends this.
	}
}

// Delete implements control.Store.
func (s *Store) Delete(ctx context.Context, key string, cond control.Precondition) (int64, error) {
	if key == "" {
		return 0, errNoKey
	}
	full := s.client.cfg.Prefix + key
	// That the key exists is a guard of its own, so that nothing is written, and no revision used up, where there is nothing to delete.
	conditions := append(guards(full, cond), clientv3.Compare(clientv3.CreateRevision(full), ">", 0))
	var answer *clientv3.TxnResponse
	err := s.client.keys(ctx, "delete "+key, func(ctx context.Context, keys clientv3.KV) (err error) {
		answer, err = keys.Txn(ctx).If(conditions...).Then(clientv3.OpDelete(full)).Else(clientv3.OpGet(full, clientv3.WithCountOnly())).Commit()
		return err
	})
	switch {
	case err != nil:
		return 0, err
	case answer.Succeeded:
		return answer.Header.Revision, nil
	case answer.Responses[0].GetResponseRange().Count == 0:
		return 0, control.ErrNotFound
	}
	return 0, control.ErrConflict
}

// guards turns a precondition into what etcd compares in the same transaction as the write.
func guards(key string, cond control.Precondition) []clientv3.Cmp {
	var out []clientv3.Cmp
	if cond.Revision != 0 {
		out = append(out, clientv3.Compare(clientv3.ModRevision(key), "=", cond.Revision))
	}
	if cond.Absent {
		out = append(out, clientv3.Compare(clientv3.CreateRevision(key), "=", 0))
	}
	return out
}
