package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"sluice/core/event"
)

// listener is one socket that a worker accepts from.
type listener struct {
	*event.Listener
	addr netip.AddrPort // as it is configured
}

// Socket is a listening socket on its way from one process to another.
type Socket struct {
	Addr netip.AddrPort // as it is configured: port 0 means that the kernel chose one
	FD   int
}

// Inherit gives the server sockets that another process has opened. Before Listen, which takes those whose address is configured, whatever their number: a
// worker may have several, and where there are fewer than workers more are opened beside them. The others are closed by Listen, or by Close.
func (s *Server) Inherit(sockets []Socket) { s.inherited = append(s.inherited, sockets...) }

// Listen opens the listeners, on all workers. Before Start.
func (s *Server) Listen() error {
	defer s.closeInherited()
	for i := range s.config.Listeners {
		addr, err := s.config.Listeners[i].AddrPort()
		if err != nil {
			return err
		}
		fds, bound, err := s.open(addr)
		if err != nil {
			return err
		}
		s.addrs = append(s.addrs, bound)
		for n, fd := range fds {
			w := s.workers[n%len(s.workers)]
			ln, err := w.loop.Listen(fd, w.acceptor(&s.config.Listeners[i]))
			if err != nil {
				event.CloseSockets(fds[n+1:])
				return err
			}
			w.listeners = append(w.listeners, listener{ln, addr})
		}
	}
	return nil
}

// open returns at least one socket for each worker, inherited or new.
func (s *Server) open(addr netip.AddrPort) ([]int, netip.AddrPort, error) {
	fds, bound := s.takeInherited(addr)
	if len(fds) == 0 {
		return event.Bind(addr, len(s.workers))
	}
	more, err := event.BindBeside(bound, len(s.workers)-len(fds))
	if err != nil {
		event.CloseSockets(fds)
		return nil, bound, err
	}
	return append(fds, more...), bound, nil
}

// takeInherited takes the inherited sockets of one listener. Two listeners with port 0 have one configured address, and are told apart by what they are bound to.
func (s *Server) takeInherited(addr netip.AddrPort) (fds []int, bound netip.AddrPort) {
	s.inherited = slices.DeleteFunc(s.inherited, func(socket Socket) bool {
		if socket.Addr != addr {
			return false
		}
		at, err := event.Inherit(socket.FD)
		if err != nil || len(fds) > 0 && at != bound {
			return false
		}
		fds, bound = append(fds, socket.FD), at
		return true
	})
	return fds, bound
}

// closeInherited closes the sockets that no listener wanted.
func (s *Server) closeInherited() {
	for _, socket := range s.inherited {
		event.CloseSockets([]int{socket.FD})
	}
	s.inherited = nil
}

// Sockets returns copies of all listening sockets, for a process that is to go on listening. They are the caller's to close. Between Start and Drain; any goroutine may
// call it.
func (s *Server) Sockets(ctx context.Context) (sockets []Socket, err error) {
	type result struct {
		sockets []Socket
		err     error
	}
	results := make(chan result, len(s.workers))
	for _, w := range s.workers {
		w.loop.Post(func() {
			copies, err := w.copyListeners()
			results <- result{copies, err}
		})
	}
	for range s.workers {
		select {
		case r := <-results:
			sockets, err = append(sockets, r.sockets...), errors.Join(err, r.err)
		case <-ctx.Done():
			err = fmt.Errorf("proxy: copy of the listeners: %w", ctx.Err())
		}
	}
	if err != nil {
		CloseSockets(sockets)
		return nil, err
	}
	return sockets, nil
}

// CloseSockets closes what Sockets has returned.
func CloseSockets(sockets []Socket) {
	for _, socket := range sockets {
		event.CloseSockets([]int{socket.FD})
	}
}

func (w *worker) copyListeners() (sockets []Socket, err error) {
	for _, ln := range w.listeners {
		fd, err := ln.Copy()
		if err != nil {
			return sockets, err
		}
		sockets = append(sockets, Socket{ln.addr, fd})
	}
	return sockets, nil
}
