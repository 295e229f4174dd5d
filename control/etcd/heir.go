package etcd

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// Heir is a process that uses the server which another process has in a directory, and starts one of its own in its place when that is gone. Both are at the
// same socket, so that clients of the one become clients of the other by themselves.
type Heir struct {
	dir    string
	socket string
	handle *os.File // the directory, where the socket is reached through it
	log    *slog.Logger
}

// takeInterval is how often an heir looks whether the directory is free: seldom enough to cost nothing, and little beside the 0.3 s that a start takes.
const takeInterval = 10 * time.Millisecond

// Attach returns an heir of whoever has the data directory dir now; see ErrInUse. Close gives it back.
func Attach(dir string, log *slog.Logger) (*Heir, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	socket, handle, err := socketPath(dir)
	if err != nil {
		return nil, err
	}
	return &Heir{dir: dir, socket: socket, handle: handle, log: log}, nil
}

// Endpoint returns where clients connect, for Config.Endpoints. It holds for the other's server and for the one that Take starts.
func (h *Heir) Endpoint() string { return "unix://" + h.socket }

// Take waits until the directory is free and starts a server there. It gives up when ctx ends, or when a server cannot be started for another reason
// than that the directory is in use.
func (h *Heir) Take(ctx context.Context) (*Server, error) {
	again := time.NewTicker(takeInterval)
	defer again.Stop()
	for {
		server, err := StartServer(ctx, h.dir, h.log)
		if !errors.Is(err, ErrInUse) {
			return server, err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Close gives back what the heir holds. Clients of Endpoint should be closed before. A server that Take has started is not touched.
func (h *Heir) Close() {
	if h.handle != nil {
		h.handle.Close()
	}
}
