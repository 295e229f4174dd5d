package tlsconn

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sluice/core/event"
	"sluice/internal/testcert"
	"sluice/internal/testnet"
)

// host is a loop that serves TLS for a test. What its connections do is told by the latest of them, peer.
type host struct {
	t      testing.TB
	loop   *event.Loop
	addr   netip.AddrPort
	config *tls.Config
	ca     *testcert.Authority
	peers  chan *peer
}

// peer is the owner of one accepted connection. Its fields are the loop's.
type peer struct {
	conn     *event.Conn
	tls      *Conn
	got      []byte
	opened   bool
	eof      bool
	closed   bool
	failed   error // the handshake
	err      error // of Closed
	onOpened func(p *peer)
	onData   func(p *peer) // nil: keep everything
	onDrain  func(p *peer)
}

func (p *peer) Opened(*event.Conn) {
	p.opened = true
	if p.onOpened != nil {
		p.onOpened(p)
	}
}

func (p *peer) Data(c *event.Conn) {
	p.got = append(p.got, c.Unread()...)
	c.Consume(len(c.Unread()))
	if p.onData != nil {
		p.onData(p)
	}
}

func (p *peer) EOF(*event.Conn) { p.eof = true }

func (p *peer) Drained(*event.Conn) {
	if p.onDrain != nil {
		p.onDrain(p)
	}
}

func (p *peer) Closed(_ *event.Conn, err error) { p.closed, p.err = true, err }

func (p *peer) HandshakeFailed(c *event.Conn, err error) {
	p.failed = err
	c.CloseWhenSent()
}

// newHost starts a loop whose connections are set up by prepare, which may be nil.
func newHost(t testing.TB, prepare func(p *peer), change func(c *tls.Config)) *host {
	t.Helper()
	h := &host{t: t, ca: testcert.NewAuthority(t), peers: make(chan *peer, 1000)}
	h.config = &tls.Config{Certificates: []tls.Certificate{h.ca.Issue("a.test").Certificate}, DynamicRecordSizingDisabled: true}
	if change != nil {
		change(h.config)
	}
	var err error
	if h.loop, err = event.NewLoop(event.Options{Logger: slog.New(slog.NewTextHandler(bugs{t}, nil))}); err != nil {
		t.Fatal(err)
	}
	fds, addr, err := event.Bind(netip.MustParseAddrPort("127.0.0.1:0"), 1)
	if err != nil {
		t.Fatal(err)
	}
	h.addr = addr
	if _, err := h.loop.Listen(fds[0], func(c *event.Conn, err error) event.Handler {
		p := &peer{conn: c}
		p.tls = Server(c, h.config, nil)
		if prepare != nil {
			prepare(p)
		}
		h.peers <- p
		return p
	}); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- h.loop.Run() }()
	t.Cleanup(func() {
		h.loop.Stop()
		if err := testnet.Receive(t, "the loop to end", done); err != nil {
			t.Error(err)
		}
	})
	return h
}

// bugs fails the test for a panic that the loop survived.
type bugs struct{ t testing.TB }

func (b bugs) Write(p []byte) (int, error) {
	if strings.Contains(string(p), "BUG:") {
		b.t.Errorf("%s", p)
	}
	return len(p), nil
}

// do runs f on the loop and waits for it.
func (h *host) do(f func()) {
	h.t.Helper()
	done := make(chan struct{})
	h.loop.Post(func() { defer close(done); f() })
	testnet.Receive(h.t, "the loop", done)
}

// await waits until cond, which is asked on the loop, is true.
func (h *host) await(what string, cond func() bool) {
	h.t.Helper()
	testnet.Await(h.t, what, func() (ok bool) {
		h.do(func() { ok = cond() })
		return ok
	})
}

// peer returns the next connection that was accepted.
func (h *host) peer() *peer {
	h.t.Helper()
	return testnet.Receive(h.t, "a connection", h.peers)
}

// dialRaw connects without TLS.
func (h *host) dialRaw() *net.TCPConn {
	h.t.Helper()
	c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(h.addr))
	if err != nil {
		h.t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(testnet.Patience))
	h.t.Cleanup(func() { c.Close() })
	return c
}

// client returns the settings of a client that trusts the host.
func (h *host) client() *tls.Config {
	return &tls.Config{ServerName: "a.test", RootCAs: h.ca.Pool, DynamicRecordSizingDisabled: true}
}

// over makes a TLS client of a connection and shakes hands.
func (h *host) over(c net.Conn, config *tls.Config) *tls.Conn {
	h.t.Helper()
	client := tls.Client(c, config)
	if err := client.Handshake(); err != nil {
		h.t.Fatal(err)
	}
	return client
}

// crumbs writes one byte at a time, each as a segment of its own.
type crumbs struct{ net.Conn }

func (c crumbs) Write(p []byte) (int, error) {
	for i := range p {
		if _, err := c.Conn.Write(p[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(p), nil
}

// gatherer keeps what is written until release, so that it goes out in one piece.
type gatherer struct {
	net.Conn
	on   bool
	held []byte
}

func (g *gatherer) Write(p []byte) (int, error) {
	if !g.on {
		return g.Conn.Write(p)
	}
	g.held = append(g.held, p...)
	return len(p), nil
}

// SetWriteDeadline keeps the deadline away that tls.Conn sets behind its close_notify.
func (g *gatherer) SetWriteDeadline(time.Time) error { return nil }

func (g *gatherer) release(t testing.TB) {
	t.Helper()
	if _, err := g.Conn.Write(g.held); err != nil {
		t.Fatal(err)
	}
	g.on, g.held = false, nil
}

// versions are those that are served.
var versions = map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13}

// readAll reads until the end in order.
func readAll(t testing.TB, r io.Reader) []byte {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("read: %v, after %d bytes", err, len(b))
	}
	return b
}
