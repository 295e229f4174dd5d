package admin

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"
)

// What an upgrade of the binary needs: the listening socket goes from one process to the next.

// StartOn is Start on a listening socket that another process has opened. The descriptor is the server's from now on, also when it is refused.
func (s *Server) StartOn(fd int) error {
	file := os.NewFile(uintptr(fd), "admin")
	defer file.Close() // the listener has a copy
	listener, err := net.FileListener(file)
	if err != nil {
		return fmt.Errorf("admin: inherited socket: %w", err)
	}
	s.serve(listener)
	return nil
}

// Socket returns a copy of the listening socket, for another process. It is the caller's to close, and is closed by exec.
func (s *Server) Socket() (fd int, err error) {
	raw, err := s.listener.(*net.TCPListener).SyscallConn()
	if err != nil {
		return -1, fmt.Errorf("admin: copy of the socket: %w", err)
	}
	var errno syscall.Errno
	err = raw.Control(func(own uintptr) {
		var n uintptr
		n, _, errno = syscall.Syscall(syscall.SYS_FCNTL, own, syscall.F_DUPFD_CLOEXEC, 0)
		fd = int(n)
	})
	if err == nil && errno != 0 {
		err = errno
	}
	if err != nil {
		return -1, fmt.Errorf("admin: copy of the socket: %w", err)
	}
	return fd, nil
}

// Retire stops listening, since another process does. Connections that are open go on until the answer to their next request, which says so: one that is
// closed while it is idle may lose a request that is on its way. Shutdown follows.
func (s *Server) Retire() {
	s.retired.Store(true)
	_ = s.listener.Close() // what it could complain of is that it is closed
}

// untilRetired ends connections with their answer once the server is retired.
func (s *Server) untilRetired(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.retired.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// greetTime is how long Shutdown waits for the first request of connections that were accepted before Retire.
const greetTime = time.Second

// awaitBusy waits until no connection owes an answer, for a while or until ctx ends. net/http throws a request away that it reads after Shutdown was called.
func (s *Server) awaitBusy(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, greetTime)
	defer cancel()
	select {
	case <-s.conns.quiet():
	case <-ctx.Done():
	}
}

// connStates knows which connections have a request under way, or have yet to send their first.
type connStates struct {
	mu   sync.Mutex // guards busy and idle
	busy map[net.Conn]bool
	idle chan struct{} // closed, and nil again, when busy runs empty; nil when nobody waits
}

// changed is the server's ConnState.
func (c *connStates) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if state == http.StateNew || state == http.StateActive {
		if c.busy == nil {
			c.busy = make(map[net.Conn]bool)
		}
		c.busy[conn] = true
		return
	}
	delete(c.busy, conn)
	if len(c.busy) == 0 && c.idle != nil {
		close(c.idle)
		c.idle = nil
	}
}

// quiet returns a channel that is closed once no connection is busy.
func (c *connStates) quiet() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	idle := c.idle
	if idle == nil {
		idle = make(chan struct{})
		if len(c.busy) == 0 {
			close(idle)
		} else {
			c.idle = idle
		}
	}
	return idle
}
