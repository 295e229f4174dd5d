package proxy

import (
	"encoding/binary"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"sluice/codec/h2"
	"sluice/internal/testnet"
)

// gathering is what the connections of a node share that answers nothing before all calls of a round are with it. It allocates nothing in a round.
type gathering struct {
	mu    sync.Mutex // guards all
	whole sync.Cond
	round int
	here  int // calls
	of    int
	ended bool
}

// arrive notes that so many calls have come whole.
func (g *gathering) arrive(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.here += n; g.here == g.of {
		g.here = 0
		g.round++
		g.whole.Broadcast()
	}
}

// wait waits for the end of a round, and reports false behind the last.
func (g *gathering) wait(round int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.round < round && !g.ended {
		g.whole.Wait()
	}
	return !g.ended
}

func (g *gathering) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ended = true
	g.whole.Broadcast()
}

// calleesH2 are two nodes of gRPC that answer the calls of a round when all of them are with one or the other.
func calleesH2(t testing.TB, calls int) []string {
	g := &gathering{of: calls}
	g.whole.L = &g.mu
	script := func(c *nodeConn) {
		c.write("\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "\x00\x00\x00\x04\x01\x00\x00\x00\x00") // SETTINGS, and an acknowledgement
		var mu sync.Mutex                                                                        // guards due
		var due []byte
		var writing sync.WaitGroup
		writing.Go(func() {
			var out []byte
			for round := 1; g.wait(round); round++ {
				mu.Lock()
				out, due = due, out[:0]
				mu.Unlock()
				if _, err := c.TCPConn.Write(out); err != nil {
					return
				}
			}
		})
		readFrames(c.TCPConn, len(h2.Preface), func(ended []uint32) bool {
			mu.Lock()
			for _, id := range ended {
				due = appendCallAnswer(due, id)
			}
			mu.Unlock()
			g.arrive(len(ended))
			return true
		})
		g.end()
		writing.Wait()
	}
	return []string{newNode(t, script).addr, newNode(t, script).addr}
}

// appendCallAnswer appends a head, a message of 5 bytes, and a trailer with grpc-status 0.
func appendCallAnswer(dst []byte, id uint32) []byte {
	dst = appendFrame(dst, 1, 4, id, "\x88\x0f\x10\x10application/grpc") // :status 200; content-type
	dst = appendFrame(dst, 0, 0, id, "\x00\x00\x00\x00\x00")
	return appendFrame(dst, 1, 5, id, "\x00\x0bgrpc-status\x010")
}

// appendFrame is frameH2 without an allocation.
func appendFrame(dst []byte, kind, flags byte, id uint32, payload string) []byte {
	dst = append(dst, 0, 0, byte(len(payload)), kind, flags)
	return append(binary.BigEndian.AppendUint32(dst, id), payload...)
}

// readFrames reads from c, behind so many bytes of another kind, and tells which streams have ended with what has come, until told returns false or c ends.
func readFrames(c net.Conn, skip int, told func(ended []uint32) bool) {
	buf, ended := make([]byte, 256<<10), make([]uint32, 0, 1000)
	for n := 0; ; {
		m, err := c.Read(buf[n:])
		if err != nil {
			return
		}
		in := buf[:n+m]
		if len(in) < skip {
			n = len(in)
			continue
		}
		in, skip = in[skip:], 0
		ended = ended[:0]
		for len(in) >= 9 {
			size := 9 + int(binary.BigEndian.Uint32(in)>>8)
			if len(in) < size {
				break
			}
			if in[3] <= 1 && in[4]&1 != 0 { // DATA or HEADERS, with END_STREAM
				ended = append(ended, binary.BigEndian.Uint32(in[5:]))
			}
			in = in[size:]
		}
		n = copy(buf, in)
		if len(ended) > 0 && !told(ended) {
			return
		}
	}
}

// callerH2 is a client that makes many calls at once on its connection, and allocates nothing.
type callerH2 struct {
	net.Conn
	next  uint32 // stream
	calls []byte // of a round
	begin chan bool
	done  chan bool // whether all were answered
}

func (c *callerH2) run(n int) {
	for range c.begin {
		c.calls = c.calls[:0]
		for range n {
			c.calls = appendFrame(c.calls, 1, 4, c.next, "\x83\x86\x04\x04/s/m\x01\x01a\x0f\x10\x10application/grpc") // POST http /s/m, of a; content-type
			c.calls = appendFrame(c.calls, 0, 1, c.next, "\x00\x00\x00\x00\x00")
			c.next += 2
		}
		_, err := c.Write(c.calls)
		left := n
		if err == nil {
			readFrames(c, 0, func(ended []uint32) bool { left -= len(ended); return left > 0 })
		}
		c.done <- left == 0
	}
}

// The lists of what is used again hold as much as is under way at once: 1,600 calls of gRPC on 16 connections, each with its message and its trailer, allocate
// nothing, though all of them are with the nodes before the first is answered.
func TestManyCallsAtOnceAllocateNothing(t *testing.T) {
	const conns, streams, warm, rounds = 16, 100, 5, 10
	g := newGateway(t, calleesH2(t, conns*streams), overHTTP2, withRequestID(t), withLog())
	callers := make([]*callerH2, conns)
	for i := range callers {
		conn, err := net.Dial("tcp", g.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(testnet.Patience))
		if _, err := conn.Write([]byte(h2.Preface + frameH2(4, 0, 0, "") + frameH2(4, 1, 0, ""))); err != nil {
			t.Fatal(err)
		}
		c := &callerH2{Conn: conn, next: 1, begin: make(chan bool, 1), done: make(chan bool, 1)}
		callers[i] = c
		var running sync.WaitGroup
		running.Go(func() { c.run(streams) })
		t.Cleanup(func() { close(c.begin); running.Wait() })
	}
	var before, after runtime.MemStats
	for i := range warm + rounds {
		if i == warm {
			runtime.ReadMemStats(&before)
		}
		for _, c := range callers {
			c.begin <- true
		}
		for i, c := range callers {
			if !<-c.done {
				t.Fatalf("not all calls of connection %d were answered", i)
			}
		}
	}
	runtime.ReadMemStats(&after)
	if per := float64(after.Mallocs-before.Mallocs) / (rounds * conns * streams); per >= 0.05 {
		t.Errorf("%.3f allocations per call", per)
	}
}
