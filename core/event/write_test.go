package event

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/testnet"
)

// hear reads n bytes from the loop's side of a connection.
func hear(t testing.TB, peer *net.TCPConn, n int) []byte {
	t.Helper()
	got := make([]byte, n)
	patiently(t, peer)
	if m, err := io.ReadFull(peer, got); err != nil {
		t.Fatalf("%d bytes of %d: %v", m, n, err)
	}
	return got
}

// hearEnd reads to the end.
func hearEnd(t testing.TB, peer *net.TCPConn) []byte {
	t.Helper()
	patiently(t, peer)
	got, err := io.ReadAll(peer)
	if err != nil {
		t.Fatalf("after %d bytes: %v", len(got), err)
	}
	return got
}

func patiently(t testing.TB, peer *net.TCPConn) {
	t.Helper()
	if err := peer.SetReadDeadline(time.Now().Add(testnet.Patience)); err != nil {
		t.Fatal(err)
	}
}

// feeder writes data in pieces of many sizes for as long as its connection is not congested.
type feeder struct {
	data      []byte
	at, piece int
	congested int // how often Congested said yes
}

func (f *feeder) feed(c *Conn) {
	sizes := [...]int{1, 900, 16 << 10, 70_000, 16<<10 + 1, 30}
	for f.at < len(f.data) {
		n := min(sizes[f.piece%len(sizes)], len(f.data)-f.at)
		if f.piece%2 == 0 {
			c.Write(f.data[f.at : f.at+n])
		} else {
			c.Commit(append(c.Buffer(), f.data[f.at:f.at+n]...))
		}
		f.at, f.piece = f.at+n, f.piece+1
		if c.Congested() {
			f.congested++
			return
		}
	}
}

func TestASourceIsHeldBackByAPeerThatDoesNotReadAndNothingIsLost(t *testing.T) {
	r, p, f := start(t, Options{}), &probe{}, &feeder{data: pattern(24 << 20)}
	p.onDrained = f.feed
	peer := r.pair(p)
	r.do(func() { f.feed(p.conn) })
	// The kernel's own buffers may drain the queue a few times before they are full as well.
	r.await("the queue to stay full", func() bool { return p.conn.full && f.congested == p.drained+1 && f.at < len(f.data) })
	r.do(func() {
		if queued := p.conn.Queued(); queued <= lowWater || queued > highWater+70_000 {
			t.Errorf("%d bytes wait, want at most the mark and one piece", queued)
		}
	})
	got := hear(t, peer, len(f.data))
	if sha256.Sum256(got) != sha256.Sum256(f.data) {
		t.Error("the bytes are not those that were written")
	}
	r.await("the last word of the queue", func() bool { return p.drained == f.congested })
	r.do(func() {
		if f.congested == 0 || p.conn.Queued() != 0 || p.conn.queue != nil || p.conn.Sent() != uint64(len(f.data)) {
			t.Errorf("%d times congested, %d queued, %d sent", f.congested, p.conn.Queued(), p.conn.Sent())
		}
	})
	r.await("every byte to be acknowledged", func() bool { return p.conn.Delivered() == uint64(len(f.data)) })
}

func TestAPeerThatHasEndedItsSideIsStillWrittenTo(t *testing.T) {
	r, p := start(t, Options{}), &probe{}
	peer := r.pair(p)
	say(t, peer, []byte("question"))
	if err := peer.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	r.await("the end", func() bool { return p.eofs == 1 })
	answer := pattern(3 << 20)
	r.do(func() {
		if string(p.got) != "question" || p.closed > 0 {
			t.Errorf("got %q, %d closes", p.got, p.closed)
		}
		p.conn.Write(answer)
		p.conn.Shutdown()
	})
	if !bytes.Equal(hearEnd(t, peer), answer) {
		t.Error("the answer has changed on its way")
	}
	r.do(func() {
		if p.eofs != 1 || p.closed != 0 || p.conn.IsClosed() {
			t.Errorf("%d ends, %d closes: the owner closes a connection that has ended both ways", p.eofs, p.closed)
		}
	})
}

// The queue is full when Shutdown is called, and the end comes behind it.
func TestAShutdownFollowsWhatIsQueuedAndLeavesTheOtherWayOpen(t *testing.T) {
	r, p := start(t, Options{}), &probe{}
	peer := r.pair(p)
	data := pattern(16 << 20)
	r.do(func() {
		p.conn.Write(data)
		if p.conn.Queued() == 0 {
			t.Error("the kernel has taken all: the test shows nothing")
		}
		p.conn.Shutdown()
	})
	if !bytes.Equal(hearEnd(t, peer), data) {
		t.Error("the bytes are not those that were written")
	}
	say(t, peer, []byte("thanks"))
	r.await("the peer's word", func() bool { return string(p.got) == "thanks" })
	r.do(func() {
		if p.closed > 0 || p.eofs > 0 {
			t.Errorf("%d closes, %d ends", p.closed, p.eofs)
		}
	})
}

func TestCloseWhenSentClosesBehindWhatIsQueuedAndSaysSo(t *testing.T) {
	r, p := start(t, Options{}), &probe{err: errors.New("not told")}
	peer := r.pair(p)
	data := pattern(16 << 20)
	r.do(func() {
		p.conn.Write(data)
		p.conn.CloseWhenSent()
		p.conn.CloseWhenSent()
	})
	r.turns()
	r.do(func() {
		if p.closed > 0 {
			t.Error("it was closed before all was sent")
		}
	})
	if !bytes.Equal(hearEnd(t, peer), data) {
		t.Error("the bytes are not those that were written")
	}
	r.await("the close", func() bool { return p.closed > 0 })
	r.do(func() {
		if p.closed != 1 || p.err != nil || p.calls+p.eofs+p.drained > 0 {
			t.Errorf("%d closes, %v; %d times data, %d ends, %d drained", p.closed, p.err, p.calls, p.eofs, p.drained)
		}
	})
}

// What the peer says at the last moment, such as an empty line behind its request, makes the close a reset: it must come behind the answer.
func TestCloseWhenSentDeliversTheEndWhateverThePeerHasSaidMeanwhile(t *testing.T) {
	r, p := start(t, Options{}), &probe{}
	peer := r.pair(p)
	halted, release := make(chan struct{}), make(chan struct{})
	r.Post(func() { // writes and closes before it can know
		close(halted)
		<-release
		p.conn.Write([]byte("answer"))
		p.conn.CloseWhenSent()
	})
	testnet.Receive(t, "the loop to halt", halted)
	say(t, peer, []byte("more"))
	testnet.Await(t, "what the peer says", func() bool { return arrived(p.conn) == 4 })
	close(release)
	r.await("the close", func() bool { return p.closed == 1 })
	if got, _ := io.ReadAll(peer); string(got) != "answer" {
		t.Errorf("the peer got %q", got)
	}
}

func TestCloseWhenSentFailsWhenThePeerIsGone(t *testing.T) {
	r, p := start(t, Options{}), &probe{}
	peer := r.pair(p)
	r.do(func() {
		p.conn.Write(pattern(16 << 20))
		p.conn.CloseWhenSent()
	})
	reset(t, peer)
	r.await("the close", func() bool { return p.closed == 1 })
	r.do(func() {
		if p.err == nil {
			t.Error("no error, as if all had been sent")
		}
	})
}

// A node may answer and close before it has taken the whole request: the answer counts, whatever became of the write.
func TestWhatThePeerSaidBeforeAWriteBrokeIsReadFirst(t *testing.T) {
	r, p := start(t, Options{}), &probe{}
	peer := r.pair(p)
	halted, release := make(chan struct{}), make(chan struct{})
	r.Post(func() { // writes before it can know of the reset
		close(halted)
		<-release
		p.conn.Write([]byte("more"))
	})
	testnet.Receive(t, "the loop to halt", halted)
	say(t, peer, []byte("413"))
	testnet.Await(t, "the answer", func() bool { return arrived(p.conn) == 3 })
	reset(t, peer)
	testnet.Await(t, "the reset", func() bool { return hungUp(p.conn) })
	close(release)
	r.await("the failure", func() bool { return p.closed == 1 })
	r.do(func() {
		if string(p.got) != "413" || p.eofs != 0 || !errors.Is(p.err, unix.ECONNRESET) && !errors.Is(p.err, unix.EPIPE) {
			t.Errorf("got %q, %d ends, %v", p.got, p.eofs, p.err)
		}
		p.conn.Write([]byte("to nobody"))
		p.conn.Commit(append(p.conn.Buffer(), "to nobody"...))
		p.conn.Close()
	})
}

// A source that waits for Drained would wait for good: it has to be told of the failure instead.
func TestACongestedConnectionThatBreaksIsClosed(t *testing.T) {
	r, p, f := start(t, Options{}), &probe{}, &feeder{data: pattern(24 << 20)}
	p.onDrained = f.feed
	peer := r.pair(p)
	r.do(func() { f.feed(p.conn) })
	r.await("the queue to stay full", func() bool { return p.conn.full && f.congested == p.drained+1 })
	reset(t, peer)
	r.await("the failure", func() bool { return p.closed == 1 })
	r.do(func() {
		if p.err == nil {
			t.Error("closed without an error")
		}
	})
}

// writeCalls returns how many write calls, of whatever kind, the calling thread has made.
func writeCalls(t testing.TB) int {
	t.Helper()
	text, err := os.ReadFile("/proc/thread-self/io")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "syscw: "); ok {
			n, err := strconv.Atoi(strings.TrimSpace(value))
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatal("the kernel does not count write calls")
	return 0
}

// A head and a body that is too large to be copied behind it: two calls would be two segments.
func TestAHeadAndALargeBodyAreSentInOneCall(t *testing.T) {
	r, p := start(t, Options{}), &probe{}
	peer := r.pair(p)
	head, body := []byte("head"), pattern(outSize+1)
	calls := 0
	r.do(func() {
		before := writeCalls(t)
		p.conn.Commit(append(p.conn.Buffer(), head...))
		p.conn.Write(body)
		p.conn.Loop().flush()
		calls = writeCalls(t) - before
	})
	if got := hear(t, peer, len(head)+len(body)); !bytes.Equal(got, append(head, body...)) {
		t.Error("the bytes are not those that were written")
	}
	if calls != 1 {
		t.Errorf("%d calls", calls)
	}
}

// Each segment is a wake-up of the peer and a walk through both stacks.
func TestTheLastBytesAndTheEndAreOneSegment(t *testing.T) {
	r, p := start(t, Options{}), &probe{}
	peer := r.pair(p)
	say(t, peer, []byte("question"))
	r.await("the question", func() bool { return string(p.got) == "question" })
	var sent uint32
	segments := func() uint32 {
		info, err := unix.GetsockoptTCPInfo(p.conn.fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			t.Fatal(err)
		}
		return info.Segs_out
	}
	r.do(func() {
		before := segments()
		p.conn.Write([]byte("answer"))
		p.conn.Shutdown()
		p.conn.Loop().flush()
		sent = segments() - before
	})
	if got := hearEnd(t, peer); string(got) != "answer" {
		t.Errorf("got %q", got)
	}
	if sent != 1 {
		t.Errorf("%d segments", sent)
	}
}

// A connection that carries the messages of many others gathers a turn's worth of them into one write; what has filled a buffer does not wait.
func TestAConnectionThatGathersIsFlushedAtTheEndOfTheTurn(t *testing.T) {
	r, plain, gathers := start(t, Options{}), &probe{}, &probe{}
	peerOfPlain, peer := r.pair(plain), r.pair(gathers)
	big := pattern(outSize)
	done := make(chan struct{})
	r.do(func() {
		gathers.conn.GatherTurn()
		// Letters that one of them posts are taken together, in a turn of their own.
		steps := []func(){
			func() { plain.conn.Write([]byte("a")); gathers.conn.Write([]byte("a")) },
			func() {
				if plain.conn.Sent() != 1 || gathers.conn.Sent() != 0 {
					t.Errorf("sent at the end of the step: %d and %d, want 1 and 0", plain.conn.Sent(), gathers.conn.Sent())
				}
				gathers.conn.Commit(append(gathers.conn.Buffer(), big...))
				if want := uint64(1 + len(big)); gathers.conn.Sent() != want {
					t.Errorf("sent of a full buffer: %d, want %d", gathers.conn.Sent(), want)
				}
				gathers.conn.Commit(append(gathers.conn.Buffer(), "b"...))
			},
			func() { close(done) },
		}
		for _, step := range steps {
			r.Loop.Post(step)
		}
	})
	<-done
	hear(t, peerOfPlain, 1)
	if got := hear(t, peer, len(big)+2); string(got) != "a"+string(big)+"b" {
		t.Error("the bytes are not those that were written")
	}
}
