package proxy

import (
	"encoding/binary"
	"fmt"
	"hash/crc64"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"sluice/codec"
	"sluice/codec/h2"
	"sluice/internal/testnet"
	"sluice/router"
	"sluice/upstream"
)

// pattern is a reader of bytes that are different everywhere, without end.
type pattern struct{ at uint64 }

func (p *pattern) Read(b []byte) (int, error) {
	n := len(b) &^ 7
	for i := 0; i < n; i += 8 {
		binary.LittleEndian.PutUint64(b[i:], p.at*0x9e3779b97f4a7c15)
		p.at++
	}
	return n, nil
}

var crcTable = crc64.MakeTable(crc64.ECMA)

// patternSum is the checksum of the first n bytes of the pattern.
func patternSum(n int64) uint64 {
	h := crc64.New(crcTable)
	_, _ = io.CopyN(h, new(pattern), n)
	return h.Sum64()
}

// streamSize is more than what the kernel keeps of a body on its way, at all the places where it does: up to 32 MiB where the gateway reads, and 4 MiB where it writes.
const streamSize = 64 << 20

// heapGrowth returns a function that tells by how much the live heap has grown since.
func heapGrowth() func() int64 {
	measure := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := measure()
	return func() int64 { return measure() - before }
}

// A slow reader slows the sender: what is between the two stays bounded, whatever the size of the body.
func TestALargeAnswerToASlowReaderIsNotPiledUp(t *testing.T) {
	const size = streamSize
	var written atomic.Int64
	n := newNode(t, func(c *nodeConn) {
		narrow(c.TCPConn)
		c.head()
		c.write(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size))
		_, _ = io.CopyN(&countingWriter{c, &written}, &pattern{}, size)
		c.hold()
	})
	g := newGateway(t, []string{n.addr})
	b := g.connect(t)
	narrow(b.TCPConn)
	grown := heapGrowth()
	b.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	awaitStill(t, "the node to be stopped", &written)
	if at := written.Load(); at > size/4*3 {
		t.Fatalf("%d bytes were taken from the node though nobody reads", at)
	}
	if n := grown(); n > 8<<20 {
		t.Errorf("the heap has grown by %d bytes", n)
	}
	g.wantBounded(t)
	readHead(t, b)
	h := crc64.New(crcTable)
	whole := int64(bulk(size))
	for part := range 8 {
		if _, err := io.CopyN(h, b.r, whole/8); err != nil {
			t.Fatal(err)
		}
		if n := grown(); n > 8<<20 {
			t.Errorf("after %d eighths the heap has grown by %d bytes", part+1, n)
		}
	}
	if h.Sum64() != patternSum(whole) {
		t.Error("the bytes are not those that were sent")
	}
}

func TestALargeRequestToASlowNodeIsNotPiledUp(t *testing.T) {
	const size = streamSize
	whole := int64(bulk(size))
	read := make(chan struct{})
	sums := make(chan uint64, 1)
	n := newNode(t, func(c *nodeConn) {
		narrow(c.TCPConn)
		c.head()
		c.await(read)
		h := crc64.New(crcTable)
		_, _ = io.CopyN(h, c.r, whole)
		sums <- h.Sum64()
		if whole == size {
			c.write(ok)
		}
		c.hold()
	})
	g := newGateway(t, []string{n.addr})
	b := g.connect(t)
	narrow(b.TCPConn)
	grown := heapGrowth()
	b.send(fmt.Sprintf("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", size))
	var written atomic.Int64
	done := make(chan error, 1)
	go func() {
		_, err := io.CopyN(&countingWriter{b, &written}, &pattern{}, size)
		done <- err
	}()
	awaitStill(t, "the client to be stopped", &written)
	if at := written.Load(); at >= size { // what the kernel's buffers on the way hold is not the gateway's
		t.Fatalf("%d bytes were taken from the client though the node does not read", at)
	}
	if n := grown(); n > 8<<20 {
		t.Errorf("the heap has grown by %d bytes", n)
	}
	g.wantBounded(t)
	close(read)
	if testnet.Receive(t, "the checksum", sums) != patternSum(whole) {
		t.Error("the bytes are not those that were sent")
	}
	if whole < size {
		b.Close()
		testnet.Receive(t, "the writer", done)
		return
	}
	if err := testnet.Receive(t, "the writer", done); err != nil {
		t.Fatal(err)
	}
	b.answer().want(t, 200, "ok")
}

type countingWriter struct {
	io.Writer
	n *atomic.Int64
}

func (w *countingWriter) Write(b []byte) (int, error) {
	n, err := w.Writer.Write(b)
	w.n.Add(int64(n))
	return n, err
}

// awaitStill returns once n, which has begun to grow, has rested for a while.
func awaitStill(t *testing.T, what string, n *atomic.Int64) {
	t.Helper()
	last, since := int64(0), 0
	testnet.Await(t, what, func() bool { // asks once a millisecond
		if now := n.Load(); now == 0 || now != last {
			last, since = now, 0
			return false
		}
		since++
		return since > 150
	})
}

// wantBounded fails the test where a connection, or a request or an answer on its way, holds more than a high-water mark and two reads. Of a request over HTTP/2 there may be
// as much as the window of its stream.
func (g *gateway) wantBounded(t *testing.T) {
	t.Helper()
	const most = 256 << 10 // or as much in a pipe, which is the kernel's memory
	check := func(what string, n, bound int) {
		if n > bound {
			t.Errorf("%s holds %d bytes", what, n)
		}
	}
	call := func(x *Exchange, window int) {
		switch k := x.call.(type) {
		case *h1Call:
			check("a call", k.conn.Queued()+len(k.conn.Unread()), most+window)
		case *callH2:
			check("a call", k.backlog.size+k.owed, most+window)
			if k.client != nil {
				check("a node's connection", k.client.out.Queued()+len(k.client.out.Unread()), most)
			}
		}
	}
	g.onLoop(func(w *worker) bool {
		for at := w.sessions; at != nil; at = at.next {
			switch s := at.session.(type) {
			case *session:
				check("a session", s.conn.Queued()+len(s.conn.Unread()), most)
				if s.request != nil {
					call(&s.request.Exchange, 0)
				}
			case *sessionH2:
				check("a session", s.conn.Queued()+len(s.conn.Unread()), most)
				s.codec.Each(func(stream *h2.Stream) {
					r := stream.Owner.(*requestH2)
					check("a stream", r.backlog.size+r.early.size, most)
					call(&r.x, h2StreamWindow)
				})
			}
		}
		return true
	})
}

// readHead reads up to the body of an answer.
func readHead(t *testing.T, b *browser) {
	t.Helper()
	for {
		line, err := b.r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == "\r\n" {
			return
		}
	}
}

// Requests that began before a change ask the nodes that are there since: those may speak another protocol, which the change says too.
func TestAServiceMayChangeItsProtocolUnderARequest(t *testing.T) {
	one := newNode(t, answering("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none"))
	two := newNode(t, speakH2(func(_ *nodeConn, conn *h2.Conn, s *h2.Stream, _ *codec.Request) []byte { return okH2(conn, s) }))
	g := newGateway(t, []string{one.addr})
	b := g.connect(t)
	b.wantGet("one")
	for range 2 { // the snapshot that is published stays the first
		g.registry.Update("s", &upstream.Config{HTTP2: true, Nodes: []upstream.NodeConfig{{Upstream: two.addr}}}, nil)
		b.wantGet("ok")
		g.registry.Update("s", &upstream.Config{Nodes: []upstream.NodeConfig{{Upstream: one.addr}}}, nil)
		b.wantGet("one")
	}
}

// A change of routes under load fails no request: each works with the snapshot that it began with.
func TestASnapshotMayChangeUnderLoad(t *testing.T) {
	one := newNode(t, answering("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none"))
	two := newNode(t, answering("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo"))
	g := newGateway(t, []string{one.addr}, withWorkers(2))
	first := g.Snapshot()
	var stop atomic.Bool
	var running sync.WaitGroup
	var served [2]atomic.Int64
	for range 8 {
		b := g.connect(t)
		running.Go(func() {
			for !stop.Load() {
				if _, err := io.WriteString(b, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
					t.Error(err)
					return
				}
				a, err := readAnswer(b.r, "GET")
				switch {
				case err != nil || a.status != 200:
					t.Errorf("%+v, %v", a, err)
					return
				case a.body == "one":
					served[0].Add(1)
				case a.body == "two":
					served[1].Add(1)
				default:
					t.Errorf("%+v", a)
				}
			}
		})
	}
	route := first.Routes.Get("all")
	changes := 0
	for nodes := []string{two.addr, one.addr}; changes < 200 || served[0].Load() < 100 || served[1].Load() < 100; changes++ {
		table, err := first.Routes.With(router.Rule[*Route]{ID: fmt.Sprintf("r%d", changes), Paths: []string{fmt.Sprintf("/r%d", changes)}, Value: route.Value})
		if err != nil {
			t.Fatal(err)
		}
		service := g.registry.Update("s", &upstream.Config{Nodes: []upstream.NodeConfig{{Upstream: nodes[changes%2]}}}, nil)
		g.Publish(&Snapshot{Revision: int64(changes), Routes: table, Services: []*upstream.Service{service}})
		if t.Failed() {
			break
		}
		runtime.Gosched()
	}
	stop.Store(true)
	running.Wait()
}

// Workers share nothing that is written on the way of a request: with two of them, many connections and the race detector, nothing shows.
func TestTwoWorkersServeSideBySide(t *testing.T) {
	node := origin(t, echo)
	g := newGateway(t, []string{node, newNode(t, func(c *nodeConn) { c.head(); c.reset() }).addr}, withWorkers(2))
	var running sync.WaitGroup
	for i := range 16 {
		running.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for k := range 20 {
				body := strings.Repeat(fmt.Sprintf("%d/%d ", i, k), 1+k*50)
				req, err := http.NewRequest("PUT", "http://"+g.addr+"/", strings.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				resp, err := client.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				got, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || string(got) != body {
					t.Errorf("%v: %d, %d bytes of %d", err, resp.StatusCode, len(got), len(body))
				}
			}
		})
	}
	running.Wait()
	served := 0
	for _, w := range g.workers {
		done := make(chan int, 1)
		w.loop.Post(func() { done <- w.spareRequests.Len() })
		if testnet.Receive(t, "the worker", done) > 0 {
			served++
		}
	}
	if served != 2 {
		t.Errorf("%d workers have served", served)
	}
}
