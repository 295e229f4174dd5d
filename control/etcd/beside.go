package etcd

import (
	"context"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/pkg/v3/traceutil"
	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3rpc"
	"go.etcd.io/etcd/server/v3/proxy/grpcproxy/adapter"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
)

// A client in the process of the server reads, writes and watches keys by calls of functions: by the socket each of them would cost turns through gRPC, which is
// more than all else that a write costs. Leases and lists, which are few, go through the socket, and so does everything once the server stops.

// besideKV is the keys of a server in this process.
type besideKV struct {
	clientv3.KV
	server *etcdserver.EtcdServer
}

// newBesideKV returns the keys of a server.
func newBesideKV(server *etcdserver.EtcdServer) besideKV {
	calls := adapter.KvServerToKvClient(v3rpc.NewQuotaKVServer(server))
	return besideKV{clientv3.NewKVFromKVClient(calls, clientv3.NewCtxClient(context.Background())), server}
}

// Get reads what the server has applied. It is the only member of its cluster and acknowledges nothing before it has applied it, so that this is a linearizable
// read, without the question to itself whether it still leads.
func (b besideKV) Get(ctx context.Context, key string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	if len(opts) == 0 {
		return b.one(ctx, key)
	}
	return b.KV.Get(ctx, key, append(opts, clientv3.WithSerializable())...)
}

// one reads one key. Unlike a read of many it keeps writers out for as long as it takes, a microsecond or two, in place of a copy of all that was written lately.
func (b besideKV) one(ctx context.Context, key string) (*clientv3.GetResponse, error) {
	view := b.server.KV().Read(mvcc.SharedBufReadTxMode, traceutil.TODO())
	defer view.End()
	found, err := view.Range(ctx, []byte(key), nil, mvcc.RangeOptions{})
	if err != nil {
		return nil, err
	}
	header := &etcdserverpb.ResponseHeader{ClusterId: uint64(b.server.Cluster().ID()), Revision: found.Rev}
	answer := &etcdserverpb.RangeResponse{Header: header, Kvs: found.KVs, Count: int64(found.Count)}
	return (*clientv3.GetResponse)(answer), nil
}

// watching is where a watch is kept: on a connection, or on a server in this process.
type watching struct {
	clientv3.Watcher
	links *links          // what becomes of the connection; of a server in this process nothing
	ended <-chan struct{} // closed when the watch has to end for the server's stop; nil = never
	leave func()          // is called once the watch has ended
}

// watching returns where a watch is to be kept now.
func (c *Client) watching(conn *connection) watching {
	s := c.beside.Load()
	if s == nil || !s.visitors.enter() {
		return watching{Watcher: conn, links: conn.links, leave: func() {}}
	}
	calls := adapter.WatchServerToWatchClient(v3rpc.NewWatchServer(s.etcd.Server))
	w := clientv3.NewWatchFromWatchClient(calls, clientv3.NewCtxClient(context.Background()))
	return watching{Watcher: w, links: newLinks(), ended: s.visitors.closing, leave: func() {
		w.Close()
		s.visitors.leave()
	}}
}

// nearer reports whether a watch on a connection could be kept without it by now.
func (w watching) nearer(c *Client) bool {
	s := c.beside.Load()
	if w.ended != nil || s == nil || !s.visitors.enter() {
		return false
	}
	s.visitors.leave()
	return true
}

// visitors are the calls that are in a server without a connection, which would hold up its stop.
type visitors struct {
	mu      sync.Mutex // guards the next two
	inside  int
	closed  bool
	closing chan struct{} // closed by shut
	left    chan struct{} // closed with the last of them after shut
}

func newVisitors() *visitors {
	return &visitors{closing: make(chan struct{}), left: make(chan struct{})}
}

// enter reports whether one more may come in. Each that does leaves.
func (v *visitors) enter() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return false
	}
	v.inside++
	return true
}

func (v *visitors) leave() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.inside--; v.closed && v.inside == 0 {
		close(v.left)
	}
}

// shut lets nobody in any more.
func (v *visitors) shut() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return
	}
	v.closed = true
	close(v.closing)
	if v.inside == 0 {
		close(v.left)
	}
}

// wait waits after shut for those inside, but not longer than patience.
func (v *visitors) wait(patience time.Duration) {
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case <-v.left:
	case <-limit.C:
	}
}
