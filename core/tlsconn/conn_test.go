package tlsconn

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"sluice/core/event"
	"sluice/internal/testnet"
)

// Rules 1 and 2: wherever the bytes of handshake and records are cut, both go on where they were.
func TestHandshakeAndRecordsMayComeByteByByte(t *testing.T) {
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, func(p *peer) {
				p.onData = func(p *peer) { p.conn.Write(p.got[len(p.got)-1:]) }
			}, nil)
			config := h.client()
			config.MaxVersion = version
			c := h.over(crumbs{h.dialRaw()}, config)
			message := bytes.Repeat([]byte("0123456789"), 300)
			if _, err := c.Write(message); err != nil {
				t.Fatal(err)
			}
			p := h.peer()
			h.await("the message", func() bool { return len(p.got) == len(message) })
			h.do(func() {
				if !bytes.Equal(p.got, message) || !p.opened {
					t.Errorf("%d bytes came, opened %v", len(p.got), p.opened)
				}
				p.conn.CloseWhenSent()
			})
			if answer := readAll(t, c); len(answer) == 0 {
				t.Error("nothing came back")
			}
		})
	}
}

// Rule 1: a hard error of the socket is not a temporary one: the connection ends, and says so.
func TestAResetEndsTheConnection(t *testing.T) {
	for _, established := range []bool{false, true} {
		h := newHost(t, nil, nil)
		raw := h.dialRaw()
		p := h.peer()
		if established {
			h.over(raw, h.client())
			h.await("the handshake", func() bool { return p.opened })
		} else if _, err := raw.Write([]byte{22, 3, 1}); err != nil { // the beginning of a record
			t.Fatal(err)
		}
		_ = raw.SetLinger(0)
		raw.Close()
		h.await("the end", func() bool { return p.closed })
		h.do(func() {
			var temporary net.Error
			if p.err == nil || errors.As(p.err, &temporary) && temporary == event.ErrWouldBlock || h.loop.Conns() != 0 {
				t.Errorf("established %v: %v, %d connections", established, p.err, h.loop.Conns())
			}
		})
	}
}

// Rule 3: what the kernel does not take is queued, the tls.Conn never hears of it, and back-pressure works as it does without TLS.
func TestASlowReaderGetsEverythingInOrder(t *testing.T) {
	piece := bytes.Repeat([]byte("0123456789abcdef"), 4<<10) // 64 KiB
	const pieces = 200
	most, sent := 0, 0
	feed := func(p *peer) {
		for sent < pieces && !p.conn.Congested() {
			p.conn.Write(piece)
			sent++
			most = max(most, p.conn.Queued())
		}
		if sent == pieces {
			p.conn.CloseWhenSent()
		}
	}
	h := newHost(t, func(p *peer) { p.onOpened, p.onDrain = feed, feed }, nil)
	c := h.over(h.dialRaw(), h.client())
	p := h.peer()
	h.await("the queue to fill", func() bool { return p.conn.Congested() })
	got := readAll(t, c)
	if len(got) != pieces*len(piece) || !bytes.Equal(got[:len(piece)], piece) || !bytes.Equal(got[len(got)-len(piece):], piece) {
		t.Errorf("%d bytes of %d came", len(got), pieces*len(piece))
	}
	h.do(func() {
		if most > 64<<10+len(piece)+1<<10 {
			t.Errorf("%d bytes were queued", most)
		}
	})
}

// Rule 5: records that the tls.Conn has read already are invisible to epoll, and are told without another event. So is the end behind them.
func TestRecordsInOneSegmentAreAllTold(t *testing.T) {
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, nil, nil)
			config := h.client()
			config.MaxVersion = version
			g := &gatherer{Conn: h.dialRaw()}
			c := h.over(g, config)
			g.on = true
			var want []byte
			for i := range 100 {
				piece := bytes.Repeat([]byte{byte(i)}, 100*i)
				want = append(want, piece...)
				if _, err := c.Write(piece); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			g.release(t)
			p := h.peer()
			h.await("the end", func() bool { return p.eof })
			h.do(func() {
				if !bytes.Equal(p.got, want) {
					t.Errorf("%d bytes of %d", len(p.got), len(want))
				}
				p.conn.Write([]byte("still open")) // a half-close is not a close
				p.conn.CloseWhenSent()
			})
			if got := readAll(t, c); string(got) != "still open" {
				t.Errorf("%q", got)
			}
		})
	}
}

// Rule 5: a request may stand behind the last message of the handshake, in the same segment.
func TestWhatComesWithTheEndOfTheHandshakeIsTold(t *testing.T) {
	h := newHost(t, nil, nil)
	g := &gatherer{Conn: h.dialRaw()}
	c := tls.Client(&finisher{g}, h.client())
	if _, err := c.Write([]byte("early")); err != nil {
		t.Fatal(err)
	}
	g.release(t)
	p := h.peer()
	h.await("the request", func() bool { return string(p.got) == "early" })
}

// finisher holds back what a client writes after it has heard the server's answer: its Finished and what it sends next leave together.
type finisher struct{ *gatherer }

func (f *finisher) Read(p []byte) (int, error) {
	n, err := f.Conn.Read(p)
	f.on = true
	return n, err
}

// Rule 5: bytes that were read before there was a layer come first.
func TestALayerBeginsWithWhatWasRead(t *testing.T) {
	h := newHost(t, nil, nil)
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	go func() { _ = tls.Client(client, h.client()).Handshake() }()
	hello := make([]byte, 64<<10)
	n, err := server.Read(hello)
	if err != nil {
		t.Fatal(err)
	}
	raw := h.dialRaw()
	p := h.peer()
	h.do(func() {
		p.conn.Layer().Stop()
		p.tls = Server(p.conn, h.config, hello[:n])
	})
	if _, err := raw.Read(make([]byte, 1)); err != nil {
		t.Errorf("no answer to a hello that was read before: %v", err)
	}
}

// Rule 6: the loop owns the descriptor and closes it once; the peer is told by close_notify.
func TestACloseIsToldToThePeer(t *testing.T) {
	h := newHost(t, func(p *peer) { p.onData = func(p *peer) { p.conn.Close() } }, nil)
	c := h.over(h.dialRaw(), h.client())
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	readAll(t, c) // fails where there is no close_notify
	h.await("the connection to be gone", func() bool { return h.loop.Conns() == 0 })
}

// What the peer says at the last moment makes the close a reset: it must come behind the answer and close_notify.
func TestCloseWhenSentDeliversTheEndWhateverThePeerHasSaidMeanwhile(t *testing.T) {
	asked := make(chan struct{})
	h := newHost(t, func(p *peer) {
		p.onData = func(p *peer) {
			close(asked)
			for p.conn.Quiet() { // then there is something that is never read
				runtime.Gosched()
			}
			p.conn.Write([]byte("answer"))
			p.conn.CloseWhenSent()
		}
	}, nil)
	c := h.over(h.dialRaw(), h.client())
	if _, err := io.WriteString(c, "ask"); err != nil {
		t.Fatal(err)
	}
	testnet.Receive(t, "the question", asked)
	if _, err := io.WriteString(c, "more"); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, c); string(got) != "answer" {
		t.Errorf("the peer got %q", got)
	}
}

// An end without close_notify may be an attacker's, who cuts a message short: it is a failure and not an end (RFC 8446 §6.1).
func TestATruncatedConnectionFails(t *testing.T) {
	h := newHost(t, nil, nil)
	raw := h.dialRaw()
	c := h.over(raw, h.client())
	if _, err := c.Write([]byte("half of a mess")); err != nil {
		t.Fatal(err)
	}
	raw.Close()
	p := h.peer()
	h.await("the end", func() bool { return p.closed || p.eof })
	h.do(func() {
		if p.eof || !errors.Is(p.err, io.ErrUnexpectedEOF) || string(p.got) != "half of a mess" {
			t.Errorf("eof %v, %v, after %q", p.eof, p.err, p.got)
		}
	})
}

// Rule 7: a handshake that is given up half-way leaves nothing behind; TestMain looks for its coroutine.
func TestAbandonedHandshakesLeaveNothing(t *testing.T) {
	h := newHost(t, nil, nil)
	hello := clientHello(t, h.client())
	for i := range 50 {
		raw := h.dialRaw()
		if _, err := raw.Write(hello[:1+i*(len(hello)-1)/49]); err != nil {
			t.Fatal(err)
		}
		p := h.peer()
		switch i % 3 {
		case 0:
			raw.Close()
		case 1:
			h.do(func() { p.conn.Close() })
		}
	}
	h.await("two thirds to be gone", func() bool { return h.loop.Conns() <= 17 })
	// The rest is there when the loop ends.
}

// clientHello returns the first flight of a client.
func clientHello(t testing.TB, config *tls.Config) []byte {
	t.Helper()
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = tls.Client(client, config).Handshake()
	}()
	hello := make([]byte, 64<<10)
	_ = server.SetDeadline(time.Now().Add(testnet.Patience))
	n, err := server.Read(hello)
	if err != nil {
		t.Fatal(err)
	}
	server.Close()
	testnet.Receive(t, "the client to give up", done)
	return hello[:n]
}

// Rule 9: records are of full size from the first on, so that a large answer costs as few as it can.
func TestLargeWritesMakeLargeRecords(t *testing.T) {
	h := newHost(t, func(p *peer) {
		p.onOpened = func(p *peer) {
			p.conn.Write(make([]byte, 64<<10))
			p.conn.CloseWhenSent()
		}
	}, nil)
	raw := &recorder{Conn: h.dialRaw()}
	config := h.client()
	config.MaxVersion = tls.VersionTLS12 // where the type of a record is in the clear
	got := readAll(t, h.over(raw, config))
	if records := raw.records(t); len(got) != 64<<10 || records != 4 {
		t.Errorf("%d bytes in %d records", len(got), records)
	}
}

// recorder keeps what is read.
type recorder struct {
	net.Conn
	read []byte
}

func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.read = append(r.read, p[:n]...)
	return n, err
}

// records counts the records of application data.
func (r *recorder) records(t testing.TB) (n int) {
	t.Helper()
	for b := r.read; len(b) >= 5; {
		if b[0] == 23 {
			n++
		}
		b = b[5+int(b[3])<<8+int(b[4]):]
	}
	return n
}

// The client's role keeps the same promises: what is written before the handshake is done goes out behind it.
func TestAClientSendsWhatWasWrittenEarly(t *testing.T) {
	h := newHost(t, func(p *peer) {
		p.onData = func(p *peer) {
			if len(p.got) == 200<<10 {
				p.conn.Write([]byte("got it"))
			}
		}
	}, nil)
	client := &peer{}
	h.do(func() {
		c, err := h.loop.Dial(h.addr, client)
		if err != nil {
			t.Error(err)
			return
		}
		client.conn, client.tls = c, Client(c, h.client())
		c.Write(make([]byte, 100<<10))
		c.Write(make([]byte, 100<<10))
		if c.IsConnected() || !c.Congested() {
			t.Error("it is not connected, and holds what was written")
		}
	})
	p := h.peer()
	h.await("the answer", func() bool { return string(client.got) == "got it" && client.conn.IsConnected() })
	h.do(func() { client.conn.Close() })
	h.await("the end in order", func() bool { return p.eof })
}

// A server's certificate that the client does not trust is the end of the connection, for both.
func TestAClientRefusesWhatItDoesNotTrust(t *testing.T) {
	h := newHost(t, nil, nil)
	client := &strict{}
	h.do(func() {
		c, err := h.loop.Dial(h.addr, client)
		if err != nil {
			t.Error(err)
			return
		}
		Client(c, &tls.Config{ServerName: "b.test", RootCAs: h.ca.Pool})
	})
	p := h.peer()
	h.await("both ends to fail", func() bool { return client.err != nil && (p.failed != nil || p.closed) })
	h.do(func() {
		var verify *tls.CertificateVerificationError
		if !errors.As(client.err, &verify) {
			t.Errorf("%v", client.err)
		}
	})
}

// strict is a handler without HandshakeFailed.
type strict struct{ err error }

func (*strict) Opened(*event.Conn)                {}
func (*strict) Data(*event.Conn)                  {}
func (*strict) EOF(*event.Conn)                   {}
func (*strict) Drained(*event.Conn)               {}
func (s *strict) Closed(_ *event.Conn, err error) { s.err = err }
