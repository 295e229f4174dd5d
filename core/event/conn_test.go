package event

import (
	"errors"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/testnet"
)

// dial connects the loop to addr.
func (r *running) dial(addr netip.AddrPort, p *probe) {
	r.t.Helper()
	r.do(func() {
		var err error
		if p.conn, err = r.Dial(addr, p); err != nil {
			r.t.Error(err)
		}
	})
	if p.conn == nil {
		r.t.FailNow()
	}
}

func TestADialThatIsRefusedIsToldAsClosed(t *testing.T) {
	taken, err := newSocket(unix.AF_INET) // bound and not listening: nobody else gets the port meanwhile
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(taken)
	if err := unix.Bind(taken, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	addr := localAddr(taken)
	r, p := start(t, Options{}), &probe{}
	r.do(func() {
		c, err := r.Dial(addr, p)
		if err != nil {
			t.Error(err)
			return
		}
		c.Write([]byte("early"))
		if p.closed > 0 || c.IsConnected() {
			t.Error("the handler was called from within Dial, or the connection is taken for established")
		}
	})
	r.await("the refusal", func() bool { return p.closed == 1 })
	r.do(func() {
		if p.opened > 0 || !errors.Is(p.err, unix.ECONNREFUSED) || !strings.Contains(p.err.Error(), addr.String()) || r.Conns() != 0 {
			t.Errorf("opened %d times, %v, %d connections", p.opened, p.err, r.Conns())
		}
	})
}

func TestWhatIsWrittenBeforeADialSucceedsIsSent(t *testing.T) {
	ln, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(loopback))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	addr := ln.Addr().(*net.TCPAddr).AddrPort()
	r, p := start(t, Options{}), &probe{}
	r.do(func() {
		c, err := r.Dial(addr, p)
		if err != nil {
			t.Error(err)
			return
		}
		p.conn = c
		c.Write([]byte("early, "))
		if c.Sent() > 0 || p.opened > 0 || c.IsConnected() {
			t.Error("nothing can be known of the connection yet")
		}
	})
	if err := ln.SetDeadline(time.Now().Add(testnet.Patience)); err != nil {
		t.Fatal(err)
	}
	peer, err := ln.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	r.await("the connection", func() bool { return p.opened == 1 })
	r.do(func() {
		if c := p.conn; !c.IsConnected() || c.Remote() != addr || c.Local() != peer.RemoteAddr().(*net.TCPAddr).AddrPort() || c.Loop() != r.Loop {
			t.Errorf("connected %v, from %v to %v", c.IsConnected(), c.Local(), c.Remote())
		}
		p.conn.Write([]byte("late"))
		p.conn.CloseWhenSent()
	})
	if got := hearEnd(t, peer); string(got) != "early, late" {
		t.Errorf("the peer heard %q", got)
	}
	r.do(func() {
		if p.opened != 1 || p.closed != 1 || p.err != nil || p.conn.Local().IsValid() {
			t.Errorf("opened %d times, closed %d times: %v", p.opened, p.closed, p.err)
		}
	})
}

// Closing is final: no event and no call reaches the handler afterwards, not even for what had come before.
func TestAClosedConnectionIsSilent(t *testing.T) {
	r, p := start(t, Options{}), &probe{}
	peer := r.pair(p)
	p.onData = func(c *Conn) {
		c.Close()
		c.Close()
		c.Write([]byte("x"))
		c.Shutdown()
		c.CloseWhenSent()
		c.Resume()
		c.Consume(3)
	}
	proceed := r.halt()
	say(t, peer, []byte("goodbye"))
	if err := peer.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	proceed()
	r.await("the close", func() bool { return p.calls == 1 })
	r.turns()
	r.do(func() {
		if p.calls != 1 || p.eofs+p.closed+p.drained > 0 || r.Conns() != 0 || !p.conn.PeerShut() {
			t.Errorf("%d times data, %d ends, %d closes, %d connections", p.calls, p.eofs, p.closed, r.Conns())
		}
	})
}

func TestAResetIsAnErrorToThePeer(t *testing.T) {
	r, p := start(t, Options{}), &probe{}
	peer := r.pair(p)
	r.do(func() { p.conn.Reset(); p.conn.Reset() })
	patiently(t, peer)
	if _, err := peer.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("the peer was told %v", err)
	}
}

// inert is a source without a handler; it counts what it is told.
type inert struct{ events int }

func (i *inert) event(uint32) { i.events++ }

// Both connections have bytes in one batch. The first handler closes the other connection, whose slot goes to somebody else at once: the event that epoll
// has reported for it is nobody's.
func TestAnEventForASlotThatWasReusedIsDropped(t *testing.T) {
	r, a, b := start(t, Options{}), &probe{}, &probe{}
	aPeer, bPeer := r.pair(a), r.pair(b)
	heir := &inert{}
	quiet, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(quiet)
	var slot token
	replace := func(other *probe) {
		if slot, other.onData = other.conn.slot, nil; r.pending-r.cursor < 1 {
			t.Error("the other event is not in the batch")
		}
		other.conn.Close()
		heirs, err := r.register(quiet, unix.EPOLLIN, heir)
		if err != nil || heirs.index != slot.index || heirs.gen == slot.gen {
			t.Errorf("the heir has %v after %v, %v", heirs, slot, err)
		}
		slot = heirs
	}
	a.onData = func(c *Conn) { a.take(c); replace(b) }
	b.onData = func(c *Conn) { b.take(c); replace(a) }
	proceed := r.halt()
	say(t, aPeer, []byte("a"))
	say(t, bPeer, []byte("b"))
	testnet.Await(t, "both bytes", func() bool { return arrived(a.conn) == 1 && arrived(b.conn) == 1 })
	proceed()
	r.await("the first of them", func() bool { return a.calls+b.calls > 0 })
	r.turns()
	r.do(func() {
		if heir.events != 0 || a.calls+b.calls != 1 {
			t.Errorf("the heir was told %d events, and data came %d times", heir.events, a.calls+b.calls)
		}
		r.release(slot)
	})
}

// Everything that a loop calls may panic. It costs the connection in question, is counted, and nobody else notices.
func TestAPanicLosesOneConnectionAndTheLoopLivesOn(t *testing.T) {
	alas := func(*Conn) { panic("alas") }
	for name, provoke := range map[string]func(t *testing.T, r *running, p *probe){
		"data": func(t *testing.T, r *running, p *probe) {
			p.onData = alas
			say(t, r.pair(p), []byte("x"))
		},
		"data, put off": func(t *testing.T, r *running, p *probe) {
			p.onData = func(c *Conn) { c.Yield(); p.onData = alas }
			say(t, r.pair(p), []byte("x"))
		},
		"end": func(t *testing.T, r *running, p *probe) {
			p.onEOF = alas
			if err := r.pair(p).CloseWrite(); err != nil {
				t.Fatal(err)
			}
		},
		"opened": func(_ *testing.T, r *running, p *probe) {
			p.onOpened = alas
			r.dial(r.listen(func(*Conn, error) Handler { return &probe{} }), p)
		},
		"drained": func(t *testing.T, r *running, p *probe) {
			p.onDrained = alas
			peer := r.pair(p)
			r.do(func() {
				p.conn.Write(pattern(16 << 20))
				if !p.conn.Congested() {
					t.Error("not congested")
				}
			})
			hearEnd(t, peer) // what the queue still held is lost with the connection
		},
		"data and closed": func(t *testing.T, r *running, p *probe) {
			p.onData, p.onClosed = alas, alas
			say(t, r.pair(p), []byte("x"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			panics := 0
			r := start(t, Options{OnPanic: func() { panics++ }})
			witness, p := &probe{}, &probe{}
			other := r.pair(witness)
			provoke(t, r, p)
			r.await("the panic", func() bool { return panics == 1 && p.closed == 1 })
			r.do(func() {
				if !p.conn.IsClosed() || p.err == nil || !strings.Contains(p.err.Error(), "alas") {
					t.Errorf("closed %v: %v", p.conn.IsClosed(), p.err)
				}
			})
			livesOn(t, r, witness, other)
			r.do(func() {
				if panics != 1 {
					t.Errorf("%d panics were counted", panics)
				}
			})
		})
	}
}

// What is told at the end of a step, when everything written is sent, may panic like anything else; the flush goes on behind it, at the end of a turn too.
func TestAPanicAtTheEndOfAStepLeavesTheLoopAlive(t *testing.T) {
	for name, gathers := range map[string]bool{"of a step": false, "of a turn": true} {
		t.Run(name, func(t *testing.T) {
			panics := 0
			r := start(t, Options{OnPanic: func() { panics++ }})
			witness, p, next := &probe{}, &probe{}, &probe{}
			p.onClosed = func(*Conn) { panic("alas") }
			other, peer, behind := r.pair(witness), r.pair(p), r.pair(next)
			r.Post(func() {
				for _, c := range []*Conn{p.conn, next.conn} {
					if gathers {
						c.GatherTurn()
					}
					c.Write([]byte("bye"))
				}
				p.conn.CloseWhenSent()
			})
			if got := hearEnd(t, peer); string(got) != "bye" {
				t.Errorf("the peer heard %q", got)
			}
			if got := hear(t, behind, 3); string(got) != "bye" {
				t.Errorf("who is behind it heard %q", got)
			}
			livesOn(t, r, witness, other)
			r.do(func() {
				if panics != 1 || p.closed != 1 {
					t.Errorf("%d panics were counted, and %d closes", panics, p.closed)
				}
			})
		})
	}
}

// livesOn shows that a connection of the loop works.
func livesOn(t *testing.T, r *running, witness *probe, peer *net.TCPConn) {
	t.Helper()
	say(t, peer, []byte("still there?"))
	r.await("the witness", func() bool { return string(witness.got) == "still there?" })
	r.do(func() { witness.conn.Write([]byte("yes")) })
	if got := hear(t, peer, 3); string(got) != "yes" {
		t.Errorf("the peer heard %q", got)
	}
}

func TestAPanicOfNoConnectionLosesNone(t *testing.T) {
	panics := 0
	r, witness := start(t, Options{OnPanic: func() { panics++ }}), &probe{}
	peer := r.pair(witness)
	var timer Timer
	timer.Owner = expiry(func(*Timer) { panic("alas") })
	r.do(func() { r.SetTimer(&timer, 0) })
	r.await("the timer", func() bool { return panics == 1 })
	r.Post(func() { panic("alas") })
	r.await("the function", func() bool { return panics == 2 })
	livesOn(t, r, witness, peer)
	r.do(func() { r.DropTimer(&timer) })
}

// pong sends back what it hears, and counts.
type pong struct {
	probe
	rounds int
}

func (p *pong) Data(c *Conn) {
	p.rounds++
	c.Write(c.Unread())
	c.Consume(len(c.Unread()))
}

// The data path allocates nothing: not to wait, to read, to write, and not for the buffers between, with a ring and without.
func TestARoundTripAllocatesNothing(t *testing.T) {
	for name, ring := range map[string]bool{"plain": false, "ring": true} {
		t.Run(name, func(t *testing.T) {
			l, err := NewLoop(Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer l.closeAll() // the test takes the turns of the loop itself, on its own goroutine
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			if ring {
				needRing(t)
				if l.ring, err = newRing(); err != nil {
					t.Fatal(err)
				}
			}
			steps := []func(){l.dispatch, l.runReady, l.runPosted, l.runTimers}
			turn := func() {
				if err := l.wait(); err != nil {
					t.Fatal(err)
				}
				for _, step := range steps {
					l.step(step)
				}
			}
			fds, addr, err := Bind(loopback, 1)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := l.Listen(fds[0], func(*Conn, error) Handler { return &pong{} }); err != nil {
				t.Fatal(err)
			}
			clients := [3]*pong{{}, {}, {}} // so that there is something to gather
			for _, client := range clients {
				c, err := l.Dial(addr, client)
				if err != nil {
					t.Fatal(err)
				}
				c.Write(pattern(500))
			}
			rounds := func(n int) {
				for want := clients[0].rounds + n; clients[0].rounds < want; {
					turn()
				}
			}
			rounds(100)
			if n := testing.AllocsPerRun(1000, func() { rounds(1) }); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}
