package proxy

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net/netip"
	"strings"

	"sluice/codec/proxyproto"
	"sluice/core/event"
	"sluice/core/observe"
	"sluice/core/tlsconn"
	"sluice/internal/fault"
)

// greeting owns a client connection until there is a session: while it reads a PROXY header, and while TLS shakes hands.
//
//	accept ──► header ──► handshake ──► session
//	              │           │
//	              └─ refused ─┴─ failed ──► linger ──► closed
//
// It may last as long as a request head, from accept to session; a drain shortens that.
type greeting struct {
	worker *worker
	conn   *event.Conn
	door   *door
	client client
	phase  greetingPhase
	timer  event.Timer
	linger int // bytes that linger still puts up with

	// The handshake, filled in by its callbacks.
	layer  *tlsconn.Conn
	asked  bool         // the client has said hello
	name   string       // that it asked for (SNI)
	cert   *Certificate // that it is shown; nil = there is none for the name
	probed bool         // an authority looked at a challenge, and nothing will be served

	// The worker's list, oldest first.
	prev, next *greeting
}

type greetingPhase uint8

const (
	greetHeader greetingPhase = iota
	greetHandshake
	greetLinger
)

// door is what its listener says of a connection.
type door struct {
	tls      bool
	proxied  bool // every connection begins with a PROXY header
	redirect int  // requests are sent to HTTPS on that port; 0 = they are not
}

// maxGreetings bounds the connections of a worker that are not sessions yet. A handshake that has begun holds about 40 KiB, so that those who begin many and finish none
// take 80 MiB at most. Beyond it the oldest gives way: a client that means it is done within two round trips, and so is among the youngest.
const maxGreetings = 2048

func (w *worker) greet(c *event.Conn, d *door, from client) event.Handler {
	g := &greeting{worker: w, conn: c, door: d, client: from}
	g.timer.Owner = g
	w.greetings.add(g)
	if w.greetings.count > maxGreetings {
		w.stats.Handshake(observe.HandshakeRefused)
		w.greetings.oldest.end()
	}
	w.loop.SetTimer(&g.timer, w.server.settings.Load().timeouts.requestHeader)
	if d.proxied {
		return g
	}
	g.shake(nil)
	return g
}

// Data reads the PROXY header. What follows it is the session's, or the handshake's.
func (g *greeting) Data(c *event.Conn) {
	if g.phase == greetLinger {
		g.discard()
		return
	}
	h, n, err := proxyproto.Parse(c.Unread())
	if err == nil && !g.worker.server.settings.Load().mayIntroduce(c.Remote().Addr()) {
		err = errors.New("proxy: a PROXY header from a peer that is no trusted proxy")
	}
	if err != nil {
		g.worker.stats.ProxyHeaderRefused()
		g.end()
		return
	}
	if n == 0 {
		return
	}
	c.Consume(n)
	if h.Source.IsValid() {
		g.client = g.worker.newClient(h.Source, g.door)
		if !g.worker.admitClient(&g.client) {
			g.end()
			return
		}
	}
	if g.door.tls {
		lead := bytes.Clone(c.Unread())
		c.Consume(len(lead))
		g.shake(lead)
		return
	}
	s := g.open("")
	if len(c.Unread()) > 0 {
		s.Data(c)
	}
}

// shake begins the handshake.
func (g *greeting) shake(lead []byte) {
	g.phase = greetHandshake
	g.layer = tlsconn.Server(g.conn, g.worker.server.tls.config, lead)
	g.layer.Owner = g
}

// Opened tells that the handshake is done.
func (g *greeting) Opened(*event.Conn) {
	state := g.layer.State()
	g.worker.stats.Handshake(observe.HandshakeDone(state.Version == tls.VersionTLS13, state.DidResume))
	if g.probed {
		g.end()
		return
	}
	g.client.tls = newSecured(g, &state)
	g.layer.Owner = nil
	g.open(state.NegotiatedProtocol)
}

// open makes the session that follows. The protocol is what ALPN has agreed upon, "" without.
func (g *greeting) open(protocol string) event.Handler {
	w := g.worker
	w.loop.DropTimer(&g.timer)
	var s interface {
		event.Handler
		drainer
	}
	if protocol == alpnHTTP2 {
		s = newSessionH2(w, g.conn, g.client)
	} else {
		s = newSession(w, g.conn, g.client)
	}
	g.conn.SetHandler(s)
	w.greetings.remove(g)
	if w.draining && !w.handingOver {
		s.drain()
	}
	return s
}

// HandshakeFailed tells the client why: crypto/tls has sent an alert, and who spoke HTTP is answered in it.
func (g *greeting) HandshakeFailed(c *event.Conn, err error) {
	var record tls.RecordHeaderError
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.As(err, &record) && looksLikeHTTP(record.RecordHeader):
		g.worker.stats.Handshake(observe.HandshakeNotTLS)
		g.worker.writePlainAnswer(c)
	case errors.As(err, &record):
		g.worker.stats.Handshake(observe.HandshakeNotTLS)
	case g.asked && g.cert == nil && !g.probed:
		g.worker.stats.Handshake(observe.HandshakeNoCertificate)
		g.worker.server.tls.warnNoCertificate(g.name)
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		g.worker.stats.Handshake(observe.HandshakeGone)
	case errors.As(err, &untrusted) || strings.Contains(err.Error(), "client didn't provide a certificate"):
		g.worker.stats.Handshake(observe.HandshakeClientCertificate)
	default:
		g.worker.stats.Handshake(observe.HandshakeFailed)
	}
	// Closing with bytes unread would reset the connection and take the answer with it.
	g.phase, g.linger = greetLinger, lingerBytes
	g.worker.loop.SetTimer(&g.timer, lingerTime)
	c.Shutdown()
	c.Resume()
}

// looksLikeHTTP reports whether what came in place of a record is the beginning of a request.
func looksLikeHTTP(b [5]byte) bool {
	switch string(b[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "DELET", "PATCH", "CONNE", "PRI *":
		return true
	}
	return false
}

func (g *greeting) discard() {
	n := len(g.conn.Unread())
	g.conn.Consume(n)
	if g.linger -= n; g.linger < 0 {
		g.end()
	}
}

// EOF is the end of the client's side, before there was a session.
func (g *greeting) EOF(*event.Conn) { g.end() }

// Closed is the end of the connection. In the handshake it is counted as one that the client gave up.
func (g *greeting) Closed(*event.Conn, error) {
	if g.phase == greetHandshake {
		g.worker.stats.Handshake(observe.HandshakeGone)
	}
	g.end()
}

// Drained tells nothing of interest: a greeting writes next to nothing.
func (g *greeting) Drained(*event.Conn) {}

// Expired ends a connection that took too long.
func (g *greeting) Expired(*event.Timer) { g.giveUp(observe.HandshakeTimeout) }

// drain lets the client have a moment: it may be about to send a request.
func (g *greeting) drain() {
	if g.phase != greetLinger {
		g.worker.loop.SetTimer(&g.timer, greetTime)
	}
}

// stop ends the greeting, since the process ends.
func (g *greeting) stop() { g.giveUp(observe.HandshakeStopped) }

// giveUp ends the greeting before it has come to something, and counts that; result is that of a handshake.
func (g *greeting) giveUp(result observe.Handshake) {
	switch g.phase {
	case greetHeader:
		g.worker.stats.ProxyHeaderRefused()
	case greetHandshake:
		g.worker.stats.Handshake(result)
	}
	g.end()
}

// end closes the connection.
func (g *greeting) end() {
	g.conn.Close()
	g.worker.loop.DropTimer(&g.timer)
	g.worker.greetings.remove(g)
	g.worker.depart(&g.client)
}

// greetings is a list of greetings, the oldest first.
type greetings struct {
	oldest, newest *greeting
	count          int
}

func (l *greetings) add(g *greeting) {
	g.prev = l.newest
	if l.newest != nil {
		l.newest.next = g
	} else {
		l.oldest = g
	}
	l.newest = g
	l.count++
}

func (l *greetings) remove(g *greeting) {
	if g.prev != nil {
		g.prev.next = g.next
	} else {
		l.oldest = g.next
	}
	if g.next != nil {
		g.next.prev = g.prev
	} else {
		l.newest = g.prev
	}
	g.prev, g.next = nil, nil
	l.count--
}

// newClient returns what is known of a client that came from addr.
func (w *worker) newClient(addr netip.AddrPort, d *door) client {
	return client{
		addr: addr, text: addr.Addr().AppendTo(nil), trusted: w.server.settings.Load().trusts(addr.Addr()), redirect: d.redirect,
	}
}

// writePlainAnswer answers a client that speaks HTTP where TLS is spoken.
func (w *worker) writePlainAnswer(c *event.Conn) {
	body := appendErrorBody(nil, fault.PlainHTTP, w.newID())
	head := "HTTP/1.1 400 Bad Request\r\nServer: sluice\r\nDate: " + string(w.date()) + "\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
	c.Write(append([]byte(head), body...))
}

var (
	_ event.Handler          = (*greeting)(nil)
	_ event.HandshakeHandler = (*greeting)(nil)
)
