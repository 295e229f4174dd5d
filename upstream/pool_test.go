package upstream

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"sluice/internal/testnet"
	"sluice/internal/unit"
)

// closedByUs shows that the node sees the end.
func closedByUs(t *testing.T, peer *net.TCPConn) {
	t.Helper()
	if err := peer.SetReadDeadline(time.Now().Add(testnet.Patience)); err != nil {
		t.Fatal(err)
	}
	if n, err := peer.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("the node reads %d bytes, %v; want the end", n, err)
	}
}

// The warmest is used first, so that what is too many runs into the idle timeout.
func TestTheConnectionUsedLastIsTakenFirst(t *testing.T) {
	b := startBench(t, nil)
	first, _ := b.acquire(false)
	second, _ := b.acquire(false)
	b.expect(2, 0)
	b.release(first)
	b.release(second)
	b.expect(2, 2)
	if x, _ := b.acquire(false); x.conn != second.conn || !x.conn.Reused {
		t.Error("it was not the one that was given back last")
	}
	if x, _ := b.acquire(false); x.conn != first.conn {
		t.Error("it was not the other one")
	}
	b.expect(2, 0)
}

func TestAFreshConnectionIsNewThoughOthersAreIdle(t *testing.T) {
	b := startBench(t, nil)
	first, _ := b.acquire(false)
	b.release(first)
	if x, _ := b.acquire(true); x.conn == first.conn || x.conn.Reused {
		t.Error("it has served before")
	}
	b.expect(2, 1)
}

// The next owner hears what comes on it, and the one before does not.
func TestAReusedConnectionBelongsToItsNewOwner(t *testing.T) {
	b := startBench(t, nil)
	first, peer := b.acquire(false)
	b.release(first)
	second, _ := b.acquire(false)
	if _, err := peer.Write([]byte("answer")); err != nil {
		t.Fatal(err)
	}
	b.await("the answer", func() bool { return string(second.got) == "answer" })
	b.do(func() {
		if len(first.got) > 0 {
			t.Errorf("the owner before heard %q", first.got)
		}
	})
	// One that is used is not idle, however long it takes.
	b.pass(2 * DefaultIdleTimeout)
	b.expect(1, 0)
	peer.Close()
	b.gone()
	b.do(func() {
		if second.ends != 1 || first.ends != 0 {
			t.Errorf("the end was told %d times to the owner, %d times to the one before", second.ends, first.ends)
		}
	})
}

func TestAConnectionThatIsIdleForTooLongIsClosed(t *testing.T) {
	b := startBench(t, func(c *Config) { c.Pool.IdleTimeout = unit.Duration(10 * time.Second) })
	x, peer := b.acquire(false)
	b.release(x)
	b.pass(9900 * time.Millisecond)
	b.expect(1, 1)
	again, _ := b.acquire(false) // the time begins anew
	b.release(again)
	b.pass(9900 * time.Millisecond)
	b.expect(1, 1)
	b.pass(200 * time.Millisecond)
	b.expect(0, 0)
	closedByUs(t, peer)
}

// Past max_age a connection takes no further request, so it does not rest for longer either.
func TestAConnectionRestsForNoLongerThanItMayBeUsed(t *testing.T) {
	b := startBench(t, func(c *Config) { c.Pool.MaxAge = unit.Duration(20 * time.Second) })
	x, peer := b.acquire(false)
	b.pass(12 * time.Second)
	b.release(x)
	b.pass(7900 * time.Millisecond)
	b.expect(1, 1)
	b.pass(200 * time.Millisecond)
	b.expect(0, 0)
	closedByUs(t, peer)
}

// What the node says in Keep-Alive counts where it is shorter, less a margin for the way.
func TestAConnectionRestsForLessThanTheNodeKeepsIt(t *testing.T) {
	b := startBench(t, nil)
	x, peer := b.acquire(false)
	b.do(func() { x.conn.LimitIdle(4 * time.Second) })
	b.release(x)
	b.pass(2900 * time.Millisecond)
	b.expect(1, 1)
	b.pass(200 * time.Millisecond)
	b.expect(0, 0)
	closedByUs(t, peer)

	y, _ := b.acquire(false)
	b.do(func() { y.conn.LimitIdle(time.Hour) })
	b.release(y)
	b.pass(DefaultIdleTimeout - 100*time.Millisecond)
	b.expect(1, 1)
	b.pass(200 * time.Millisecond)
	b.expect(0, 0)
}

// A node that says nothing is found out: after three closes alike the fourth connection is not kept for as long.
func TestTheIdleTimeoutOfANodeIsLearnedFromItsCloses(t *testing.T) {
	b := startBench(t, nil)
	for range closesAlike {
		x, peer := b.acquire(false)
		b.release(x)
		b.pass(5 * time.Second)
		b.expect(1, 1)
		peer.Close()
		b.gone()
	}
	x, _ := b.acquire(false)
	b.release(x)
	b.pass(3900 * time.Millisecond)
	b.expect(1, 1)
	b.pass(200 * time.Millisecond)
	b.expect(0, 0)
}

// Nothing is due on the clock, which stands still: the close alone removes it.
func TestAnIdleConnectionThatTheNodeClosesIsRemovedAtOnce(t *testing.T) {
	b := startBench(t, nil)
	x, peer := b.acquire(false)
	y, other := b.acquire(false)
	b.release(x)
	b.release(y)
	peer.Close()
	b.await("the first to go", func() bool { return len(b.node.pools[0].idle) == 1 })
	b.do(func() {
		if b.node.pools[0].idle[0] != y.conn || x.ends > 0 {
			t.Errorf("the wrong one went, or its owner of before was told: %d", x.ends)
		}
	})
	if err := other.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	other.Close()
	b.gone()
}

// The close may lie in the kernel while the loop works: a connection whose end is known is not given out.
func TestAConnectionWhoseEndIsKnownIsNotReused(t *testing.T) {
	b := startBench(t, nil)
	x, peer := b.acquire(false)
	b.do(func() { x.conn.Pause() })
	if err := peer.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	b.await("the end", x.conn.PeerShut)
	b.release(x)
	b.expect(0, 0)
	if y, _ := b.acquire(false); y.conn == x.conn {
		t.Error("it was given out")
	}
}

// They would be taken for the answer to the next request.
func TestBytesThatNobodyAskedForCloseAConnection(t *testing.T) {
	b := startBench(t, nil)
	x, peer := b.acquire(false)
	b.release(x)
	if _, err := peer.Write([]byte("HTTP/1.1 408 Request Timeout\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	b.gone()

	// The same where they come before the connection is given back, and have not been read.
	y, peer := b.acquire(false)
	b.do(func() { y.conn.Pause() })
	if _, err := peer.Write([]byte("more")); err != nil {
		t.Fatal(err)
	}
	b.release(y)
	b.gone()
	b.do(func() {
		if len(x.got)+len(y.got) > 0 {
			t.Errorf("an owner heard %q, %q", x.got, y.got)
		}
	})
}

func TestThePoolKeepsNoMoreThanItMay(t *testing.T) {
	for _, most := range []int{0, 2} {
		b := startBench(t, func(c *Config) { c.Pool.MaxIdlePerWorker = &most })
		var used []*exchange
		for range 4 {
			x, _ := b.acquire(false)
			used = append(used, x)
		}
		for _, x := range used {
			b.release(x)
		}
		b.expect(most, most)
	}
}

// Twice in the pool, it would serve two exchanges at once. Discarded twice, it would be counted as two.
func TestGivingBackTwiceIsGivingBackOnce(t *testing.T) {
	b := startBench(t, nil)
	x, _ := b.acquire(false)
	b.release(x)
	b.release(x)
	b.expect(1, 1)
	b.do(func() { x.conn.Discard(); x.conn.Discard(); x.conn.Release(b.service); x.conn.CloseWhenSent() })
	b.expect(0, 0)
}

func TestAConnectionThatIsGivenUpSendsItsLastBytesForATime(t *testing.T) {
	b := startBench(t, nil)
	x, peer := b.acquire(false)
	b.do(func() {
		x.conn.Write([]byte("bye"))
		x.conn.CloseWhenSent()
	})
	if err := peer.SetReadDeadline(time.Now().Add(testnet.Patience)); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(peer); string(got) != "bye" || err != nil {
		t.Errorf("the node heard %q, %v", got, err)
	}
	b.gone()

	y, _ := b.acquire(false) // whose node does not read
	b.do(func() {
		y.conn.Write(make([]byte, 32<<20))
		y.conn.CloseWhenSent()
	})
	b.pass(sendTime - 100*time.Millisecond)
	b.expect(1, 0)
	b.pass(200 * time.Millisecond)
	b.expect(0, 0)
}

func TestAcquireAndReleaseAllocateNothing(t *testing.T) {
	b := startBench(t, nil)
	x, _ := b.acquire(false)
	b.release(x)
	b.do(func() {
		if n := testing.AllocsPerRun(1000, func() {
			c, err := b.node.Acquire(0, b.Loop, x, false)
			if err != nil || c != x.conn {
				t.Error(c, err)
			}
			c.Release(b.service)
		}); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}

// BenchmarkPoolAcquireAndRelease is what a kept connection to a node costs an exchange: taken from the pool, and given back with its idle timeout set.
func BenchmarkPoolAcquireAndRelease(b *testing.B) {
	w := startBench(b, nil)
	x, _ := w.acquire(false)
	w.release(x)
	b.ReportAllocs()
	w.do(func() {
		for b.Loop() {
			c, err := w.node.Acquire(0, w.Loop, x, false)
			if err != nil {
				b.Error(err)
				return
			}
			c.Release(w.service)
		}
	})
}
