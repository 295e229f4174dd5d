package upstream

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	resolveTimeout = 5 * time.Second
	resolveAgain   = 30 * time.Second // after an answer; the resolver does not tell how long it may be kept
	resolveRetry   = time.Second      // after a failure
)

// lookup finds where an address (host:port) is. It returns early when ctx ends.
type lookup func(ctx context.Context, address string) (netip.AddrPort, error)

// resolveInBackground looks up the name in address (host:port) until the returned function is called, and keeps into up to date. After a failure the
// last good answer stays: a DNS server that is away takes no node down.
func resolveInBackground(address string, into *atomic.Pointer[netip.AddrPort], find lookup) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		failing := false
		for {
			addr, err := find(ctx, address)
			wait := resolveAgain
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				if !failing {
					slog.Warn("upstream: node name does not resolve", "node", address, "error", err, "last_known", into.Load() != nil)
				}
				wait = resolveRetry
			case into.Load() == nil || *into.Load() != addr:
				into.Store(&addr)
			}
			failing = err != nil
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait):
			}
		}
	}()
	return cancel
}

// resolve returns the first address of the name, IPv4 first.
func resolve(ctx context.Context, address string) (netip.AddrPort, error) {
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return netip.AddrPort{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.AddrPort{}, err
	}
	best := addrs[0].Unmap()
	for _, a := range addrs {
		if a = a.Unmap(); a.Is4() {
			best = a
			break
		}
	}
	return netip.AddrPortFrom(best, uint16(port)), nil
}
