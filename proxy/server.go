// Package proxy is where a request lives: sessions of clients, exchanges, calls to nodes, and the workers that run them.
//
// A [Server] has one worker for each event loop. A worker owns everything that its connections need; workers share the current
// [Snapshot], which is immutable, and nothing else that is written on the way of a request.
//
// Where to begin reading: sides.go has the two interfaces between which an [Exchange] stands; exchange.go begins one and ends it, forward.go makes its tries, respond.go takes the answer. The
// client's side is session_h1.go, or session_h2.go with request_h2.go; the node's side is call_h1.go, or client_h2.go with call_h2.go.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"sluice/core/event"
	"sluice/core/observe"
	"sluice/internal/memory"
	"sluice/router"
	"sluice/upstream"
)

// Config is what a server is made with. It must have been validated.
type Config struct {
	Workers        int // event loops, at least 1
	PinWorkers     bool
	NoPass         bool // no body passes from socket to socket within the kernel
	NoRing         bool // no reads and writes are gathered through io_uring
	Listeners      []ListenerConfig
	TrustedProxies []netip.Prefix
	Limits         LimitsConfig
	Timeouts       TimeoutsConfig

	now    func() int64                  // of the loops (event.Options); for tests
	memory func(limit uint64) memory.Use // in place of the process's own; for tests

	connect event.Connect // of the loops; for tests
}

// Server is the data plane. Make it with New, then Listen, then Start.
type Server struct {
	config Config
	logger *slog.Logger
	stats  *observe.Registry
	cpus   []int // that the process may run on, for pinning

	workers  []*worker
	snapshot atomic.Pointer[Snapshot]
	settings atomic.Pointer[settings]
	pressure atomic.Int32 // of memory
	tls      *terminator
	noPort   atomic.Int64  // when there was no port last, in nanoseconds on the wall
	conns    atomic.Int64  // of clients
	clients  *clientCounts // how many of them are of whom

	inherited []Socket // from another process; those that no listener wanted are closed
	addrs     []netip.AddrPort
	started   bool
	running   sync.WaitGroup
	failed    chan error
	quit      chan struct{} // closed by Close
	closing   sync.Once

	panel atomic.Pointer[panel] // nil: not exposed
}

// New makes the workers. Nothing listens yet.
func New(config Config, stats *observe.Registry, logger *slog.Logger) (*Server, error) {
	s := &Server{config: config, logger: logger, stats: stats, quit: make(chan struct{}), clients: newClientCounts(), failed: make(chan error, config.Workers)}
	s.tls = newTerminator(s)
	s.Apply(Settings{TrustedProxies: config.TrustedProxies, Limits: config.Limits, Timeouts: config.Timeouts})
	empty, err := router.Build[*Route](nil)
	if err != nil {
		return nil, err
	}
	s.snapshot.Store(&Snapshot{Routes: empty})
	if s.cpus, err = event.CPUs(); err != nil {
		return nil, err
	}
	for i := range config.Workers {
		w, err := newWorker(s, i, stats.Worker(i))
		if err != nil {
			return nil, err
		}
		s.workers = append(s.workers, w)
	}
	return s, nil
}

// Loops returns the workers as the registry of nodes sees them, in the order of their numbers.
func (s *Server) Loops() []upstream.Poster {
	loops := make([]upstream.Poster, len(s.workers))
	for i, w := range s.workers {
		loops[i] = w
	}
	return loops
}

// Publish puts a snapshot in force: every request that is routed from now on sees it. Any goroutine may call it.
func (s *Server) Publish(snap *Snapshot) { s.snapshot.Store(snap) }

// Snapshot returns the snapshot in force.
func (s *Server) Snapshot() *Snapshot { return s.snapshot.Load() }

// Addrs returns the addresses that Listen has bound, in the order of the configuration.
func (s *Server) Addrs() []netip.AddrPort { return s.addrs }

// Start runs the workers, each on a goroutine of its own, on a thread in the foreground; see [event.GiveWay].
func (s *Server) Start() {
	s.started = true
	s.running.Go(func() { s.watchMemory(s.quit) })
	var tied sync.WaitGroup
	defer tied.Wait()
	for _, w := range s.workers {
		tied.Add(1)
		s.running.Go(func() {
			event.Foreground()
			tied.Done()
			if err := w.loop.Run(); err != nil {
				s.failed <- fmt.Errorf("proxy: worker %d: %w", w.index, err)
			}
		})
	}
}

// Failed tells when a worker has come to an end that nobody asked for.
func (s *Server) Failed() <-chan error { return s.failed }

// errDrainCut is Drain's answer when some exchanges were not over in time.
var errDrainCut = errors.New("proxy: drain: time is up")

// Drain stops accepting, lets what is in flight end, and returns once no client is connected or ctx has ended. Connections that are idle end at once. Close
// follows. A HandOver that is under way becomes a Drain.
func (s *Server) Drain(ctx context.Context) error { return s.drain(ctx, (*worker).drain) }

// HandOver is Drain for a server whose sockets another process listens on: nobody is in a hurry, so that nothing is lost. A connection that is idle stays
// until its next request, or until its keep-alive time has passed: were it closed now, a request that is on its way would fail. Close follows, also when ctx
// has ended before all were gone.
func (s *Server) HandOver(ctx context.Context) error { return s.drain(ctx, (*worker).handOver) }

func (s *Server) drain(ctx context.Context, begin func(w *worker, empty chan<- struct{})) error {
	empty := make(chan struct{}, len(s.workers))
	for _, w := range s.workers {
		w.loop.Post(func() { begin(w, empty) })
	}
	for range s.workers {
		select {
		case <-empty:
		case <-ctx.Done():
			return fmt.Errorf("%w with %d connections open", errDrainCut, s.openConns())
		}
	}
	return nil
}

// openConns counts the client connections that are left, or gives up when a loop does not answer.
func (s *Server) openConns() int {
	counts := make(chan int, len(s.workers))
	for _, w := range s.workers {
		w.loop.Post(func() { counts <- w.countSessions() })
	}
	total := 0
	for range s.workers {
		select {
		case n := <-counts:
			total += n
		case <-time.After(time.Second):
			return total
		}
	}
	return total
}

// Close stops the workers at once and waits for them. Exchanges that are under way are cut and recorded. Also for a server that was never started.
func (s *Server) Close() {
	s.closing.Do(func() { close(s.quit) })
	for _, w := range s.workers {
		w.loop.Stop()
	}
	if !s.started {
		s.Start() // for the one turn in which a loop gives back what it holds
	}
	s.running.Wait()
	s.closeInherited()
}
