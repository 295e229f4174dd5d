// Package origin is a sample origin server for the demo and for tests: it says what reached it.
//
// What it answers is decided by the last segment of the path, so that it works behind any prefix and any rewrite:
//
//	…/slow?delay=2s               an echo, after a wait
//	…/stream?n=10&interval=200ms  n lines, chunked, one at a time
//	…/big?size=1GiB               a body of that many bytes, with a Content-Length
//	…/status?code=503             an echo with that status
//	…/healthz                     "ok"
//	anything else                 an echo: the request as JSON, see [Echo]
//
// It is built on net/http and made for being looked at, not for load: bench/ has an origin of its own.
package origin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// Server is one running origin. Its methods may be called from any goroutine.
type Server struct {
	name     string
	listener net.Listener
	http     *http.Server
	accept   sync.WaitGroup // the accept loop
	handlers sync.RWMutex   // held for reading by every handler, so that Close can wait for them
	close    sync.Once
}

// Start runs an origin of that name on a free port of 127.0.0.1. It serves until Close.
func Start(name string) (*Server, error) {
	return Listen(name, "127.0.0.1:0")
}

// Listen is Start on an address of the caller's choice.
func Listen(name, address string) (*Server, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("origin: listen on %s: %w", address, err)
	}
	s := &Server{name: name, listener: ln}
	// The gateway's own header timeout is 10 s; a peer slower than that is not one this server is meant for.
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	s.accept.Go(func() {
		if err := s.http.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			panic(fmt.Sprintf("origin %s: accept: %v", name, err))
		}
	})
	return s, nil
}

// Name returns the name that the origin was started with and that it puts into its answers.
func (s *Server) Name() string { return s.name }

// Addr returns host:port of the origin.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Close ends the origin at once, requests in flight included, and returns when their handlers have ended. Further calls do nothing.
func (s *Server) Close() error {
	var err error
	s.close.Do(func() {
		err = s.http.Close()
		s.accept.Wait()
		s.handlers.Lock() // waits for every handler
		defer s.handlers.Unlock()
	})
	return err
}
