package proxy

import (
	"bytes"
	"crypto/tls"
	"errors"
	"strconv"

	"sluice/codec"
	"sluice/internal/fault"
	"sluice/router"
)

// Challenges are the questions that certificate authorities are about to ask (ACME, RFC 8555 §8), and what to say. They are few and live for seconds. It is immutable;
// nil is none.
type Challenges struct {
	Tokens map[string][]byte           // HTTP-01: what is answered below /.well-known/acme-challenge/, by token
	Names  map[string]*tls.Certificate // TLS-ALPN-01: what is shown to who asks for that name by the protocol acme-tls/1
}

// alpnACME is the protocol of TLS-ALPN-01 (RFC 8737 §4).
const alpnACME = "acme-tls/1"

// answer returns the configuration for an authority that asks by TLS, and nil for any other client.
func (c *Challenges) answer(hello *tls.ClientHelloInfo) *tls.Config {
	if c == nil || len(hello.SupportedProtos) != 1 || hello.SupportedProtos[0] != alpnACME {
		return nil
	}
	cert := c.Names[hello.ServerName]
	if cert == nil {
		return nil
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{alpnACME}, Certificates: []tls.Certificate{*cert}, SessionTicketsDisabled: true}
}

var challengePath = []byte("/.well-known/acme-challenge/")

// answerBeforeRoutes answers what no route is asked about: an authority's question, and a request that is sent to HTTPS. It reports whether it did.
func (x *Exchange) answerBeforeRoutes() bool {
	if c := x.snapshot.Challenges; c != nil {
		if token, ok := bytes.CutPrefix(x.req.Path(), challengePath); ok && c.Tokens[string(token)] != nil {
			x.beginOwn(200)
			x.resp.Header.Add("Content-Type", octetStream)
			x.sendOwn(c.Tokens[string(token)])
			return true
		}
	}
	if x.client.redirect > 0 {
		x.redirectToHTTPS()
		return true
	}
	return false
}

var octetStream = []byte("application/octet-stream")

// redirectToHTTPS sends the client to the same target over TLS. Methods that every client repeats as they are get 301, which caches keep; the others 308, since a 301 turns
// a POST into a GET (RFC 9110 §15.4.2).
func (x *Exchange) redirectToHTTPS() {
	host := x.req.Host()
	if len(host) == 0 {
		x.fail(fault.New("redirect to HTTPS", fault.Downstream, fault.BadRequest, errNoHost))
		return
	}
	status := 308
	if x.req.Method == codec.MethodGet || x.req.Method == codec.MethodHead {
		status = 301
	}
	x.beginOwn(status)
	x.resp.Header.Add("Location", x.appendHTTPS(x.worker.scratch[:0]))
	x.sendOwn(nil)
}

// appendHTTPS appends the URL of the request over TLS. A target "*" has no URL of its own.
func (x *Exchange) appendHTTPS(b []byte) []byte {
	b = append(b, "https://"...)
	b = append(b, router.BareHost(x.req.Host())...)
	if port := x.client.redirect; port != 443 {
		b = strconv.AppendInt(append(b, ':'), int64(port), 10)
	}
	if target := x.req.Target(); len(target) > 0 && target[0] == '/' {
		return append(b, target...)
	}
	return append(b, '/')
}

var errNoHost = errors.New("proxy: a request without a host cannot be sent to HTTPS")
