package cli

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"sluice/control/etcd"
)

// embedded is the etcd server in data_dir. Only one process can have it: in an upgrade the new one first is a client of the old one's server, and starts
// its own once the old one has handed over. The socket is the same, so that the clients of both find the one that there is.
//
//	old:  serves ──── new one is ready: handOver ──── client
//	new:  client ───────────────── takeOver ───────── serves
type embedded struct {
	log  *slog.Logger
	dir  string
	heir *etcd.Heir // nil where no other process had the directory
	dead error      // why there is no server; nil = there is one, or there will be

	mu      sync.Mutex // guards server and client
	server  *etcd.Server
	client  *etcd.Client       // of this process; nil until it is known
	giveUp  context.CancelFunc // ends takeOver; nil where it was not called
	taken   chan struct{}      // closed when takeOver has ended, in whichever way
	running sync.WaitGroup     // handOver and watch
}

// startEmbedded starts the server in dataDir. family is where the process that this one replaces has its own, "" for nowhere: there the server is shared. One that cannot be started
// is dead: whether there is something to serve without it, the caller must know.
func startEmbedded(ctx context.Context, dataDir, family string, log *slog.Logger) (*embedded, error) {
	dir, err := filepath.Abs(filepath.Join(dataDir, "etcd"))
	if err != nil {
		return nil, err
	}
	e := &embedded{log: log, dir: dir}
	server, err := etcd.StartServer(ctx, dir, log)
	switch {
	case err == nil:
		e.watch(server)
		return e, nil
	case errors.Is(err, etcd.ErrInUse) && !sameDir(family, dir), ctx.Err() != nil:
		return nil, err
	case !errors.Is(err, etcd.ErrInUse):
		e.dead = err
	}
	if e.heir, err = etcd.Attach(dir, log); err != nil {
		return nil, errors.Join(e.dead, err)
	}
	return e, nil
}

func sameDir(a, b string) bool {
	fa, errA := os.Stat(a)
	fb, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(fa, fb)
}

// endpoint returns where clients connect, whichever process serves.
func (e *embedded) endpoint() string {
	if e.heir != nil {
		return e.heir.Endpoint()
	}
	return e.server.Endpoint()
}

// use tells which client is to be beside the server, whenever there is one. It is called once.
func (e *embedded) use(client *etcd.Client) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.client = client; e.server != nil {
		client.Beside(e.server)
	}
}

// takeOver starts a server as soon as the other process has handed over. It returns at once.
func (e *embedded) takeOver() {
	if e.heir == nil || e.dead != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	e.giveUp, e.taken = cancel, make(chan struct{})
	go func() {
		defer close(e.taken)
		server, err := e.heir.Take(ctx)
		switch {
		case err == nil:
			e.log.Info("the embedded etcd is this process's now")
			e.watch(server)
		case ctx.Err() == nil:
			e.log.Error("the embedded etcd could not be taken over: routes stay as they are until the gateway is started anew", "error", err)
		}
	}()
}

// watch makes server the one that there is, and says when it ends by itself. The data plane needs no store to go on: only changes wait.
func (e *embedded) watch(server *etcd.Server) {
	e.mu.Lock()
	e.server = server
	if e.client != nil {
		e.client.Beside(server)
	}
	e.mu.Unlock()
	e.running.Go(func() {
		<-server.Done()
		if err := server.Err(); err != nil {
			e.log.Error("the embedded etcd has stopped: routes stay as they are until the gateway is started anew", "error", err)
		}
	})
}

// handOver gives the directory free for the process that replaces this one, or ceases to wait for it. It returns at once.
func (e *embedded) handOver() {
	e.running.Go(func() {
		if server := e.retire(); server != nil {
			if err := server.HandOver(context.Background()); err != nil {
				e.log.Error("upgrade: the embedded etcd was not handed over", "error", err)
			}
		}
	})
}

// retire ends takeOver and returns the server, nil where there is none and will be none.
func (e *embedded) retire() *etcd.Server {
	if e.giveUp != nil {
		e.giveUp()
		<-e.taken // it may have succeeded meanwhile
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.server
}

// stop ends the server. Clients should be closed before.
func (e *embedded) stop(ctx context.Context) (err error) {
	if server := e.retire(); server != nil {
		err = server.Stop(ctx)
	}
	if err == nil { // else somebody may never end
		e.running.Wait()
	}
	if e.heir != nil {
		e.heir.Close()
	}
	return err
}
