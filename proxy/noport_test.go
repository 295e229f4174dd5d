package proxy

import (
	"fmt"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/internal/testnet"
	"sluice/upstream"
)

// withoutPortsTo makes the kernel say that it has no port left for connections to an address.
func withoutPortsTo(addrs ...string) option {
	var ports []int
	for _, a := range addrs {
		ports = append(ports, int(netip.MustParseAddrPort(a).Port()))
	}
	return func(s *setup) {
		s.config.connect = func(fd int, to unix.Sockaddr) error {
			for _, port := range ports {
				if to.(*unix.SockaddrInet4).Port == port {
					return unix.EADDRNOTAVAIL
				}
			}
			return unix.Connect(fd, to)
		}
	}
}

// EADDRNOTAVAIL: the ports of this machine are used up for each address by itself, so that another node is asked, and the one that cannot be reached is not blamed. The
// log tells once, and every one is counted.
func TestARequestThatNoPortIsLeftForGoesToAnotherNode(t *testing.T) {
	full := newNode(t, answering(ok))
	other := newNodeAt(t, "127.0.0.2:0", answering(ok))
	var lines atomic.Int32
	g := newGateway(t, []string{full.addr, other.addr}, withoutPortsTo(full.addr), ejecting)
	g.onLoop(func(w *worker) bool {
		w.server.logger = slog.New(slog.NewTextHandler(countedLines{&lines}, nil))
		return true
	})
	b := g.connect(t)
	for range 10 {
		b.wantGet("ok")
	}
	if n := full.opened.Load(); n > 0 {
		t.Errorf("%d connections though there are no ports", n)
	}
	if got := g.states()[full.addr]; got != "healthy" {
		t.Errorf("the node is %s", got)
	}
	if n := g.metric(t, "sluice_upstream_no_port_total"); n != 10 { // a retry takes the turn of the other node
		t.Errorf("%v are counted, want 10", n)
	}
	testnet.Await(t, "the line in the log", func() bool { return lines.Load() == 1 })
}

// countedLines is a log whose lines are counted and go nowhere.
type countedLines struct{ n *atomic.Int32 }

func (c countedLines) Write(p []byte) (int, error) {
	c.n.Add(1)
	return len(p), nil
}

// With no other node the answer is overloaded, and nothing stays counted.
func TestARequestThatNoPortIsLeftForIsAnsweredAtOnce(t *testing.T) {
	full := newNode(t, answering(ok))
	other := newNodeAt(t, "127.0.0.2:0", answering(ok))
	for i, nodes := range [][]string{{full.addr}, {full.addr, other.addr}} {
		t.Run(fmt.Sprint(len(nodes)), func(t *testing.T) {
			g := newGateway(t, nodes, withoutPortsTo(full.addr, other.addr), withBreaker(upstream.BreakerConfig{MaxRequests: 1, MaxPending: 1, PerNode: upstream.NodeBreaker{MaxRequests: 1}}), withLog())
			b := g.connect(t)
			for range 3 {
				b.send(get)
				b.answer().wantError(t, 503, "overloaded")
			}
			if line := g.logged(t, 3)[2]; line.Retries != i || line.Flag != "UO" {
				t.Errorf("logged %+v", line)
			}
		})
	}
}
