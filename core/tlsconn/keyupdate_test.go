package tlsconn

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"net"
	"strings"
	"testing"
)

// Rule 4: what a read makes the tls.Conn write is sent, though nobody has written: the answer to a KeyUpdate.
func TestAKeyUpdateIsAnswered(t *testing.T) {
	h := newHost(t, nil, nil)
	raw := h.dialRaw()
	forge := newForger(t, h, raw)
	p := h.peer()
	h.await("the handshake", func() bool { return p.opened })
	before := uint64(0)
	h.do(func() { before = p.conn.Sent() })
	if _, err := raw.Write(forge.keyUpdate()); err != nil {
		t.Fatal(err)
	}
	h.await("the answer", func() bool { return p.conn.Sent() > before })
}

// Rule 3: a peer that asks for new keys again and again and takes no answer is not given memory: its reads stop, or crypto/tls ends it.
func TestAFloodOfKeyUpdatesIsBounded(t *testing.T) {
	h := newHost(t, nil, nil)
	raw := h.dialRaw()
	forge := newForger(t, h, raw)
	p := h.peer()
	h.await("the handshake", func() bool { return p.opened })
	flood := bytes.Buffer{}
	for range 1000 {
		flood.Write(forge.keyUpdate())
	}
	_, _ = raw.Write(flood.Bytes()) // it may be cut
	h.await("the end", func() bool { return p.closed })
	h.do(func() {
		if p.err == nil {
			t.Error("it ended in order")
		}
	})
}

// forger writes records of a client that crypto/tls would not write.
type forger struct {
	t      *testing.T
	secret []byte
}

// newForger shakes hands on raw and learns the client's key.
func newForger(t *testing.T, h *host, raw net.Conn) *forger {
	t.Helper()
	var log bytes.Buffer
	config := h.client()
	config.KeyLogWriter = &log
	config.MinVersion = tls.VersionTLS13
	if state := h.over(raw, config).ConnectionState(); state.CipherSuite != tls.TLS_AES_128_GCM_SHA256 {
		t.Fatalf("cipher suite %x", state.CipherSuite)
	}
	for line := range strings.Lines(log.String()) {
		if fields := strings.Fields(line); fields[0] == "CLIENT_TRAFFIC_SECRET_0" {
			secret, err := hex.DecodeString(fields[2])
			if err != nil {
				t.Fatal(err)
			}
			return &forger{t: t, secret: secret}
		}
	}
	t.Fatal("no secret in the key log")
	return nil
}

// keyUpdate returns a KeyUpdate that asks for one in return (RFC 8446 §4.6.3), and moves on to the next keys.
func (f *forger) keyUpdate() []byte {
	record := f.seal([]byte{24, 0, 0, 1, 1, 22})
	f.secret = f.expand("traffic upd", sha256.Size)
	return record
}

// seal protects one record (§5.2); the first of its keys.
func (f *forger) seal(inner []byte) []byte {
	f.t.Helper()
	block, err := aes.NewCipher(f.expand("key", 16))
	if err != nil {
		f.t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		f.t.Fatal(err)
	}
	header := []byte{23, 3, 3, 0, byte(len(inner) + aead.Overhead())}
	return aead.Seal(header, f.expand("iv", 12), inner, header)
}

// expand is HKDF-Expand-Label with no context (§7.1).
func (f *forger) expand(label string, length int) []byte {
	f.t.Helper()
	label = "tls13 " + label
	info := append([]byte{0, byte(length), byte(len(label))}, label...)
	out, err := hkdf.Expand(sha256.New, f.secret, string(append(info, 0)), length)
	if err != nil {
		f.t.Fatal(err)
	}
	return out
}
