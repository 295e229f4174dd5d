package event

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/testnet"
)

// relay is a probe that sends on what comes, to the connection of another: so many bytes, the rest it keeps. It lets them pass wherever they may.
type relay struct {
	probe
	to    *probe
	left  int64
	reads int64 // bytes that were read and written
	moved int64 // bytes that have passed
}

func (p *relay) PassTo(*Conn) (*Conn, int64) { return p.to.conn, p.left }

func (p *relay) Passed(c *Conn, n int) {
	p.moved, p.left = p.moved+int64(n), p.left-int64(n)
	p.holdBack(c)
}

func (p *relay) Data(c *Conn) {
	n := min(int64(len(c.Unread())), p.left)
	p.to.conn.Write(c.Unread()[:n])
	c.Consume(int(n))
	p.reads, p.left = p.reads+n, p.left-n
	if p.left == 0 {
		p.probe.Data(c)
	}
	p.holdBack(c)
}

func (p *relay) holdBack(c *Conn) {
	if p.to.conn.Congested() {
		c.Pause()
	}
}

// wantWhole says data at one end of a passage, and fails the test where something else is heard at the other.
func wantWhole(t *testing.T, source, sink *net.TCPConn, data []byte) {
	t.Helper()
	done := utter(t, source, data)
	if !bytes.Equal(hear(t, sink, len(data)), data) {
		t.Error("the bytes are not those that were sent")
	}
	if err := testnet.Receive(t, "the writer", done); err != nil {
		t.Fatal(err)
	}
}

// passage is a relay of so many bytes, and the peers at both ends of it.
func (r *running) passage(n int64) (from *relay, to *probe, source, sink *net.TCPConn) {
	r.t.Helper()
	to = &probe{}
	from = &relay{to: to, left: n}
	sink = r.pair(to)
	source = r.pair(&from.probe)
	to.onDrained = func(*Conn) {
		if from.conn != nil {
			from.conn.Resume()
		}
	}
	r.do(func() {
		from.conn.SetHandler(from)
		from.conn.Passes(true)
	})
	return from, to, source, sink
}

// wantPipes fails the test where another number of the loop's pipes is in use, or one that is not holds something.
func (r *running) wantPipes(out int) {
	r.t.Helper()
	r.do(func() {
		if l := &r.pipes; l.open-len(l.free) != out {
			r.t.Errorf("%d pipes are out of %d, want %d", l.open-len(l.free), l.open, out)
		}
		for _, p := range r.pipes.free {
			if n, err := unix.IoctlGetInt(p.r, unix.TIOCINQ); p.held > 0 || n > 0 || err != nil {
				r.t.Error("a free pipe holds something")
			}
		}
	})
}

// long is pattern, which is made once.
func long(n int) []byte { return longest()[:n:n] }

var longest = sync.OnceValue(func() []byte { return pattern(16 << 20) })

// utter writes p from a goroutine of its own.
func utter(t *testing.T, c net.Conn, p []byte) (done <-chan error) {
	t.Helper()
	written := make(chan error, 1)
	go func() {
		_, err := c.Write(p)
		written <- err
	}()
	return written
}

// Whatever the length, the bytes that are to pass arrive as they were sent, and those behind them stay with the one who has asked for so many.
func TestWhatPassesIsWhatWasSent(t *testing.T) {
	sizes := []int{0, 1, plentyLeast - 1, plentyLeast, plentyLeast + 1, readSize - 1, readSize, readSize + 1, passSize - 1, passSize, passSize + 1, 4*passSize + readSize, 4*passSize + readSize + 1, 3<<20 + 1}
	random := rand.New(rand.NewPCG(7, uint64(len(sizes))))
	for range 6 {
		sizes = append(sizes, random.IntN(4*passSize))
	}
	r := start(t, Options{})
	for _, behind := range []int{0, 1, readSize + 1} {
		for _, n := range sizes {
			from, to, source, sink := r.passage(int64(n))
			data := long(n + behind)
			done := utter(t, source, data)
			if !bytes.Equal(hear(t, sink, n), data[:n]) {
				t.Fatalf("%d bytes, %d behind them: others have come", n, behind)
			}
			if err := testnet.Receive(t, "the writer", done); err != nil {
				t.Fatal(err)
			}
			r.await("what is behind", func() bool { return from.left == 0 && len(from.got) == behind })
			r.do(func() {
				if !bytes.Equal(from.got, data[n:]) || to.conn.Sent() != uint64(n) || from.moved+from.reads != int64(n) {
					t.Errorf("%d bytes: %d passed, %d read, %d sent, %d behind", n, from.moved, from.reads, to.conn.Sent(), len(from.got))
				}
				if n > 1<<20 && from.moved == 0 {
					t.Errorf("%d bytes: none has passed", n)
				}
				from.conn.Close()
				to.conn.Close()
			})
		}
	}
	r.wantPipes(0)
}

// The last byte that is to pass says that nothing has come behind it, where that is so: the connection can serve again.
func TestTheEndOfWhatPassesIsKnownToBeTheEnd(t *testing.T) {
	for _, behind := range []int{0, 1} {
		r := start(t, Options{})
		from, _, source, sink := r.passage(4 * passSize)
		silent := make(chan bool, 1)
		proceed := r.halt()
		data := long(4*passSize + behind)
		done := utter(t, source, data)
		testnet.Await(t, "bytes for the relay", func() bool { return arrived(from.conn) > readSize })
		proceed()
		hear(t, sink, 4*passSize)
		if err := testnet.Receive(t, "the writer", done); err != nil {
			t.Fatal(err)
		}
		r.await("the end", func() bool { return from.left == 0 })
		r.turns()
		r.do(func() { silent <- from.conn.Silent() && len(from.got) == 0 })
		if yes := testnet.Receive(t, "the answer", silent); yes != (behind == 0) {
			t.Errorf("%d bytes behind: silent %v", behind, yes)
		}
	}
}

// A peer that does not read stops the source, and no more than passSize is in the pipe; once it reads, nothing is missing.
func TestAPipeHoldsTheSourceBack(t *testing.T) {
	r := start(t, Options{})
	data := long(16 << 20)
	from, to, source, sink := r.passage(int64(len(data)))
	done := utter(t, source, data)
	r.await("the pipe to stay full", func() bool { return to.conn.pipe != nil && to.conn.full && from.conn.IsPaused() })
	r.wantPipes(1)
	r.do(func() {
		if n := to.conn.Queued(); n == 0 || n > passSize || !to.conn.Behind() || !to.conn.Congested() {
			t.Errorf("%d bytes wait; behind %v, congested %v", n, to.conn.Behind(), to.conn.Congested())
		}
	})
	if !bytes.Equal(hear(t, sink, len(data)), data) {
		t.Error("the bytes are not those that were sent")
	}
	if err := testnet.Receive(t, "the writer", done); err != nil {
		t.Fatal(err)
	}
	r.await("the last of it", func() bool { return from.left == 0 && !to.conn.Behind() })
	r.wantPipes(0)
	r.do(func() {
		if to.drained == 0 || from.moved == 0 || to.conn.Queued() != 0 || r.Passed() != uint64(from.moved) {
			t.Errorf("%d times drained, %d passed, %d read, %d queued", to.drained, from.moved, from.reads, to.conn.Queued())
		}
	})
}

// fill brings a passage to where its pipe holds something, with the source stopped.
func (r *running) fill(n int) (from *relay, to *probe, source, sink *net.TCPConn, data []byte) {
	r.t.Helper()
	data = long(n)
	from, to, source, sink = r.passage(int64(n))
	go func() { _, _ = source.Write(data) }() // until the connection ends
	r.await("the pipe to stay full", func() bool { return to.conn.pipe != nil && to.conn.full && from.conn.IsPaused() })
	return from, to, source, sink, data
}

// What is written behind a pipe that holds something comes behind it, and so does the end.
func TestWhatIsWrittenComesBehindWhatIsInThePipe(t *testing.T) {
	for name, finish := range map[string]func(*Conn){"shutdown": (*Conn).Shutdown, "close": (*Conn).CloseWhenSent} {
		t.Run(name, func(t *testing.T) {
			r := start(t, Options{})
			from, to, _, sink, data := r.fill(16 << 20)
			var passed int
			r.do(func() {
				from.conn.Close()
				from.conn, passed = nil, int(from.moved+from.reads)
				to.conn.Write([]byte("small"))
				to.conn.Write(long(100_000))
				finish(to.conn)
			})
			want := append(append(bytes.Clone(data[:passed]), "small"...), long(100_000)...)
			if got := hearEnd(t, sink); !bytes.Equal(got, want) {
				t.Errorf("%d bytes have come, want %d, and in their order", len(got), len(want))
			}
			r.await("the pipe back", func() bool { return r.pipes.open == len(r.pipes.free) })
		})
	}
}

// Each side's failure is its own. A pipe that holds something when it is given up is never used again.
func TestAConnectionThatIsGivenUpTakesItsPipeAlong(t *testing.T) {
	for name, end := range map[string]func(to *probe, sink *net.TCPConn){
		"closed":    func(to *probe, _ *net.TCPConn) { to.conn.Close() },
		"abandoned": func(to *probe, _ *net.TCPConn) { to.conn.Abandon() },
		"reset":     func(to *probe, _ *net.TCPConn) { to.conn.Reset() },
		"broken":    func(to *probe, _ *net.TCPConn) { to.conn.breakWith(unix.EPIPE) },
		"peer gone": func(_ *probe, sink *net.TCPConn) { _ = sink.SetLinger(0); _ = sink.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, Options{})
			from, to, _, sink, _ := r.fill(16 << 20)
			r.do(func() {
				to.conn.FailOnHangup(true)
				end(to, sink)
			})
			r.await("the end", func() bool { return to.conn.IsClosed() })
			r.do(func() {
				if r.pipes.open != 0 || len(r.pipes.free) != 0 {
					t.Errorf("%d pipes, %d of them free", r.pipes.open, len(r.pipes.free))
				}
				if from.closed != 0 || from.eofs != 0 || from.conn.IsClosed() {
					t.Error("the source was told of what is none of its")
				}
				if name == "peer gone" && (to.closed != 1 || to.err == nil) {
					t.Errorf("told %d times, of %v", to.closed, to.err)
				}
			})
		})
	}
}

// The sink's peer may be found gone by the bytes that pass: its owner hears of it, and the source's goes on.
func TestAPeerThatIsFoundGoneIsItsOwnersToKnow(t *testing.T) {
	r := start(t, Options{})
	from, to, source, sink := r.passage(1 << 30)
	proceed := r.halt()
	done := utter(t, source, long(1<<20))
	testnet.Await(t, "bytes for the relay", func() bool { return arrived(from.conn) > readSize })
	reset(t, sink)
	testnet.Await(t, "the reset", func() bool { return hungUp(to.conn) })
	proceed()
	r.await("the sink's end", func() bool { return to.closed == 1 })
	if err := testnet.Receive(t, "the writer", done); err != nil {
		t.Fatal(err)
	}
	r.do(func() {
		if to.err == nil || from.closed != 0 {
			t.Errorf("the sink's owner was told of %v, the source's %d times", to.err, from.closed)
		}
	})
	r.wantPipes(0)
}

// An end in order is told as an end, behind everything that has come before it, and a reset as a failure: else an answer that is cut would pass for whole.
func TestTheEndOfASourceIsToldAsWhatItWas(t *testing.T) {
	for _, cut := range []bool{false, true} {
		r := start(t, Options{})
		from, to, source, sink := r.passage(1 << 40)
		data := long(2 << 20)
		done := utter(t, source, data)
		if !bytes.Equal(hear(t, sink, len(data)), data) {
			t.Fatal("other bytes have come")
		}
		if err := testnet.Receive(t, "the writer", done); err != nil {
			t.Fatal(err)
		}
		r.do(func() { from.conn.plenty = true }) // the end is found by a pass
		if cut {
			reset(t, source)
		} else if err := source.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		r.await("the end", func() bool { return from.eofs+from.closed > 0 })
		r.do(func() {
			if cut != (from.closed == 1) || cut != (from.err != nil) || cut == (from.eofs == 1) || to.closed != 0 {
				t.Errorf("cut %v: %d ends, %d failures, %v; %d at the sink", cut, from.eofs, from.closed, from.err, to.closed)
			}
		})
		r.wantPipes(0)
	}
}

// A loop that ends meanwhile leaves no descriptor behind: TestMain would tell.
func TestALoopMayEndWhilePipesHoldSomething(t *testing.T) {
	r := start(t, Options{})
	r.fill(16 << 20)
	r.fill(16 << 20)
	r.wantPipes(2)
}

// One large body does not keep the loop from the others: a turn has a bound.
func TestWhatPassesLeavesTheOthersTheirTurn(t *testing.T) {
	r := start(t, Options{})
	from, _, source, sink := r.passage(1 << 40)
	var most, before int64
	var look func()
	look = func() {
		most, before = max(most, from.moved-before), from.moved
		if before < 24<<20 && from.closed == 0 {
			r.Post(look) // for the next turn
		}
	}
	r.do(look)
	go func() { _, _ = io.Copy(io.Discard, sink) }()
	done := utter(t, source, make([]byte, 32<<20))
	if err := testnet.Receive(t, "the writer", done); err != nil {
		t.Fatal(err)
	}
	r.await("the bytes", func() bool { return before >= 24<<20 })
	r.do(func() {
		if bound := int64(2 * readsPerTurn * passSize); most > bound { // one event, and one share of the ready list
			t.Errorf("%d bytes have passed in a turn, want %d at most", most, bound)
		}
	})
}

// Nobody's bytes pass where there is a layer on either side, or where it was turned off.
func TestNothingPassesThroughALayerOrWhereItIsOff(t *testing.T) {
	r := start(t, Options{NoPass: true})
	data := long(1 << 20)
	from, _, source, sink := r.passage(int64(len(data)))
	wantWhole(t, source, sink, data)
	r.do(func() {
		if from.moved != 0 {
			t.Errorf("%d bytes have passed", from.moved)
		}
	})
	c := &Conn{layer: struct{ Layer }{}}
	if c.takesPass() {
		t.Error("a connection with a layer takes what passes")
	}
}

// Passing allocates nothing, once there is a pipe.
func TestPassingAllocatesNothing(t *testing.T) {
	r := start(t, Options{})
	from, _, source, sink := r.passage(1 << 50)
	data, into := long(1<<20), make([]byte, 1<<20)
	turn := func() {
		if _, err := source.Write(data); err != nil {
			t.Error(err)
		}
		_ = sink.SetReadDeadline(time.Now().Add(testnet.Patience))
		if _, err := io.ReadFull(sink, into); err != nil {
			t.Error(err)
		}
	}
	turn()
	if per := testing.AllocsPerRun(50, turn); per >= 1 {
		t.Errorf("%s allocations per MiB", strconv.FormatFloat(per, 'f', 2, 64))
	}
	r.do(func() {
		if from.moved == 0 {
			t.Error("nothing has passed")
		}
	})
}

var _ Passer = (*relay)(nil)
