package etcd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// For every page etcd counts all keys that are still to come, so small pages make a full read quadratic: 300,000 routes of 600
// bytes took 13 s with 512 keys a page, and take 2 s with pages that grow until they are as large as an answer should be.
const (
	pageSize  = 512      // keys of the first page
	pageMost  = 16384    // keys of any page
	pageBytes = 4 << 20  // a page below this lets the next one be twice as long
	pageHeavy = 16 << 20 // a page above this halves the next one; values may be up to 1.5 MiB each
)

// nextPage returns how many keys to ask for after a page of so many bytes.
func nextPage(page, bytes int) int {
	switch {
	case bytes < pageBytes:
		return min(2*page, max(page, pageMost))
	case bytes > pageHeavy:
		return max(page/2, 1)
	}
	return page
}

// span is the half-open range of keys [start, end).
type span struct{ start, end string }

// under returns the range of all keys that begin with prefix, which is not empty.
func under(prefix string) span { return span{prefix, clientv3.GetPrefixRangeEnd(prefix)} }

// scan reads a range in the order of keys, up to limit of them (0 = all), page by page, the first of so many keys, and all at one
// revision: that of the header it returns. The first page is a linearizable read: it sees every write that was acknowledged before.
func scan(ctx context.Context, conn *connection, keys span, limit, page int) ([]*mvccpb.KeyValue, *etcdserverpb.ResponseHeader, error) {
	for tries := 3; ; tries-- {
		kvs, header, err := scanOnce(ctx, conn, keys, limit, page)
		// A compaction overtook the pages that were still to come: only a new revision can be read whole.
		if errors.Is(err, rpctypes.ErrCompacted) && tries > 1 {
			continue
		}
		return kvs, header, err
	}
}

func scanOnce(ctx context.Context, conn *connection, keys span, limit, page int) ([]*mvccpb.KeyValue, *etcdserverpb.ResponseHeader, error) {
	var kvs []*mvccpb.KeyValue
	var first *etcdserverpb.ResponseHeader
	err := eachPage(ctx, conn, keys, limit, page, nil, func(header *etcdserverpb.ResponseHeader, read []*mvccpb.KeyValue) {
		first = header
		kvs = append(kvs, read...)
	})
	if err != nil {
		return nil, nil, err
	}
	return kvs, first, nil
}

// eachPage is scan for who needs no more than a page at a time. header is the first page's at each call. A compaction ends it.
func eachPage(ctx context.Context, conn *connection, keys span, limit, page int, more []clientv3.OpOption,
	visit func(header *etcdserverpb.ResponseHeader, kvs []*mvccpb.KeyValue)) error {
	var header *etcdserverpb.ResponseHeader
	for start, read := keys.start, 0; ; {
		want := page
		if limit > 0 {
			want = min(want, limit-read)
		}
		options := append([]clientv3.OpOption{clientv3.WithRange(keys.end), clientv3.WithLimit(int64(want)),
			clientv3.WithSort(clientv3.SortByKey, clientv3.SortAscend)}, more...)
		if header != nil {
			options = append(options, clientv3.WithRev(header.Revision))
		}
		answer, err := get(ctx, conn, start, options)
		if err != nil {
			return err
		}
		if header == nil {
			header = answer.Header
		}
		visit(header, answer.Kvs)
		read += len(answer.Kvs)
		if !answer.More || limit > 0 && read >= limit {
			return nil
		}
		bytes := 0
		for _, kv := range answer.Kvs {
			bytes += len(kv.Key) + len(kv.Value)
		}
		page = nextPage(page, bytes)
		start = string(answer.Kvs[len(answer.Kvs)-1].Key) + "\x00"
	}
}

// get is one read with its own timeout, for reads that are made of many.
func get(ctx context.Context, conn *connection, key string, options []clientv3.OpOption) (*clientv3.GetResponse, error) {
	limited, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	answer, err := conn.Get(limited, key, options...)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		conn.owner.sift()
		// The client says no more than that time was up; whether there was a connection is what an operator asks first.
		err = fmt.Errorf("no answer from %s within %v, the connection is %s: %w",
			strings.Join(conn.Endpoints(), ", "), requestTimeout, strings.ToLower(conn.ActiveConnection().GetState().String()), err)
	}
	return answer, err
}
