package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"
)

// benchSuites is what every rival prefers of TLS 1.3, in OpenSSL's words: the order of crypto/tls on a machine with AES.
const benchSuites = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

// agreement is what a client and a rival have agreed upon. It must be the same for all, or their ciphers are compared and not they.
type agreement struct {
	version, suite uint16
	curve          tls.CurveID
}

// benchAgreement is what all of them agree upon with the clients of the harness, whose only curve is X25519, and with wrk and h2load, whose first one it is.
var benchAgreement = agreement{tls.VersionTLS13, tls.TLS_AES_128_GCM_SHA256, tls.X25519}

func (a agreement) String() string {
	return fmt.Sprintf("%s, %s, %s", tls.VersionName(a.version), tls.CipherSuiteName(a.suite), a.curve)
}

// checkAgreement refuses a rival that agrees upon something else.
func checkAgreement(ctx context.Context, r *rival) error {
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: 10 * time.Second}, Config: benchTLS()}
	c, err := d.DialContext(ctx, "tcp", r.host())
	if err != nil {
		return fmt.Errorf("%s: TLS: %w", r.name, err)
	}
	defer c.Close()
	state := c.(*tls.Conn).ConnectionState() // DialContext of tls.Dialer returns no other
	if got := (agreement{state.Version, state.CipherSuite, state.CurveID}); got != benchAgreement {
		return fmt.Errorf("%s: TLS: it agrees upon %s, and not upon %s", r.name, got, benchAgreement)
	}
	return nil
}
