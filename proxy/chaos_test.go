package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/testnet"
	"sluice/internal/unit"
	"sluice/upstream"
)

// chaos is a gateway among nodes that die, reset, delay and answer garbage, and clients that abort, pipeline and trickle. Every request carries an id and a
// checksum of its body, every answer the id and a body that follows from it: so an answer that came to the wrong request, or bytes that got lost on the
// way, show.
type chaos struct {
	t     *testing.T
	seed  uint64
	ids   atomic.Int64
	posts sync.Map // id of each POST that a node has read → true

	right, refused, cut, gone atomic.Int64
}

func TestChaos(t *testing.T) {
	length := 8 * time.Second
	if testing.Short() {
		length = 2 * time.Second
	}
	x := &chaos{t: t, seed: chaosSeed(t)}
	t.Logf("seed %d", x.seed)
	var nodes []string
	var stop atomic.Bool
	var killers sync.WaitGroup
	for i := range 4 {
		addr := fmt.Sprintf("127.0.0.%d:0", 10+i)
		var streams atomic.Uint64
		script := func(c *nodeConn) { x.node(c, rand.New(rand.NewPCG(x.seed, uint64(i)<<32|streams.Add(1)))) }
		if i > 0 {
			nodes = append(nodes, newNodeAt(t, addr, script).addr)
			continue
		}
		// The first node dies now and then, with all its connections, and comes back.
		n := startNode(t, addr, script)
		nodes = append(nodes, n.addr)
		killers.Go(func() {
			beat := time.NewTicker(150 * time.Millisecond)
			defer beat.Stop()
			for dead := false; !stop.Load() || dead; dead = !dead {
				<-beat.C
				if !dead {
					n.stop()
				} else {
					n = startNode(t, n.addr, script)
				}
			}
			n.stop()
		})
	}
	g := newGateway(t, nodes, withWorkers(2), withAttempts(3), withTimeouts(func(c *TimeoutsConfig) {
		c.Connect, c.ResponseHeader, c.ResponseBody = unit.Duration(300*time.Millisecond), unit.Duration(200*time.Millisecond), unit.Duration(200*time.Millisecond)
	}), withService(func(c *upstream.Config) { c.Retry.On = []string{"connect", "reset", "503"} }))
	var clients sync.WaitGroup
	deadline := time.Now().Add(length)
	for i := range 12 {
		clients.Go(func() {
			rnd := rand.New(rand.NewPCG(x.seed, 1<<48|uint64(i)))
			for time.Now().Before(deadline) && !t.Failed() {
				x.client(g.addr, rnd)
			}
		})
	}
	clients.Wait()
	stop.Store(true)
	killers.Wait()
	t.Logf("%d answers right, %d refused, %d cut, %d connections given up", x.right.Load(), x.refused.Load(), x.cut.Load(), x.gone.Load())
	if x.right.Load() < 100 || x.refused.Load() == 0 || x.cut.Load() == 0 || x.gone.Load() == 0 {
		t.Error("not enough has happened")
	}
	g.connect(t).wantEventually("/calm")
	testnet.Await(t, "the sessions to end", func() bool { return g.openConns() <= 1 })
	for _, n := range g.Snapshot().Services[0].Nodes() {
		if n.Conns() < 0 {
			t.Errorf("%s has %d connections", n.Address, n.Conns())
		}
	}
}

// chaosSeed returns the seed of SLUICE_CHAOS_SEED, or one that never changes.
func chaosSeed(t *testing.T) uint64 {
	text := os.Getenv("SLUICE_CHAOS_SEED")
	if text == "" {
		return 1
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return seed
}

// wantEventually fails the test where the gateway does not serve; the first node may still be dead, and is passed over then.
func (c *browser) wantEventually(path string) {
	c.t.Helper()
	for range 8 {
		c.send("GET " + path + " HTTP/1.1\r\nHost: a\r\nX-Id: 0\r\nX-Sum: 0\r\n\r\n")
		if a := c.answer(); a.status != 200 || a.body != chaosBody("0") {
			c.t.Errorf("the gateway does not serve any more: %+v", a)
		}
	}
}

// chaosBody is the body of the answer to the request with that id.
func chaosBody(id string) string {
	n, _ := strconv.Atoi(id)
	sizes := [...]int{0, 1, 10, 1000, 5000, 70000, 200000}
	return strings.Repeat(fmt.Sprintf("<%s>", id), sizes[n%len(sizes)]/(len(id)+2))
}

// node answers the requests of one connection.
func (x *chaos) node(c *nodeConn, rnd *rand.Rand) {
	for {
		head := c.head()
		if head == "" {
			return
		}
		id, calm := fieldOf(head, "X-Id"), strings.Contains(head, " /calm ")
		fate := rnd.IntN(100)
		if calm {
			fate = 99
		}
		switch {
		case fate < 4:
			c.reset()
			return
		case fate < 6: // early, and no more is read
			c.write(fmt.Sprintf("HTTP/1.1 200 OK\r\nX-Id: %s\r\nContent-Length: %d\r\n\r\n%s", id, len(chaosBody(id)), chaosBody(id)))
			c.Close()
			return
		}
		if !x.takeBody(c, head, id) {
			return
		}
		if strings.HasPrefix(head, "POST ") {
			if _, twice := x.posts.LoadOrStore(id, true); twice {
				x.t.Errorf("POST %s was sent twice", id)
			}
		}
		if !x.answer(c, rnd, id, fate) {
			return
		}
	}
}

// takeBody reads the body of a request and compares it with its checksum. It reports whether the body was whole.
func (x *chaos) takeBody(c *nodeConn, head, id string) bool {
	var body string
	if n, err := strconv.Atoi(fieldOf(head, "Content-Length")); err == nil {
		if body = c.take(n); len(body) < n {
			return false
		}
	} else if fieldOf(head, "Transfer-Encoding") != "" {
		a := &answer{}
		if a.readChunks(c.r) != nil {
			return false
		}
		body = a.body
	}
	if sum := fmt.Sprint(crc32.ChecksumIEEE([]byte(body))); body != "" && sum != fieldOf(head, "X-Sum") {
		x.t.Errorf("the body of %s came as %d bytes with checksum %s: %q", id, len(body), sum, head)
	}
	return true
}

// answer does what fate wants and reports whether the connection can go on.
func (x *chaos) answer(c *nodeConn, rnd *rand.Rand, id string, fate int) bool {
	body := chaosBody(id)
	head := "HTTP/1.1 200 OK\r\nX-Id: " + id + "\r\n"
	length := fmt.Sprintf("Content-Length: %d\r\n\r\n", len(body))
	switch {
	case fate < 8:
		c.Close()
		return false
	case fate < 10:
		c.write("ICY 200 OK\r\n\r\n")
		return false
	case fate < 12:
		c.write(head[:rnd.IntN(len(head))])
		return false
	case fate < 15: // cut
		c.write(head + length + body[:len(body)/2])
		if rnd.IntN(2) == 0 {
			c.reset()
		}
		return false
	case fate < 17:
		c.write(head + "Transfer-Encoding: chunked\r\n\r\n5\r\n<cut>\r\n")
		return false
	case fate < 18:
		c.hold() // until the gateway has had enough
		return false
	case fate < 20:
		c.write("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nX-Id: " + id + "\r\n\r\n")
		return true
	case fate < 24:
		c.write("HTTP/1.0 200 OK\r\nX-Id: " + id + "\r\n\r\n" + body)
		return false
	case fate < 40:
		c.write("HTTP/1.1 103 Early Hints\r\nX-Id: hint\r\n\r\n" + head + "Transfer-Encoding: chunked\r\n\r\n")
		for rest := body; rest != ""; {
			n := min(len(rest), 1+rnd.IntN(30000))
			c.write(fmt.Sprintf("%x\r\n%s\r\n", n, rest[:n]))
			rest = rest[n:]
		}
		c.write("0\r\nX-T: 1\r\n\r\n")
		return true
	case fate < 45: // in small pieces
		whole := head + length + body
		for range 20 {
			n := min(len(whole), 1+rnd.IntN(100))
			c.write(whole[:n])
			whole = whole[n:]
		}
		c.write(whole)
		return true
	case fate < 47: // more than was asked for
		c.write(head + length + body + "HTTP/1.1 200 OK\r\nX-Id: poison\r\nContent-Length: 0\r\n\r\n")
		c.hold()
		return false
	}
	c.write(head + length + body)
	return true
}

// fieldOf returns the value of a field of a head.
func fieldOf(head, name string) string {
	_, rest, found := strings.Cut(head, "\r\n"+name+": ")
	if !found {
		return ""
	}
	value, _, _ := strings.Cut(rest, "\r\n")
	return value
}

// client opens a connection, sends some requests and checks every answer.
func (x *chaos) client(addr string, rnd *rand.Rand) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		x.t.Errorf("dial: %v", err)
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(testnet.Patience))
	var ids []string
	var bytes strings.Builder
	for range 1 + rnd.IntN(8) {
		id := strconv.FormatInt(x.ids.Add(1), 10)
		ids = append(ids, id)
		writeChaosRequest(&bytes, rnd, id)
	}
	all := bytes.String()
	abort := rnd.IntN(10) == 0
	if abort {
		all = all[:rnd.IntN(len(all))]
	}
	written := make(chan struct{})
	pieces := 1
	if rnd.IntN(4) == 0 {
		pieces = 20
	}
	halfClose := !abort && rnd.IntN(4) == 0
	go func() {
		defer close(written)
		for i := range pieces {
			// It fails where the gateway has ended the connection, which the reader sees.
			_, _ = io.WriteString(conn, all[i*len(all)/pieces:(i+1)*len(all)/pieces])
		}
		if halfClose {
			_ = conn.(*net.TCPConn).CloseWrite()
		}
	}()
	if abort {
		<-written
		_ = conn.(*net.TCPConn).SetLinger(0)
		x.gone.Add(1)
		return
	}
	r := bufio.NewReader(conn)
	for _, id := range ids {
		if !x.check(r, id) {
			break
		}
	}
	conn.Close()
	<-written
}

// writeChaosRequest appends one request.
func writeChaosRequest(b *strings.Builder, rnd *rand.Rand, id string) {
	method := [...]string{"GET", "GET", "POST", "PUT"}[rnd.IntN(4)]
	if method == "GET" {
		fmt.Fprintf(b, "GET /%s HTTP/1.1\r\nHost: a\r\nX-Id: %s\r\n\r\n", id, id)
		return
	}
	body := strings.Repeat("("+id+")", rnd.IntN(1+[...]int{10, 1000, 20000}[rnd.IntN(3)])/(len(id)+2)+1)
	fmt.Fprintf(b, "%s /%s HTTP/1.1\r\nHost: a\r\nX-Id: %s\r\nX-Sum: %d\r\n", method, id, id, crc32.ChecksumIEEE([]byte(body)))
	if rnd.IntN(2) == 0 {
		fmt.Fprintf(b, "Content-Length: %d\r\n\r\n%s", len(body), body)
		return
	}
	b.WriteString("Transfer-Encoding: chunked\r\n\r\n")
	for body != "" {
		n := min(len(body), 1+rnd.IntN(9000))
		fmt.Fprintf(b, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	b.WriteString("0\r\n\r\n")
}

// check reads the answer to the request with that id and reports whether another may follow.
func (x *chaos) check(r *bufio.Reader, id string) bool {
	a, err := readAnswer(r, "GET")
	for err == nil && a.status == 103 {
		a, err = readAnswer(r, "GET")
	}
	if err != nil {
		x.t.Errorf("no answer to %s: %v", id, err)
		return false
	}
	last := a.get("Connection") == "close"
	want := chaosBody(id)
	switch {
	case a.status == 503 && a.get("X-Id") != "": // the node's own
		x.refused.Add(1)
	case a.status != 200:
		if err := a.contractError(); err != nil || a.status < 502 {
			x.t.Errorf("%s got %d %q: %v", id, a.status, a.body, err)
		}
		x.refused.Add(1)
	case a.get("X-Id") != id:
		x.t.Errorf("%s got the answer to %s", id, a.get("X-Id"))
	case a.cut != nil:
		if !strings.HasPrefix(want, a.body) && a.body != "<cut>" {
			x.t.Errorf("%s got the beginning of something else: %.100q", id, a.body)
		}
		if !errors.Is(a.cut, io.ErrUnexpectedEOF) {
			x.t.Errorf("%s was cut by %v", id, a.cut)
		}
		x.cut.Add(1)
		return false
	case a.body != want:
		x.t.Errorf("%s got %d bytes, want %d", id, len(a.body), len(want))
	default:
		x.right.Add(1)
	}
	return !last
}
