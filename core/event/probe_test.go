package event

import (
	"bytes"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/internal/testnet"
)

// running is a loop that runs, for the time of a test.
type running struct {
	*Loop
	t testing.TB
}

// start runs a loop until the end of the test.
func start(t testing.TB, opts Options) *running {
	t.Helper()
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	opts.NoRing = opts.NoRing || os.Getenv(plainVariable) != ""
	l, err := NewLoop(opts)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- l.Run() }()
	t.Cleanup(func() {
		l.Stop()
		if err := testnet.Receive(t, "the loop to end", done); err != nil {
			t.Error(err)
		}
	})
	return &running{l, t}
}

// do runs f on the loop and waits for it.
func (r *running) do(f func()) {
	r.t.Helper()
	done := make(chan struct{})
	r.Post(func() { defer close(done); f() })
	testnet.Receive(r.t, "the loop", done)
}

// await waits until cond, which is asked on the loop, is true.
func (r *running) await(what string, cond func() bool) {
	r.t.Helper()
	testnet.Await(r.t, what, func() (ok bool) {
		r.do(func() { ok = cond() })
		return ok
	})
}

// turns waits until the loop has been through two whole turns: whatever the kernel had to tell before is dispatched.
func (r *running) turns() {
	r.t.Helper()
	for range 2 {
		r.do(func() {})
	}
}

// halt keeps the loop from working until the returned function is called, so that things can happen behind its back.
func (r *running) halt() (proceed func()) {
	r.t.Helper()
	halted, release := make(chan struct{}), make(chan struct{})
	r.Post(func() { close(halted); <-release })
	testnet.Receive(r.t, "the loop to halt", halted)
	return func() { close(release) }
}

// listen accepts connections on the loop.
func (r *running) listen(accept Accept) netip.AddrPort {
	r.t.Helper()
	fds, addr, err := Bind(netip.MustParseAddrPort("127.0.0.1:0"), 1)
	if err != nil {
		r.t.Fatal(err)
	}
	r.do(func() {
		if _, err := r.Listen(fds[0], accept); err != nil {
			r.t.Error(err)
		}
	})
	return addr
}

// pair returns a connection of the loop with p as its owner, and the peer's end.
func (r *running) pair(p *probe) *net.TCPConn {
	r.t.Helper()
	addr := r.listen(func(c *Conn, err error) Handler {
		if err != nil {
			r.t.Error(err)
			return nil
		}
		p.conn = c
		maybeLayered(c)
		return p
	})
	peer := connect(r.t, addr)
	r.await("the connection to be accepted", func() bool { return p.conn != nil })
	return peer
}

// connect returns a connection of the runtime's own to addr.
func connect(t testing.TB, addr netip.AddrPort) *net.TCPConn {
	t.Helper()
	c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(addr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// reset ends a connection by RST.
func reset(t testing.TB, c *net.TCPConn) {
	t.Helper()
	if err := c.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

// arrived returns how many bytes the kernel holds for c.
func arrived(c *Conn) int {
	n, err := unix.IoctlGetInt(c.fd, unix.TIOCINQ)
	if err != nil {
		return -1
	}
	return n
}

// hungUp reports whether the kernel knows of a reset of c. It looks with poll(2), so that epoll's edge stays.
func hungUp(c *Conn) bool {
	fds := []unix.PollFd{{Fd: int32(c.fd)}}
	n, err := unix.Poll(fds, 0)
	return n == 1 && err == nil && fds[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0
}

// probe is a handler that keeps a record, and does what a test gives it to do. It is the loop's: tests look at it within do.
type probe struct {
	conn    *Conn
	got     []byte // everything consumed
	opened  int
	calls   int // of Data
	eofs    int
	drained int
	closed  int
	err     error // of Closed

	onOpened  func(c *Conn)
	onData    func(c *Conn) // nil: consume everything
	onEOF     func(c *Conn)
	onDrained func(c *Conn)
	onClosed  func(c *Conn)
}

func (p *probe) Opened(c *Conn) {
	p.opened++
	call(p.onOpened, c)
}

func (p *probe) Data(c *Conn) {
	p.calls++
	if p.onData != nil {
		p.onData(c)
		return
	}
	p.take(c)
}

func (p *probe) EOF(c *Conn) {
	p.eofs++
	call(p.onEOF, c)
}

func (p *probe) Drained(c *Conn) {
	p.drained++
	call(p.onDrained, c)
}

func (p *probe) Closed(c *Conn, err error) {
	p.closed++
	p.err = err
	call(p.onClosed, c)
}

func call(f func(*Conn), c *Conn) {
	if f != nil {
		f(c)
	}
}

// take consumes what there is.
func (p *probe) take(c *Conn) {
	p.got = append(p.got, c.Unread()...)
	c.Consume(len(c.Unread()))
}

// pattern returns n bytes in which every stretch of eight names its place.
func pattern(n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		b.Write([]byte{byte(i >> 48), byte(i >> 40), byte(i >> 32), byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i), '.'})
	}
	return b.Bytes()[:n]
}

var _ Handler = (*probe)(nil)
