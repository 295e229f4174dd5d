package etcd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"

	"sluice/control"
)

const (
	requestTimeout = 5 * time.Second // one call to etcd; its own limit for a proposal is about the same
	listTimeout    = time.Minute     // all pages of a list; each has requestTimeout
	dialTimeout    = 3 * time.Second // fetching a token for a new connection

	// A server that takes calls and answers none, such as one that is frozen or has no leader, costs the calls for keys that find it out their requestTimeout;
	// from then on one in silentFor, and the others no more than silentTimeout.
	silentTimeout = 500 * time.Millisecond
	silentFor     = 10 * time.Second
)

// Client is a connection to etcd that is made when it is first needed and made anew when it has become useless, as with a token
// that the server no longer knows. All methods may be called by any goroutine.
type Client struct {
	cfg       Config
	gate      chan struct{}  // held by who looks at or changes the next four; a channel, so that waiting for it can end with a context
	current   *connection    // nil: dial at the next use
	endpoints []string       // that calls go to: those of cfg but for the ones that answer nothing; see sift
	sifting   bool           // it is looked which those are
	closed    bool           // no more connections
	retired   sync.WaitGroup // connections that wait for their last user, and sift

	ending context.Context // ends with Close
	end    context.CancelFunc

	beside atomic.Pointer[Server] // the server, where it is in this process; nil = it is not
	silent atomic.Int64           // calls for keys wait less until then (see clock): one has waited in vain; not above 0: less the time of the last answer
}

// connection is one generation of a Client. It closes once it is retired and its last user has let go of it.
type connection struct {
	*clientv3.Client
	owner *Client
	users sync.WaitGroup
	links *links
}

// NewClient returns a client for cfg, which must have passed Validate and name at least one endpoint. It does not connect yet.
func NewClient(cfg Config) (*Client, error) {
	cfg.SetDefaults()
	if len(cfg.Endpoints) == 0 {
		return nil, errors.New("etcd: no endpoints")
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if _, err := cfg.tls(); err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, gate: make(chan struct{}, 1), endpoints: cfg.Endpoints}
	c.ending, c.end = context.WithCancel(context.Background())
	return c, nil
}

// acquire returns the connection, dialling if there is none. Each success needs one release.
func (c *Client) acquire(ctx context.Context) (*connection, error) {
	select {
	case c.gate <- struct{}{}:
		defer func() { <-c.gate }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if c.closed {
		return nil, errors.New("the client is closed")
	}
	if c.current == nil {
		conn := &connection{owner: c, links: newLinks()}
		var err error
		if conn.Client, err = c.dial(conn.links, c.endpoints); err != nil {
			return nil, err
		}
		c.current = conn
	}
	c.current.users.Add(1)
	return c.current, nil
}

// release ends the use of a connection.
func (c *connection) release() { c.users.Done() }

// retire makes the next acquire dial, unless somebody has seen to that already.
func (c *Client) retire(old *connection) {
	c.gate <- struct{}{}
	defer func() { <-c.gate }()
	if c.current != old {
		return
	}
	c.current = nil
	c.retired.Go(func() {
		old.users.Wait() // no user can join: it is current no more
		old.Close()
	})
}

// Close closes the connection; calls in flight fail. A Source that runs on this client must have ended before.
func (c *Client) Close() {
	c.beside.Store(nil)
	c.end()
	c.gate <- struct{}{}
	c.closed = true
	if c.current != nil {
		c.current.Close()
		c.current = nil
	}
	<-c.gate
	c.retired.Wait()
}

// dial makes a connection to any of some endpoints. Without a password it returns at once; with one it fetches a token first.
func (c *Client) dial(watching *links, endpoints []string) (*clientv3.Client, error) {
	secure, err := c.cfg.tls()
	if err != nil {
		return nil, err
	}
	return clientv3.New(clientv3.Config{
		Endpoints:   endpoints,
		Username:    c.cfg.Username,
		Password:    c.cfg.Password,
		TLS:         secure,
		DialTimeout: dialTimeout,
		// A dead peer is noticed after 13 s: gRPC pings no more often than every 10 s. Pings without a stream stay off, because
		// etcd's servers count them as abuse and close the connection; a watch on the connection is a stream that is always there.
		DialKeepAliveTime:    10 * time.Second,
		DialKeepAliveTimeout: 3 * time.Second,
		MaxCallSendMsgSize:   maxRequest,   // the server has a bound of its own
		Logger:               zap.NewNop(), // it warns of every retry; Source reports what matters once
		// gRPC's own waiting time between two connects grows to two minutes: far too long to be without changes after an outage.
		DialOptions: []grpc.DialOption{grpc.WithStatsHandler(watching), grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second},
			MinConnectTimeout: dialTimeout,
		})},
	})
}

// do runs a call on the current connection, within timeout, or linkPatience where there is none; where there has been none for longer, it answers at once. A
// connection whose token is refused is retired and the call made once more on a new one: the server has not acted on it.
func (c *Client) do(ctx context.Context, what string, timeout time.Duration, call func(context.Context, *connection) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for again := true; ; again = false {
		conn, err := c.acquire(ctx)
		if err != nil {
			return failure(ctx, what, err)
		}
		err = conn.run(ctx, call)
		conn.release()
		if err == nil {
			return nil
		}
		if !tokenRefused(err) {
			return failure(ctx, what, err)
		}
		c.retire(conn)
		if !again {
			return failure(ctx, what, err)
		}
	}
}

// run makes one call, unless there is no connection that it could be made on.
func (c *connection) run(ctx context.Context, call func(context.Context, *connection) error) error {
	// A client at rest has no connection either, and is not in this state: it connects at the next call.
	if c.ActiveConnection().GetState() == connectivity.TransientFailure && c.links.gone() {
		return fmt.Errorf("%w to %s", errNoLink, strings.Join(c.Endpoints(), ", "))
	}
	ctx, stop := c.links.within(ctx)
	defer stop()
	err := call(ctx, c)
	if err != nil && errors.Is(context.Cause(ctx), errNoLink) {
		return fmt.Errorf("%w to %s (%v)", errNoLink, strings.Join(c.Endpoints(), ", "), err)
	}
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		c.owner.sift()
	}
	return err
}

// Beside tells that the endpoint is a server in this process: keys are read and written without a connection from now on, for as long as it runs. Any goroutine may call it.
func (c *Client) Beside(s *Server) { c.beside.Store(s) }

// keys is do for a call that reads or writes keys, which may take requestTimeout.
func (c *Client) keys(ctx context.Context, what string, call func(context.Context, clientv3.KV) error) error {
	s := c.beside.Load()
	if s == nil || !s.visitors.enter() {
		return c.patiently(ctx, what, call)
	}
	defer s.visitors.leave()
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if err := call(ctx, s.beside); err != nil {
		return failure(ctx, what, err)
	}
	return nil
}

// patiently is do for keys: it waits less where another call has waited in vain lately. Once that is some time ago one call finds out in full whether it is still so,
// and the others go on to wait less until that one has ended.
func (c *Client) patiently(ctx context.Context, what string, call func(context.Context, clientv3.KV) error) error {
	begin, silent := clock(), c.silent.Load()
	timeout := requestTimeout
	full := silent <= 0
	if !full && begin > silent {
		probing := begin + int64(requestTimeout)
		full, silent = c.silent.CompareAndSwap(silent, probing), probing
	}
	if !full {
		timeout = silentTimeout
	}
	err := c.do(ctx, what, timeout, func(ctx context.Context, conn *connection) error { return call(ctx, conn) })
	switch {
	case err == nil:
		c.silent.Store(-clock())
	case full && ctx.Err() == nil && time.Duration(clock()-begin) >= timeout:
		c.silent.CompareAndSwap(silent, clock()+int64(silentFor)) // unless another call has been answered meanwhile
	}
	return err
}

// failure says what became of a call: ErrUnavailable, unless the caller gave up or what it asked for can never succeed. A wrong
// password is ErrUnavailable too: that is the operator's to mend, not the caller's.
func failure(ctx context.Context, what string, err error) error {
	if errors.Is(context.Cause(ctx), context.Canceled) {
		return fmt.Errorf("etcd: %s: %w", what, context.Canceled)
	}
	if tooLarge(err) {
		return fmt.Errorf("etcd: %s: %w", what, err)
	}
	if says(err, rpctypes.ErrNoSpace) { // it has refused it, for sure, and will until somebody has made room
		return fmt.Errorf("etcd: %s: %w (%w)", what, control.ErrFull, err)
	}
	return fmt.Errorf("etcd: %s: %w (%w)", what, control.ErrUnavailable, err)
}

// says reports whether an error is a known one of etcd. The reason of a canceled watch comes as text, which the client library does not turn into its error.
func says(err, known error) bool {
	return errors.Is(err, known) || err != nil && strings.HasSuffix(err.Error(), rpctypes.ErrorDesc(known))
}

// tokenRefused reports whether a new token, and so a new connection, would help.
func tokenRefused(err error) bool {
	return says(err, rpctypes.ErrInvalidAuthToken) || says(err, rpctypes.ErrAuthOldRevision)
}
