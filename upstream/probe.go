package upstream

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"

	"sluice/codec"
	"sluice/codec/h1"
)

// maxProbeBody is how much of an answer is searched for what it must hold: more than any health page says.
const maxProbeBody = 64 << 10

// target is where and how a node is probed.
type target struct {
	addr netip.AddrPort
	name string   // as it was registered
	tls  *nodeTLS // nil = in plain text
}

// probe asks a node once, on a connection of its own, whether it is well. It runs off the loops and returns early when ctx ends. Only what is asked goes over TLS: a node that
// takes connections is well enough for the type tcp.
func probe(ctx context.Context, policy *ActiveHealth, node target) error {
	var dialer net.Dialer
	raw, err := dialer.DialContext(ctx, "tcp", node.addr.String())
	if err != nil {
		return err
	}
	defer raw.Close()
	if policy.Type == "tcp" {
		return nil
	}
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	host := policy.Host
	if host == "" {
		host = node.name
	}
	conn, scheme := raw, "http"
	if node.tls != nil {
		conn, scheme = tls.Client(raw, node.tls.probing(policy.Type)), "https"
	}
	if policy.Type == "grpc" {
		return probeGRPC(conn, scheme, host, policy.Service)
	}
	return probeHTTP(conn, host, policy)
}

// probeHTTP makes one request.
func probeHTTP(conn io.ReadWriter, host string, policy *ActiveHealth) error {
	request := policy.Method + " " + policy.Path + " HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: sluice-health\r\nAccept: */*\r\nConnection: close\r\n\r\n"
	if _, err := io.WriteString(conn, request); err != nil {
		return err
	}
	a := answer{conn: conn}
	if err := a.readHead(codec.ParseMethod([]byte(policy.Method))); err != nil {
		return err
	}
	status := a.head.Status
	good := status >= 200 && status <= 399
	if len(policy.Statuses) > 0 {
		good = slices.Contains(policy.Statuses, status)
	}
	if !good {
		return fmt.Errorf("status %d", status)
	}
	if policy.Body == "" {
		return nil
	}
	if found, err := a.find([]byte(policy.Body)); found || err != nil {
		return err
	}
	return fmt.Errorf("the answer does not hold %q", policy.Body)
}

// answer is an HTTP answer on its way in.
type answer struct {
	conn io.Reader
	buf  []byte
	head codec.Response
	eof  bool
}

var errShortAnswer = errors.New("the connection ended before the answer did")

// more reads once.
func (a *answer) more() error {
	if a.eof {
		return errShortAnswer
	}
	a.buf = slices.Grow(a.buf, 4096)
	n, err := a.conn.Read(a.buf[len(a.buf):cap(a.buf)])
	a.buf = a.buf[:len(a.buf)+n]
	if errors.Is(err, io.EOF) {
		a.eof = true
		return nil
	}
	return err
}

// readHead reads the head of the final answer.
func (a *answer) readHead(method codec.Method) error {
	limits := codec.DefaultLimits()
	a.head.Reset(nil)
	for {
		n, err := h1.ParseResponse(a.buf, &a.head, method, &limits)
		if err != nil {
			return err
		}
		switch {
		case n == 0:
			if err := a.more(); err != nil {
				return err
			}
			continue
		case !a.head.Informational():
			a.buf = a.buf[n:]
			return nil
		}
		a.buf = a.buf[n:]
		a.head.Reset(nil)
	}
}

// find reports whether the body holds text within its first maxProbeBody bytes, as soon as it does: a page may go on without end. An error tells that the body is not whole.
func (a *answer) find(text []byte) (found bool, err error) {
	limits := codec.DefaultLimits()
	var d h1.BodyDecoder
	d.Reset(a.head.Framing, &limits)
	var body []byte
	for !d.Done() && len(body) < maxProbeBody {
		data, n, err := d.Next(a.buf)
		if err != nil {
			return false, err
		}
		searched := max(0, len(body)-len(text)+1) // what comes may begin in what was there
		body = append(body, data[:min(len(data), maxProbeBody-len(body))]...)
		if bytes.Contains(body[searched:], text) {
			return true, nil
		}
		a.buf = a.buf[n:]
		if n > 0 || d.Done() {
			continue
		}
		if a.eof {
			return false, d.EOF()
		}
		if err := a.more(); err != nil {
			return false, err
		}
	}
	return false, nil
}

// said makes what a peer has sent fit for a log line.
func said(text string) string {
	if len(text) > 200 {
		text = text[:200]
	}
	return strings.ToValidUTF8(text, "?")
}
