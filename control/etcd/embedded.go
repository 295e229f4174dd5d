package etcd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"google.golang.org/grpc"
)

const (
	// A member that is alone waits for nobody, so the ticks only set how soon after the start it elects itself: one to five of
	// them. Longer ones make the start slower, shorter ones wake an idle process more often than 20 times a second.
	tick     = 50 * time.Millisecond
	election = 5 * tick // etcd demands five ticks at least

	quota   = 2 << 30  // bytes of the database; beyond it etcd refuses writes. A million routes of 1 KiB, and an hour of history.
	segment = 16 << 20 // bytes of a file of the write-ahead log; two are set aside at the start, and etcd's own 64 MB each is a lot for routes
	history = "1h"     // how long old revisions are kept, so how long a watch may be away and still resume
)

// How long calls may go on after Stop and after HandOver. Whoever hands over has somebody who waits; a write takes a millisecond or two, and it is one of a
// disk in trouble that takes longer than this.
const (
	stopPatience     = 500 * time.Millisecond
	handOverPatience = 100 * time.Millisecond
)

// smallSegments sets etcd's global before the first server of this process reads it.
var smallSegments = sync.OnceFunc(func() { wal.SegmentSizeBytes = segment })

// Server is an etcd server inside this process. Its one way in is a socket of the file system in a directory that nobody but
// the owner of the process can enter: there is no port, no peer listener, and so no password to keep.
//
// Whoever owns the directory, or is root, reaches it with etcd's own tool:
//
//	etcdctl --endpoints=unix://$PWD/sluice-data/etcd/etcd.sock get --prefix /sluice/
type Server struct {
	etcd   *embed.Etcd
	dir    *directory
	socket string
	log    *slog.Logger
	calls  atomic.Pointer[grpc.Server] // what clients talk to; nil until it serves

	beside   besideKV // for clients in this process
	visitors *visitors
	tight    atomic.Int64 // the revision at which there was no room to be made

	stopOnce sync.Once
	stopping atomic.Bool   // what the server complains of while it stops is what stopping is
	stopped  chan struct{} // closed once all is shut down
	done     chan struct{} // closed when it serves no more, for whatever reason
	doneOnce sync.Once
	cause    error // why, when nobody stopped it; written before done is closed
}

// StartServer starts a server whose data are in dir, which is made if need be, and returns when it can be used: after about
// 0.3 s. With ctx ended it gives up. Warnings and errors of the server go to log. The error is ErrInUse where another process has one there.
func StartServer(ctx context.Context, dir string, log *slog.Logger) (*Server, error) {
	return startServer(ctx, dir, log, nil)
}

// startServer lets tests change etcd's configuration.
func startServer(ctx context.Context, dir string, log *slog.Logger, change func(*embed.Config)) (*Server, error) {
	smallSegments()
	owned, err := ownDirectory(dir)
	if err != nil {
		return nil, err
	}
	s := &Server{dir: owned, log: log, visitors: newVisitors(), stopped: make(chan struct{}), done: make(chan struct{})}
	if s.socket, err = owned.socket(); err != nil {
		owned.release()
		return nil, err
	}
	cfg := s.config()
	if change != nil {
		change(cfg)
	}
	if err := ctx.Err(); err != nil { // nothing is open yet, so this is the last moment to give up without a trace
		owned.release()
		return nil, fmt.Errorf("etcd: %w", err)
	}
	if err := s.launch(ctx, cfg); err != nil {
		return nil, err
	}
	err = os.Chmod(s.socket, 0o600)
	if err == nil {
		err = s.await(ctx)
	}
	if err != nil {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
		defer cancel()
		s.Stop(stop)
		return nil, fmt.Errorf("etcd: the embedded server in %s did not start: %w", owned.path, err)
	}
	s.beside = newBesideKV(s.etcd.Server)
	s.etcd.Server.GoAttach(s.seeOut)
	s.etcd.Server.GoAttach(s.keepSpace)
	go s.watchErrors()
	return s, nil
}

// await waits until clients are served.
func (s *Server) await(ctx context.Context) error {
	select {
	case <-s.etcd.Server.ReadyNotify():
		return nil
	case <-s.done:
		return s.Err()
	case err := <-s.etcd.Err():
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// config is what the server runs with.
func (s *Server) config() *embed.Config {
	cfg := embed.NewConfig()
	cfg.Dir = s.dir.path
	cfg.Name = "sluice"
	socket := url.URL{Scheme: "unix", Path: s.socket}
	cfg.ListenClientUrls = []url.URL{socket}
	cfg.AdvertiseClientUrls = []url.URL{socket}
	// No peer listener. The address of the peer is a name only, the same for every start, and nobody ever connects to it.
	cfg.ListenPeerUrls = nil
	cfg.AdvertisePeerUrls = []url.URL{{Scheme: "http", Host: "127.0.0.1:2380"}}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	// Used when the data are made. It gives every data directory its own cluster id, by which a Source knows that it was replaced.
	cfg.InitialClusterToken = rand.Text()
	cfg.TickMs = uint(tick.Milliseconds())
	cfg.ElectionMs = uint(election.Milliseconds())
	cfg.AutoCompactionMode = embed.CompactorModePeriodic
	cfg.AutoCompactionRetention = history
	cfg.QuotaBackendBytes = quota
	cfg.MaxTxnOps, cfg.MaxRequestBytes = maxOps, maxRequest
	cfg.EnableGRPCGateway = false // JSON over HTTP: the admin API is the way to do that
	cfg.ServiceRegister = func(calls *grpc.Server) { s.calls.Store(calls) }
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(newLogger(s.log, &s.stopping, s.fatal))
	return cfg
}

// launch calls embed.StartEtcd, which answers damaged data in four ways: with an error, a panic, a log line at level fatal that
// would end the process, or one at level panic. All four become an error here.
func (s *Server) launch(ctx context.Context, cfg *embed.Config) error {
	type result struct {
		etcd *embed.Etcd
		err  error
	}
	returned, broke := make(chan result, 1), make(chan error, 1)
	go func() { // its own goroutine, because a fatal line ends the goroutine that wrote it (see fatal), and this may be the one
		defer func() {
			if p := recover(); p != nil {
				broke <- fmt.Errorf("etcd panicked on what it found there: %v", p)
			}
		}()
		etcd, err := embed.StartEtcd(cfg)
		returned <- result{etcd, err}
	}()
	var err error
	select {
	case r := <-returned:
		if err = r.err; err == nil {
			s.etcd = r.etcd
			return nil
		}
		s.dir.release()
	case err = <-broke:
		s.dir.abandon()
	case <-s.done: // a fatal line, on whichever goroutine
		err = s.Err()
		s.dir.abandon()
	case <-ctx.Done():
		err = ctx.Err()
		s.dir.abandon()
	}
	return fmt.Errorf("etcd: the embedded server cannot use %s: %w (if the data are damaged, move them away or put a backup in their place)", s.dir.path, err)
}

// fatal is called in place of ending the process when the server says that it cannot go on, as with a full disk. It ends the
// goroutine that said so and never returns: the server is dead from then on, but the gateway keeps what it has and serves.
func (s *Server) fatal(message string) {
	s.finish(errors.New(message))
	runtime.Goexit()
}

// watchErrors notices that the server has ended by itself.
func (s *Server) watchErrors() {
	select {
	case err := <-s.etcd.Err():
		if err == nil {
			err = errors.New("it closed")
		}
		s.finish(err)
	case <-s.etcd.Server.StoppingNotify():
		s.finish(errors.New("it stopped"))
	case <-s.done:
	}
}

// seeOut ends what clients have in the server when it stops by itself. It is one of the server's own goroutines, for which it waits before it closes its
// database: whoever reads there afterwards meets nothing.
func (s *Server) seeOut() {
	<-s.etcd.Server.StoppingNotify()
	if s.stopping.Load() {
		return // they have had their time
	}
	s.visitors.shut()
	s.visitors.wait(stopPatience)
	if calls := s.calls.Load(); calls != nil {
		calls.Stop() // its socket would take calls and watches, and tell them nothing
	}
}

// finish records, once, that the server serves no more.
func (s *Server) finish(cause error) {
	s.doneOnce.Do(func() {
		s.cause = cause
		s.visitors.shut()
		close(s.done)
	})
}

// Endpoint returns where clients connect, for Config.Endpoints.
func (s *Server) Endpoint() string { return "unix://" + s.socket }

// Done returns a channel that is closed when the server serves no more: it was stopped, or it broke; Err tells which.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err returns nil while the server runs and after Stop, and otherwise why it ended by itself. The gateway can go on without
// it, but nothing can be changed until it is started again.
func (s *Server) Err() error {
	select {
	case <-s.done:
		return s.cause
	default:
		return nil
	}
}

// Stop shuts the server down and gives the directory free. Clients should be closed before; calls that are still under way get
// half a second, then they fail. When ctx ends first it returns the reason and the rest goes on behind it. Nothing that was
// acknowledged is lost in any of these cases, because etcd writes ahead. A server that broke may never end.
func (s *Server) Stop(ctx context.Context) error { return s.stop(ctx, stopPatience) }

// HandOver is Stop for a server in whose place another process starts one: it waits for calls only as long as a write takes. Clients need not be closed: they
// find the other server at the same socket.
func (s *Server) HandOver(ctx context.Context) error { return s.stop(ctx, handOverPatience) }

func (s *Server) stop(ctx context.Context, patience time.Duration) error {
	s.stopOnce.Do(func() {
		s.stopping.Store(true)
		s.finish(nil)
		go func() {
			defer close(s.stopped)
			s.visitors.wait(patience)
			s.etcd.Close()
			s.dir.release()
		}()
		go s.hurry(patience)
	})
	select {
	case <-s.stopped:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("etcd: stopping the embedded server in %s: %w", s.dir.path, ctx.Err())
	}
}

// hurry ends what is left of the clients' calls some time into a stop. By itself etcd waits 5.5 s for them, and it always comes
// to that when somebody watches.
func (s *Server) hurry(patience time.Duration) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-s.stopped:
	case <-timer.C:
		if calls := s.calls.Load(); calls != nil {
			calls.Stop()
		}
	}
}
