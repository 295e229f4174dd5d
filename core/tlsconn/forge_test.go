package tlsconn

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
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

// A client cannot make the gateway shake hands again, which costs the gateway more than the client: a hello in a session of TLS 1.2 ends it.
func TestARenegotiationEndsTheConnection(t *testing.T) {
	h := newHost(t, nil, nil)
	raw := &recorder{Conn: h.dialRaw()}
	var log bytes.Buffer
	config := h.client()
	config.KeyLogWriter, config.MaxVersion, config.CipherSuites = &log, tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
	h.over(raw, config)
	p := h.peer()
	h.await("the handshake", func() bool { return p.opened })
	fields := strings.Fields(log.String()) // CLIENT_RANDOM, the random, the master secret
	random, err := hex.DecodeString(fields[1])
	if err != nil {
		t.Fatal(err)
	}
	master, err := hex.DecodeString(fields[2])
	if err != nil {
		t.Fatal(err)
	}
	hello := clientHello(t, h.client())[5:] // without the record's header
	if _, err := raw.Write(seal12(t, master, raw.read[11:43], random, 22, hello)); err != nil {
		t.Fatal(err)
	}
	h.await("the end", func() bool { return p.closed })
	h.do(func() {
		if p.err == nil || !strings.Contains(p.err.Error(), "unexpected") {
			t.Errorf("%v", p.err)
		}
	})
}

// seal12 protects the record behind a client's Finished in TLS 1.2 with AES-128-GCM (RFC 5288 §3); the randoms are those of the two hellos.
func seal12(t *testing.T, master, server, client []byte, kind byte, message []byte) []byte {
	t.Helper()
	seed := append(append([]byte("key expansion"), server...), client...)
	var keys []byte // two keys of 16 bytes, two of 4 (RFC 5246 §6.3)
	for a := sum(master, seed); len(keys) < 40; a = sum(master, a) {
		keys = append(keys, sum(master, append(bytes.Clone(a), seed...))...)
	}
	block, err := aes.NewCipher(keys[:16])
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	sequence := []byte{0, 0, 0, 0, 0, 0, 0, 1}
	size := len(message)
	data := append(bytes.Clone(sequence), kind, 3, 3, byte(size>>8), byte(size))
	sealed := aead.Seal(sequence, append(bytes.Clone(keys[32:36]), sequence...), message, data)
	return append([]byte{kind, 3, 3, byte(len(sealed) >> 8), byte(len(sealed))}, sealed...)
}

func sum(key, data []byte) []byte {
	m := hmac.New(sha256.New, key)
	m.Write(data)
	return m.Sum(nil)
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
