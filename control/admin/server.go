// Package admin is the HTTP interface of the operator: the resources under /v1, what the gateway says about itself, and the three calls
// that need no token (/healthz, /readyz, /metrics). It runs on net/http beside the workers and shares nothing with them but counters.
//
//	request ─► recover ─► token ─► mux ─► operation ─► control.Store
//	                                                       │
//	       workers ◄─ snapshot ◄─ control.Engine ◄─ watch ─┘
//
// A write goes to the store and nowhere else. Its answer comes once the store has it; the watch then brings it to the engine, and it is
// in force on every worker within 100 ms.
package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"sluice/control"
	"sluice/core/observe"
	"sluice/proxy"
	"sluice/upstream"
)

// Deps is what a [Server] works with. Store, Token, Status and Stats are needed.
type Deps struct {
	Store   control.Store
	Token   string // what callers must show until SetToken; "" lets nobody in
	Version string // of the program
	Workers int    // event loops that carry traffic
	Log     *slog.Logger

	Status func() *control.Status       // what is in force; any goroutine calls it
	Held   func() []control.HeldNode    // which nodes are kept although their leases have ended; nil = none
	Source func() SourceStatus          // how the connection to the store stands; nil = not told
	Nodes  func() []upstream.NodeStatus // how the nodes are; any goroutine calls it; nil = not told
	// Explain tells what would become of a request with that head from that address; nil = nobody can.
	Explain func(ctx context.Context, head []byte, from netip.Addr) (*proxy.Explanation, error)
	// Snapshot returns what is in force, for finding out what a change would do to other routes; nil = nobody can.
	Snapshot func() *proxy.Snapshot
	// Claimants returns up to so many consumers in force that have a claim, by id and in that order; nil = nobody knows.
	Claimants func(claim control.Claim, most int) []string

	// Uncertified reports whether a listener takes TLS without any certificate to show; nil = none does.
	Uncertified func() bool

	Ready func() bool       // a condition of readiness beside the first snapshot, such as not draining; nil = none
	Stats *observe.Registry // what /metrics shows
}

// Server serves the admin API. Its methods may be called by any goroutine.
type Server struct {
	log      *slog.Logger
	http     *http.Server
	listener net.Listener
	serving  sync.WaitGroup
	inside   atomic.Pointer[netip.AddrPort] // where the workers connect; nil = they do not
	token    token
	retired  atomic.Bool // another process listens; every connection ends with its next answer
	conns    connStates
}

// Bounds of one connection. An operator's tool is near and sends little; whoever needs longer is not one.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 30 * time.Second // 1 MiB at 35 kB/s
	writeTimeout      = 60 * time.Second // a scrape of 20 MB (observe.MaxRoutes) at 350 kB/s
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 32 << 10
)

// New returns a server that does not listen yet.
func New(d Deps) *Server {
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{log: d.Log}
	s.token.set(d.Token)
	s.http = &http.Server{
		Handler:           s.untilRetired(handler(d, &s.token)),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ConnState:         s.conns.changed,
		ConnContext:       s.markInside,
		ErrorLog:          slog.NewLogLogger(d.Log.Handler(), slog.LevelDebug), // aborted handshakes and the like: the peer's affair
	}
	return s
}

// SetToken changes what callers must show, from the next request on; "" lets nobody in.
func (s *Server) SetToken(token string) { s.token.set(token) }

// Handler returns what answers requests, for serving it elsewhere too. The token is asked for there as well.
func (s *Server) Handler() http.Handler { return s.http.Handler }

// Start listens on addr, host:port, and serves until [Server.Shutdown]. An address that cannot be used is an error here. It is called once.
func (s *Server) Start(addr string) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("admin: %w", err)
	}
	s.serve(listener)
	return nil
}

func (s *Server) serve(listener net.Listener) {
	s.listener = listener
	s.serving.Go(func() {
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) && !s.retired.Load() {
			s.log.Error("admin API stopped", "error", err)
		}
	})
}

// Addr returns the address that Start listens on, with the port that was chosen for port 0.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Shutdown stops listening and waits for the requests in flight. When ctx ends first they are cut off, and its error is returned.
func (s *Server) Shutdown(ctx context.Context) error {
	if s.listener == nil {
		return nil
	}
	if s.retired.Load() {
		s.awaitBusy(ctx)
	}
	err := s.http.Shutdown(ctx)
	if err != nil {
		_ = s.http.Close() // the first error says it already
		err = fmt.Errorf("admin: shutdown: %w", err)
	}
	s.serving.Wait()
	return err
}
