package upstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"sluice/internal/testnet"
)

// names answers lookups as a test says, and counts them.
type names struct {
	mu    sync.Mutex
	now   answers
	err   error
	asked int
}

func (n *names) find(context.Context, string) (answers, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked++
	return n.now, n.err
}

// answer sets what is answered: instances at those addresses, for a time, or an error.
func (n *names) answer(ttl time.Duration, err error, addrs ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.now, n.err = answers{ttl: ttl}, err
	for _, a := range addrs {
		n.now.targets = append(n.now.targets, instance{host: "node.example:80", addr: netip.MustParseAddrPort(a), weight: 1})
	}
}

// answerSRV sets what SRV records lead to, each a host and its address, and which hosts could not be looked up.
func (n *names) answerSRV(unsure []string, found ...string) {
	n.answer(time.Second, nil)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.now.unsure = unsure; unsure != nil {
		n.err = errors.New("some are not known")
	}
	for _, f := range found {
		host, addr, _ := strings.Cut(f, " ")
		n.now.targets = append(n.now.targets, instance{host: host, addr: netip.MustParseAddrPort(addr), weight: 1})
	}
}

func (n *names) questions() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked
}

// quiet keeps warnings out of the output, and counts them.
type quiet struct {
	slog.Handler
	records *int
}

func (q quiet) Enabled(context.Context, slog.Level) bool      { return true }
func (q quiet) Handle(_ context.Context, _ slog.Record) error { *q.records++; return nil }

func silence(t *testing.T) (records *int) {
	t.Helper()
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	records = new(int)
	slog.SetDefault(slog.New(quiet{slog.DiscardHandler, records}))
	return records
}

// named is a clinic with one node that is a name.
func named(t *testing.T) (*clinic, *names) {
	c, n := newClinic(t, 0, nil), &names{}
	c.find = n.find
	c.specs = []NodeSpec{{Upstream: "node.example:80", Weight: 1}}
	return c, n
}

// wantAddrs checks where the instances are that are asked.
func (c *clinic) wantAddrs(addrs ...string) {
	c.t.Helper()
	synctest.Wait()
	got := map[string]bool{}
	for range 20 {
		if n := c.service.Pick(0, Want{}); n != nil {
			got[n.addr.String()] = true
		}
	}
	for _, a := range addrs {
		if !got[a] {
			c.t.Errorf("%s is not asked", a)
		}
	}
	if len(got) != len(addrs) {
		c.t.Errorf("%v are asked, want %v", got, addrs)
	}
}

// Every address of a name is an instance that is balanced over, and looked up again when its time is over. The time here is that of the bubble: it passes when
// everybody waits.
func TestEveryAddressOfANameIsAskedAndTheLastGoodAnswerStays(t *testing.T) {
	warnings := silence(t)
	synctest.Test(t, func(t *testing.T) {
		c, n := named(t)
		defer c.Close()
		n.answer(0, errors.New("no such host"))
		c.open()
		c.wantAddrs()
		if s := c.Status(); len(s) != 1 || s[0].Health != "unresolved" {
			t.Errorf("the status is %+v", s)
		}
		n.answer(10*time.Second, nil, "192.0.2.1:80", "192.0.2.2:80")
		c.pass(resolveRetry)
		c.wantAddrs("192.0.2.1:80", "192.0.2.2:80")
		kept := c.service.Pick(0, Want{Tried: nil})
		n.answer(10*time.Second, nil, "192.0.2.2:80", "192.0.2.3:80")
		c.pass(10*time.Second - time.Nanosecond)
		c.wantAddrs("192.0.2.1:80", "192.0.2.2:80")
		c.pass(time.Nanosecond)
		c.wantAddrs("192.0.2.2:80", "192.0.2.3:80")
		for range 10 {
			if again := c.service.Pick(0, Want{}); again.addr == kept.addr && again != kept {
				t.Error("an instance that stays is another node")
			}
		}
		n.answer(0, errors.New("the server is away"))
		c.pass(time.Minute)
		c.wantAddrs("192.0.2.2:80", "192.0.2.3:80")
		n.answer(0, nil, "192.0.2.4:80") // a time of 0 is not asked for without end
		before := n.questions()
		c.pass(10 * time.Second)
		c.wantAddrs("192.0.2.4:80")
		if asked := n.questions() - before; asked > 10 {
			t.Errorf("asked %d times in ten seconds", asked)
		}
		c.specs = nil
		c.open()
		before = n.questions()
		c.pass(time.Hour)
		if n.questions() != before {
			t.Error("a name that nobody names any more is looked up")
		}
	})
	if *warnings != 2 {
		t.Errorf("%d warnings, want one for each of the two times that it began to fail", *warnings)
	}
}

// A bubble does not end before its goroutines have: one that went on would be found out.
func TestResolvingStops(t *testing.T) {
	silence(t)
	synctest.Test(t, func(t *testing.T) {
		c, _ := named(t)
		c.find = func(ctx context.Context, _ string) (answers, error) {
			<-ctx.Done()
			return answers{targets: []instance{{addr: netip.MustParseAddrPort("192.0.2.1:80"), weight: 1}}}, nil
		}
		c.open()
		c.Close()
		synctest.Wait()
		c.wantAddrs()
	})
}

// zone answers the questions of one resolver as a server of names.
type zone struct {
	a, aaaa map[string][]string // by name
	srv     []dnsmessage.SRVResource
	ttl     uint32
	ails    string // the name of which it says that something is wrong with the server
	cut     bool   // over UDP, nothing but the word that it is too long for it
}

// serve answers on a UDP and a TCP socket of the same port, and returns the address.
func (z *zone) serve(t *testing.T) string {
	t.Helper()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	udp, err := net.ListenPacket("udp", tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := udp.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = udp.WriteTo(z.answer(buf[:n], z.cut), from)
		}
	})
	running.Go(func() {
		for {
			c, err := tcp.Accept()
			if err != nil {
				return
			}
			buf := make([]byte, 1500)
			if n, err := c.Read(buf); err == nil {
				a := z.answer(buf[2:n], false)
				_, _ = c.Write(append([]byte{byte(len(a) >> 8), byte(len(a))}, a...))
			}
			c.Close()
		}
	})
	t.Cleanup(func() {
		tcp.Close()
		udp.Close()
		running.Wait()
	})
	return tcp.Addr().String()
}

func (z *zone) answer(question []byte, cut bool) []byte {
	var m dnsmessage.Message
	if m.Unpack(question) != nil || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	m.Response, m.RecursionAvailable, m.Truncated, m.Additionals = true, true, cut, nil
	name := strings.TrimSuffix(q.Name.String(), ".")
	add := func(body dnsmessage.ResourceBody) {
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: z.ttl + uint32(len(m.Answers))}, Body: body})
	}
	switch {
	case cut:
	case name == z.ails:
		m.RCode = dnsmessage.RCodeServerFailure
	case q.Type == dnsmessage.TypeA:
		for _, a := range z.a[name] {
			add(&dnsmessage.AResource{A: netip.MustParseAddr(a).As4()})
		}
	case q.Type == dnsmessage.TypeAAAA:
		for _, a := range z.aaaa[name] {
			add(&dnsmessage.AAAAResource{AAAA: netip.MustParseAddr(a).As16()})
		}
	case q.Type == dnsmessage.TypeSRV:
		for _, r := range z.srv {
			add(&r)
		}
	}
	packed, _ := m.Pack()
	return packed
}

// ask looks a name up at the zone's server.
func (z *zone) ask(t *testing.T, name string) (answers, error) {
	t.Helper()
	server := z.serve(t)
	ctx, cancel := context.WithTimeout(t.Context(), testnet.Patience)
	defer cancel()
	return resolveAt(ctx, name, func(string) string { return server })
}

// list returns host, address, weight and tier of each.
func (a answers) list() (all []string) {
	for _, t := range a.targets {
		all = append(all, strings.Join([]string{t.host, t.addr.String(), string(rune('0' + t.weight)), string(rune('0' + t.tier))}, " "))
	}
	return all
}

func TestANameLeadsToAllItsAddressesForAsLongAsTheShortestRecordLives(t *testing.T) {
	for _, cut := range []bool{false, true} { // the second time over TCP
		z := &zone{a: map[string][]string{"web.example": {"192.0.2.2", "192.0.2.1"}}, ttl: 42, cut: cut}
		a, err := z.ask(t, "web.example:80")
		want := []string{"web.example:80 192.0.2.1:80 1 0", "web.example:80 192.0.2.2:80 1 0"}
		if err != nil || !slices.Equal(a.list(), want) || a.ttl != 42*time.Second {
			t.Errorf("cut %v: %v for %v, %v; want %v", cut, a.list(), a.ttl, err, want)
		}
	}
}

// A name may lead to hundreds of addresses: more than one datagram holds.
func TestANameLeadsToHundredsOfAddresses(t *testing.T) {
	z := &zone{a: map[string][]string{}, ttl: 5, cut: true}
	for i := range 600 {
		z.a["web.example"] = append(z.a["web.example"], fmt.Sprintf("192.0.%d.%d", i/200, i%200))
	}
	a, err := z.ask(t, "web.example:80")
	if err != nil || len(a.targets) != 600 || a.ttl != 5*time.Second {
		t.Errorf("%d addresses for %v, %v", len(a.targets), a.ttl, err)
	}
}

// A host of SRV records that there is not has gone. One of which the server does not know at the moment has not, and keeps nobody else from coming or going.
func TestAHostThatCannotBeFoundOutIsNotGone(t *testing.T) {
	z := &zone{
		a: map[string][]string{"a.example": {"192.0.2.1"}, "b.example": {"192.0.2.2"}}, ails: "b.example",
		srv: []dnsmessage.SRVResource{{Port: 80, Target: dnsmessage.MustNewName("a.example.")}, {Port: 80, Target: dnsmessage.MustNewName("b.example.")}},
	}
	a, err := z.ask(t, "_http._tcp.web.example")
	if want := []string{"a.example:80 192.0.2.1:80 1 0"}; err == nil || !slices.Equal(a.list(), want) || !slices.Equal(a.unsure, []string{"b.example:80"}) {
		t.Errorf("%v, %v, %v", a.list(), a.unsure, err)
	}
	silence(t)
	synctest.Test(t, func(t *testing.T) {
		c, n := named(t)
		defer c.Close()
		n.answerSRV([]string{"b"}, "a 192.0.2.1:80")
		c.open()
		c.wantAddrs("192.0.2.1:80")
		n.answerSRV(nil, "a 192.0.2.1:80", "b 192.0.2.2:80")
		c.pass(time.Second)
		n.answerSRV([]string{"b"}, "c 192.0.2.3:80")
		c.pass(time.Minute)
		c.wantAddrs("192.0.2.2:80", "192.0.2.3:80")
		n.answerSRV([]string{"b", "c"})
		c.pass(time.Minute)
		c.wantAddrs("192.0.2.2:80", "192.0.2.3:80")
		n.answerSRV(nil, "c 192.0.2.3:80")
		c.pass(time.Second)
		c.wantAddrs("192.0.2.3:80")
	})
}

func TestSRVRecordsBringPortsWeightsAndTiers(t *testing.T) {
	host := func(s string) dnsmessage.Name { return dnsmessage.MustNewName(s) }
	z := &zone{
		a: map[string][]string{"a.example": {"192.0.2.1"}, "b.example": {"192.0.2.2", "192.0.2.3"}},
		srv: []dnsmessage.SRVResource{
			{Priority: 20, Weight: 0, Port: 8082, Target: host("b.example.")},
			{Priority: 10, Weight: 5, Port: 8081, Target: host("a.example.")},
			{Priority: 10, Weight: 5, Port: 8083, Target: host("gone.example.")},
		},
		ttl: 7,
	}
	a, err := z.ask(t, "_http._tcp.web.example")
	want := []string{"a.example:8081 192.0.2.1:8081 5 0", "b.example:8082 192.0.2.2:8082 1 1", "b.example:8082 192.0.2.3:8082 1 1"}
	if err != nil || !slices.Equal(a.list(), want) || a.ttl != 7*time.Second {
		t.Errorf("%v for %v, %v; want %v", a.list(), a.ttl, err, want)
	}
}

// Of two families the one counts that can be reached, IPv6 with a head start.
func TestTheFamilyThatConnectsFirstIsUsed(t *testing.T) {
	o := startOrigin(t)
	_, port, _ := net.SplitHostPort(o.address)
	z := &zone{a: map[string][]string{"web.example": {"127.0.0.1"}}, aaaa: map[string][]string{"web.example": {"100::1"}}}
	a, err := z.ask(t, "web.example:"+port) // 100::/64 is discarded (RFC 6666)
	if err != nil || len(a.targets) != 1 || a.targets[0].addr.String() != o.address {
		t.Errorf("%v, %v; want IPv4", a.list(), err)
	}
	here := []netip.AddrPort{netip.MustParseAddrPort(o.address)}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	nobody := []netip.AddrPort{netip.MustParseAddrPort(closed.Addr().String())}
	for _, c := range []struct {
		first, second []netip.AddrPort
		want          family
	}{{here, here, firstFamily}, {nobody, here, secondFamily}, {here, nobody, firstFamily}, {nobody, nobody, noFamily}} {
		if got := reached(t.Context(), c.first, c.second); got != c.want {
			t.Errorf("first %v, second %v: %d", c.first, c.second, got)
		}
	}
}

func TestABadNameIsAnError(t *testing.T) {
	z := &zone{}
	for _, name := range []string{"no-port", "127.0.0.1:port", "127.0.0.1:65536", "nobody.example:80", "_http._tcp.nobody.example"} {
		if a, err := z.ask(t, name); err == nil {
			t.Errorf("%s is at %v", name, a.list())
		}
	}
}

func TestLivesAreReadFromWholeMessagesOnly(t *testing.T) {
	var ttl atomic.Int64
	for _, bad := range []string{"", "x", strings.Repeat("\xff", 100)} {
		noteTTL([]byte(bad), &ttl)
	}
	if ttl.Load() != 0 {
		t.Errorf("%d of nothing", ttl.Load())
	}
}
