// Package register keeps a service's node registered while the service runs, so that gateways find it and lose it in time.
//
// A node is one key in etcd under a lease. The lease ends some seconds after whoever registered the node is gone, and the key with it:
//
//	         grant, put                  ctx ends              drained
//	outside ───────────► registered ───────────────► leaving ──────────► outside: revoke
//	   ▲                     │ renewed every TTL/3    weight 0
//	   └─────────────────────┘ lost: the lease is gone, or could not be renewed for a TTL
//
// A lease that is lost is never renewed again, since etcd knows it no more: there is a new one, and the node is put under that. Nodes that
// lose their leases together, as by an outage of etcd, come back at times that chance spreads.
//
// In a service:
//
//	node := register.Node{Service: "orders", Upstream: "10.0.0.7:8080"}
//	r, err := register.New(etcdClient, node, register.Options{Drain: server.Shutdown})
//	…
//	err = r.Run(ctx) // returns once ctx has ended and the node is out
//
// The package needs an etcd client and nothing else of the gateway.
package register

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"sluice/internal/nodeid"
)

// Client is what the package needs of etcd: a *clientv3.Client has it.
type Client interface {
	Grant(ctx context.Context, ttl int64) (*clientv3.LeaseGrantResponse, error)
	KeepAliveOnce(ctx context.Context, id clientv3.LeaseID) (*clientv3.LeaseKeepAliveResponse, error)
	TimeToLive(ctx context.Context, id clientv3.LeaseID, opts ...clientv3.LeaseOption) (*clientv3.LeaseTimeToLiveResponse, error)
	Revoke(ctx context.Context, id clientv3.LeaseID) (*clientv3.LeaseRevokeResponse, error)
	Put(ctx context.Context, key, value string, opts ...clientv3.OpOption) (*clientv3.PutResponse, error)
}

var _ Client = (*clientv3.Client)(nil)

// Node is what is registered.
type Node struct {
	Service  string            // which gateways know it by
	Upstream string            // host:port at which they reach it
	Weight   int               // share of the traffic; 0 means 1, since nobody registers a node to be given nothing
	Metadata map[string]string // for people and other tools; may be nil
}

// Options are how a node is registered. The zero value of each means its default.
type Options struct {
	Prefix string        // of the gateways' store; "/sluice/"
	TTL    time.Duration // of the lease, whole seconds: how long a node that died is still asked; 15 s

	// Drain is called when the node is to go, with its weight at 0: no gateway sends it a new request. It returns once what is in flight is done, and
	// the node is taken out then; the lease is kept meanwhile. Its context is not bounded. nil = take it out at once.
	Drain func(context.Context) error

	Log *slog.Logger // what an operator should know, once when the registration is lost and once when it is back; nil = slog.Default()

	renew time.Duration // between two renewals; a third of TTL
}

// DefaultTTL is long enough for two renewals to fail and the third to do, and short enough for retries to cover what a dead node is asked meanwhile.
const DefaultTTL = 15 * time.Second

const (
	callTimeout  = 3 * time.Second // one call to etcd
	leaveTimeout = 3 * time.Second // saying that the node goes, and saying that it is gone: a service that stops must not wait for etcd
	checkEvery   = 3               // renewals between two looks at whether the key is there: once a TTL
)

// Registration is one node. Run it once.
type Registration struct {
	client     Client
	node       Node
	options    Options
	key        string
	registered chan struct{}
}

// New returns a registration that has not begun.
func New(client Client, node Node, options Options) (*Registration, error) {
	if node.Weight == 0 {
		node.Weight = 1
	}
	if options.Prefix == "" {
		options.Prefix = "/sluice/"
	}
	if options.TTL == 0 {
		options.TTL = DefaultTTL
	}
	if options.Log == nil {
		options.Log = slog.Default()
	}
	if options.renew == 0 {
		options.renew = options.TTL / 3
	}
	if err := check(node, options); err != nil {
		return nil, err
	}
	key := options.Prefix + nodeid.Folder + nodeid.Of(node.Service, node.Upstream)
	return &Registration{client: client, node: node, options: options, key: key, registered: make(chan struct{})}, nil
}

func check(n Node, o Options) error {
	_, port, err := net.SplitHostPort(n.Upstream)
	switch {
	case n.Service == "" || strings.ContainsAny(n.Service, "/ \t\r\n"):
		return fmt.Errorf("register: %q is not the name of a service", n.Service)
	case err != nil || port == "":
		return fmt.Errorf("register: %q is not host:port", n.Upstream)
	case n.Weight < 1 || n.Weight > 65535:
		return fmt.Errorf("register: a weight of %d is out of range: from 1 to 65535", n.Weight)
	case !strings.HasSuffix(o.Prefix, "/"):
		return fmt.Errorf("register: the prefix %q must end in \"/\"", o.Prefix)
	case o.TTL < time.Second || o.TTL%time.Second != 0:
		return fmt.Errorf("register: a lease of %v: etcd counts whole seconds", o.TTL)
	}
	return nil
}

// Key returns the node's key in etcd.
func (r *Registration) Key() string { return r.key }

// Registered returns a channel that is closed once the node has been registered for the first time.
func (r *Registration) Registered() <-chan struct{} { return r.registered }

// errLost is the end of a lease that nobody here has ended.
var errLost = errors.New("register: the lease is gone")

// Run registers the node and keeps it registered until ctx ends, whatever becomes of etcd meanwhile; then it drains the node and takes it out. The error is
// Drain's, or what kept the node from being taken out: it is asked until its lease ends by itself then.
func (r *Registration) Run(ctx context.Context) error {
	var lease clientv3.LeaseID
	for failures, first := 0, true; ctx.Err() == nil; {
		var err error
		if lease, err = r.enter(ctx); err == nil {
			r.entered(failures, first)
			failures, first = 0, false
			err = r.stay(ctx, lease)
		}
		if ctx.Err() != nil {
			break
		}
		lease = clientv3.NoLease
		if failures++; failures == 1 {
			r.options.Log.Warn("not registered; it is tried again", "key", r.key, "error", err)
		}
		pause(ctx, jitter(failures, r.options.renew))
	}
	return r.leave(lease)
}

// entered tells who wants to know.
func (r *Registration) entered(failures int, first bool) {
	if first {
		close(r.registered)
	}
	if first || failures > 0 {
		r.options.Log.Info("registered", "key", r.key)
	}
}

// enter makes a lease and puts the node under it. A key that is there, such as one that an earlier process of the same node has left, goes over to the new lease.
func (r *Registration) enter(ctx context.Context) (clientv3.LeaseID, error) {
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	granted, err := r.client.Grant(call, int64(r.options.TTL/time.Second))
	if err != nil {
		return clientv3.NoLease, fmt.Errorf("register: grant: %w", err)
	}
	if err := r.put(call, granted.ID, r.node.Weight); err != nil {
		// Where the put was done after all, the node is there before the next try puts it again.
		return granted.ID, err
	}
	return granted.ID, nil
}

// put writes the node under a lease.
func (r *Registration) put(ctx context.Context, lease clientv3.LeaseID, weight int) error {
	value, err := json.Marshal(struct {
		ServiceName string            `json:"service_name"`
		Upstream    string            `json:"upstream"`
		Weight      int               `json:"weight"`
		Status      int               `json:"status"`
		Metadata    map[string]string `json:"metadata,omitempty"`
	}{r.node.Service, r.node.Upstream, weight, 1, r.node.Metadata})
	if err != nil {
		return fmt.Errorf("register: %w", err)
	}
	if _, err := r.client.Put(ctx, r.key, string(value), clientv3.WithLease(lease)); err != nil {
		return fmt.Errorf("register: put: %w", err)
	}
	return nil
}
