package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
)

// insideKey marks the context of connections that the gateway's own workers have made.
type insideKey struct{}

// ServeInside serves on one more address, a free port of loopback, which it returns. It is for the gateway's workers, which send the requests of its listeners there: what
// they say of the client is believed. Another process of this machine could say the same, and gains nothing by it: it has all of 127.0.0.0/8 to come from. It is called
// once, after Start, and ends with Shutdown.
func (s *Server) ServeInside() (netip.AddrPort, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("admin: %w", err)
	}
	address := listener.Addr().(*net.TCPAddr).AddrPort()
	s.inside.Store(&address)
	s.serving.Go(func() {
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("admin API stopped on the listeners", "error", err)
		}
	})
	return address, nil
}

// markInside is the server's ConnContext.
func (s *Server) markInside(ctx context.Context, conn net.Conn) context.Context {
	if inside := s.inside.Load(); inside != nil && conn.LocalAddr().(*net.TCPAddr).AddrPort() == *inside {
		return context.WithValue(ctx, insideKey{}, true)
	}
	return ctx
}

// clientOf returns who sends a request, as far as addresses tell.
func clientOf(r *http.Request) netip.Addr {
	if r.Context().Value(insideKey{}) != nil {
		if ip, err := netip.ParseAddr(r.Header.Get("X-Real-IP")); err == nil {
			return ip
		}
	}
	peer, _ := netip.ParseAddrPort(r.RemoteAddr) // the zero address is one like any other
	return peer.Addr().Unmap()
}
