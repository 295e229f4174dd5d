package observe

// Handshake is how a client's TLS handshake has ended.
type Handshake uint8

// The ends. HandshakeDone returns those that went well.
const (
	HandshakeFailed            Handshake = iota // they have nothing in common, or the client broke the protocol
	HandshakeTimeout                            // it was not done in time
	HandshakeGone                               // the client closed the connection
	HandshakeRefused                            // too many were under way, and this was the oldest
	HandshakeNoCertificate                      // there is none for the name that the client asked for
	HandshakeClientCertificate                  // the client's is missing or not trusted
	HandshakeNotTLS                             // what came was no TLS
	HandshakeStopped                            // it was cut by the end of the process
	done12
	done12Resumed
	done13
	done13Resumed
	handshakes
)

// HandshakeDone returns the end of a handshake that went well, in TLS 1.3 or else in 1.2; resumed says that a session of before went on.
func HandshakeDone(tls13, resumed bool) Handshake {
	h := done12
	if tls13 {
		h = done13
	}
	if resumed {
		h++
	}
	return h
}

// labels returns result, version and resumed.
func (h Handshake) labels() []string {
	return [handshakes][]string{
		HandshakeFailed: {"failed", "", ""}, HandshakeTimeout: {"timeout", "", ""}, HandshakeGone: {"gone", "", ""}, HandshakeRefused: {"refused", "", ""},
		HandshakeNoCertificate: {"no_certificate", "", ""}, HandshakeClientCertificate: {"client_certificate", "", ""}, HandshakeNotTLS: {"not_tls", "", ""},
		HandshakeStopped: {"stopped", "", ""},
		done12:           {"done", "1.2", "false"}, done12Resumed: {"done", "1.2", "true"}, done13: {"done", "1.3", "false"}, done13Resumed: {"done", "1.3", "true"},
	}[h]
}

// Handshakes returns how many handshakes of the worker have ended so. Any goroutine may call it.
func (w *Worker) Handshakes(h Handshake) uint64 { return w.counts.handshakes[h].Load() }

// ProxyHeadersRefused returns how often ProxyHeaderRefused was called. Any goroutine may call it.
func (w *Worker) ProxyHeadersRefused() uint64 { return w.counts.proxyRefused.Load() }
