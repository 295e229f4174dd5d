package proxy

import (
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/testcert"
	"sluice/internal/testnet"
	"sluice/upstream"
)

// way is how scenes are played.
type way struct {
	down, up       wire
	noRing, noPass bool
	workers        int
}

func (w way) String() string {
	name := fmt.Sprintf("%s to %s, %d workers", w.down.name, w.up.name, w.workers)
	if w.noRing {
		name += ", no ring"
	}
	if w.noPass {
		name += ", nothing passes"
	}
	return name
}

// play is scenes on one way.
type play struct {
	way
	t      *testing.T
	pair   *testcert.Pair
	scenes map[string]*scene
	told   sync.Map // ids of the scenes of which the node has heard
	once   sync.Once
	failed chan struct{} // closed with the first thing that is wrong
}

// wrong fails the test.
func (p *play) wrong(s *scene, what string, err error) {
	brief := *s
	brief.fields, brief.said, brief.heard, brief.leave = nil, nil, nil, nil
	p.once.Do(func() { close(p.failed) })
	p.t.Errorf("%s: scene %s: %s: %v\n%+v", p.way, s.id, what, err, brief)
}

func (p *play) scheme() string {
	if p.down.tls {
		return "https"
	}
	return "http"
}

// sceneOf returns the scene that a request line is of.
func (p *play) sceneOf(line string) *scene {
	_, target, _ := strings.Cut(line, " /")
	id, _, _ := strings.Cut(target, "/")
	id, _, _ = strings.Cut(id, "?")
	return p.scenes[id]
}

// checkClient fails the test where the client has heard anything else than it was meant to.
func (p *play) checkClient(s *scene, got heard, old bool, err error) {
	if err != nil && !(s.cut >= 0 && old) { // a reset that ends such an answer may come before its head was read
		p.wrong(s, "client", err)
		return
	}
	if s.cut >= 0 && (err != nil || got.status == 502 && got.cut == nil) { // before anything of it had gone on
		return
	}
	if err := got.differs(s.answers(old), s.cut < 0); err != nil {
		p.wrong(s, "client", err)
	}
}

// heardAtNode notes what the node has heard of a scene, and fails the test where it hears of it a second time: nobody has asked for that.
func (p *play) heardAtNode(s *scene, h heard) {
	if _, twice := p.told.LoadOrStore(s.id, true); twice {
		p.wrong(s, "node", errors.New("has heard of it twice"))
		return
	}
	s.heard <- h
}

// checkNode fails the test where the node has heard anything else than it was meant to. Of a client that leaves it may have heard nothing.
func (p *play) checkNode(s *scene) {
	if s.leaves >= 0 {
		select {
		case got := <-s.heard:
			if err := got.differs(s.asks(), false); err != nil {
				p.wrong(s, "node", err)
			}
		default:
		}
		return
	}
	select {
	case got := <-s.heard:
		want := s.asks()
		if err := got.differs(want, s.early < 0); err != nil {
			p.wrong(s, "node", err)
		}
	case <-p.failed:
	case <-time.After(testnet.Patience):
		p.wrong(s, "node", errors.New("has not heard of it"))
	}
}

// startNode starts the node.
func (p *play) startNode(seed uint64) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.t.Fatal(err)
	}
	secure := &tls.Config{Certificates: []tls.Certificate{p.pair.Certificate}, NextProtos: []string{"http/1.1"}}
	if p.up.http2 {
		secure.NextProtos = []string{"h2"}
	}
	var running sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	running.Go(func() {
		for n := uint64(0); ; n++ {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			if n%3 == 1 {
				narrow(conn.(*net.TCPConn))
			}
			mu.Lock()
			open = append(open, conn)
			mu.Unlock()
			if p.up.tls {
				conn = tls.Server(conn, secure)
			}
			running.Go(func() {
				if p.up.http2 {
					p.sceneNodeH2(conn, rand.New(rand.NewPCG(seed, n)))
				} else {
					p.sceneNodeH1(conn)
				}
			})
		}
	})
	p.t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return ln.Addr().String()
}

// dial opens a client's connection.
func (p *play) dial(addr string, slim bool) (net.Conn, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	if slim {
		narrow(conn.(*net.TCPConn))
	}
	_ = conn.SetDeadline(time.Now().Add(testnet.Patience))
	if p.down.tls {
		config := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}}
		if p.down.http2 {
			config.NextProtos = []string{"h2"}
		}
		return tls.Client(conn, config), nil
	}
	return conn, nil
}

// perform plays the scenes of a seed: some on each of a few connections.
func (p *play) perform(seed uint64, conns, each, most int) {
	t := p.t
	p.scenes, p.failed = map[string]*scene{}, make(chan struct{})
	d := &director{Rand: rand.New(rand.NewPCG(seed, 0)), most: most}
	parts := make([][]*scene, conns)
	for i := range parts {
		for range each {
			s := d.scene()
			p.scenes[s.id] = s
			parts[i] = append(parts[i], s)
		}
	}
	options := []option{withWorkers(p.workers), withAttempts(1), func(s *setup) { s.config.NoRing, s.config.NoPass = p.noRing, p.noPass }}
	if p.down.tls {
		options = append(options, withCertificates(certificate("1", p.pair, "*")))
	}
	if p.up.tls {
		options = append(options, withTLS(upstream.TLSConfig{InsecureSkipVerify: true}))
	}
	if p.up.http2 {
		options = append(options, overHTTP2)
	}
	g, addr := startGateway(t, []string{p.startNode(seed)}, options...)
	var running sync.WaitGroup
	for i, scenes := range parts {
		running.Go(func() {
			dial := func() (net.Conn, error) { return p.dial(addr, i%3 == 1) }
			if p.down.http2 {
				p.playH2(scenes, dial, rand.New(rand.NewPCG(seed, uint64(i)<<32)))
			} else {
				p.playH1(scenes, dial, i%2 == 1)
			}
		})
	}
	running.Wait()
	testnet.Await(t, "the sessions to end", func() bool { return g.openConns() == 0 })
	g.wantGivenBack(t)
}

// everyWay returns the ways in which the scenes of a seed are played: every pair of protocols in one of the forms that the gateway may have, and the pair where bodies pass in all of them.
func everyWay(rnd *rand.Rand) (ways []way) {
	form := func(down, up wire, n int) way { return way{down, up, n&1 != 0, n&2 != 0, 1 + n>>2&1} }
	for _, down := range wires {
		for _, up := range wires {
			ways = append(ways, form(down, up, rnd.IntN(8)))
		}
	}
	for n := range 8 {
		if w := form(wires[0], wires[0], n); !slices.Contains(ways, w) {
			ways = append(ways, w)
		}
	}
	return ways
}

// What arrives does not depend on what carries it, nor on how the gateway moves bytes: heads, bodies, trailers and how it all ended are those of the model, on every way. SLUICE_CHAOS_SEED has other
// scenes played.
func TestTheSameArrivesOnEveryWay(t *testing.T) {
	seed := chaosSeed(t)
	t.Logf("seed %d", seed)
	conns, each, most := 3, 5, 400<<10
	if seed != 1 {
		conns, each, most = 5, 10, 11<<20
	}
	pair := testcert.NewAuthority(t).Issue("gateway.test")
	for _, w := range everyWay(rand.New(rand.NewPCG(seed, 1))) {
		t.Run(w.String(), func(t *testing.T) {
			(&play{way: w, t: t, pair: pair}).perform(seed, conns, each, most)
		})
	}
}

// A client that gives back at once what each frame has taken, and no more, asks for as little again: with several streams on one window frames become ever smaller. It gets all of its answers.
func TestAClientThatGivesBackWhatEachFrameHasTakenIsServed(t *testing.T) {
	n := newNode(t, func(c *nodeConn) {
		for c.head() != "" {
			c.write(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", 4<<20, theBody(4<<20)))
		}
	})
	g := newGateway(t, []string{n.addr})
	conn, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	peer := newFramedPeer(conn, rand.New(rand.NewPCG(7, 7)), true, nil)
	defer peer.close()
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			peer.mu.Lock()
			stream := peer.stream(peer.next)
			peer.next += 2
			stream.putFields(true, ":method: GET", ":scheme: http", ":authority: a", ":path: /")
			peer.mu.Unlock()
			if h := stream.hear(1<<30, false, nil); h.cut != nil || h.body != theBody(4<<20) {
				t.Errorf("%d bytes, cut by %v", len(h.body), h.cut)
			}
		})
	}
	running.Wait()
}
