package etcd

import (
	"context"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3rpc"
	"go.etcd.io/etcd/server/v3/proxy/grpcproxy/adapter"
)

// A client in the process of the server reads and writes keys by calls of functions: by the socket each would cost two turns through gRPC, which is more
// than all else that a write costs. Watches and leases, which are few, go through the socket, and so does everything once the server stops.

// besideKV is the keys of a server in this process.
type besideKV struct{ clientv3.KV }

// newBesideKV returns the keys of a server.
func newBesideKV(server *etcdserver.EtcdServer) besideKV {
	calls := adapter.KvServerToKvClient(v3rpc.NewQuotaKVServer(server))
	return besideKV{clientv3.NewKVFromKVClient(calls, clientv3.NewCtxClient(context.Background()))}
}

// Get reads what the server has applied. It is the only member of its cluster and acknowledges nothing before it has applied it, so that this is a linearizable
// read, without the question to itself whether it still leads.
func (b besideKV) Get(ctx context.Context, key string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	return b.KV.Get(ctx, key, append(opts, clientv3.WithSerializable())...)
}

// visitors are the calls that are in a server without a connection, which would hold up its stop.
type visitors struct {
	mu     sync.Mutex // guards the rest
	inside int
	closed bool
	left   chan struct{} // closed with the last of them after close
}

func newVisitors() *visitors { return &visitors{left: make(chan struct{})} }

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

// close lets nobody in any more, and waits for those inside, but not longer than patience. It is called once.
func (v *visitors) close(patience time.Duration) {
	v.mu.Lock()
	v.closed = true
	if v.inside == 0 {
		close(v.left)
	}
	v.mu.Unlock()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case <-v.left:
	case <-limit.C:
	}
}
