package upstream

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	resolveTimeout = 5 * time.Second
	resolveAgain   = 30 * time.Second // after an answer that does not say how long it may be kept, such as one from /etc/hosts
	resolveRetry   = time.Second      // after a failure
	shortestTTL    = time.Second      // or a record with a TTL of 0 would be asked for without end
	longestTTL     = time.Hour        // or a mistake of the past would stay for days
)

// instance is one instance that a name leads to.
type instance struct {
	host   string // host:port, by which it is known; an address where the name has no more to say
	addr   netip.AddrPort
	weight int // relative to the others; 1 but for SRV
	tier   int // the same
}

// answers is what a name leads to, and for how long that may be believed.
type answers struct {
	targets []instance // by tier and address
	unsure  []string   // hosts of SRV records that could not be looked up: they may be there as before
	ttl     time.Duration
}

// after returns what there is to believe after known: of the hosts that could not be looked up, what was known of them.
func (a *answers) after(known []instance) []instance {
	all := a.targets
	for _, k := range known {
		if slices.Contains(a.unsure, k.host) {
			all = append(all, k)
		}
	}
	slices.SortFunc(all, byTier)
	return all
}

func byTier(a, b instance) int { return cmp.Or(cmp.Compare(a.tier, b.tier), a.addr.Compare(b.addr)) }

// lookup finds what a name leads to. With an error there may be a part of it: the rest could not be found out. It returns early when ctx ends.
type lookup func(ctx context.Context, name string) (answers, error)

// resolveInBackground looks name up, host:port or that of SRV records, until ctx ends, and tells of each answer that differs. After a failure the last good answer stays: a
// DNS server that is away takes no node down, and a host of SRV records that cannot be looked up keeps none of the others.
func resolveInBackground(ctx context.Context, name string, find lookup, tell func([]instance)) {
	go func() {
		var known []instance
		failing := false
		for {
			a, err := find(ctx, name)
			wait := min(max(a.ttl, shortestTTL), longestTTL)
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				if !failing {
					slog.Warn("upstream: node name does not resolve", "node", name, "error", err, "last_known", known != nil)
				}
				wait = resolveRetry
				if next := a.after(known); len(a.unsure) > 0 && len(next) > 0 && !slices.Equal(known, next) {
					known = next
					tell(known)
				}
			case !slices.Equal(known, a.targets):
				known = a.targets
				tell(known)
			}
			failing = err != nil
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait):
			}
		}
	}()
}

var errNoAddress = errors.New("upstream: the name has no address")

// resolve looks name up in the system's way: hosts file, search list and servers as resolv.conf says.
func resolve(ctx context.Context, name string) (answers, error) {
	return resolveAt(ctx, name, func(address string) string { return address })
}

// resolveAt is resolve with other servers in the place of the system's.
func resolveAt(ctx context.Context, name string, server func(address string) string) (answers, error) {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	var ttl atomic.Int64
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		return dialDNS(ctx, network, server(address), &ttl)
	}}
	a := answers{ttl: resolveAgain}
	var err error
	if isSRV(name) {
		a.targets, a.unsure, err = resolveSRV(ctx, r, name)
	} else {
		a.targets, err = resolveHost(ctx, r, name, instance{weight: 1})
	}
	slices.SortFunc(a.targets, byTier)
	a.targets = slices.Compact(a.targets)
	if err != nil {
		return a, err
	}
	if seen := ttl.Load(); seen > 0 {
		a.ttl = time.Duration(seen-1) * time.Second
	}
	return a, nil
}

// isSRV reports whether a node's address is the name of SRV records, such as "_http._tcp.example.com": they bring the ports.
func isSRV(name string) bool { return strings.HasPrefix(name, "_") && !strings.Contains(name, ":") }

// resolveSRV returns the instances of SRV records (RFC 2782): priorities are tiers. With an error there may be some all the same, and hosts that could not be looked up.
func resolveSRV(ctx context.Context, r *net.Resolver, name string) (all []instance, unsure []string, err error) {
	_, records, err := r.LookupSRV(ctx, "", "", name)
	if err != nil {
		return nil, nil, err
	}
	var gone error
	tier, last := -1, -1
	for _, record := range records { // by priority
		if int(record.Priority) != last {
			tier, last = tier+1, int(record.Priority)
		}
		host := net.JoinHostPort(strings.TrimSuffix(record.Target, "."), strconv.Itoa(int(record.Port)))
		found, lookupErr := resolveHost(ctx, r, host, instance{weight: max(1, int(record.Weight)), tier: tier})
		var dns *net.DNSError
		switch {
		case lookupErr == nil:
			all = append(all, found...)
		case errors.As(lookupErr, &dns) && dns.IsNotFound:
			gone = lookupErr // of one host; the others are worth having
		default:
			err = lookupErr
			unsure = append(unsure, host)
		}
	}
	if len(all) == 0 {
		err = cmp.Or(err, gone, errNoAddress)
	}
	return all, unsure, err
}

// resolveHost returns an instance for each address of host:port, of the family that can be reached.
func resolveHost(ctx context.Context, r *net.Resolver, address string, like instance) ([]instance, error) {
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, err
	}
	found, err := r.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	var all []instance
	for _, addr := range usable(ctx, found, uint16(port)) {
		t := like
		t.host, t.addr = address, addr
		all = append(all, t)
	}
	if len(all) == 0 {
		return nil, errNoAddress
	}
	return all, nil
}

// usable returns where a host is found: of two families the one that connects, and both where neither does now, since either may later.
func usable(ctx context.Context, found []netip.Addr, port uint16) []netip.AddrPort {
	var v4, v6 []netip.AddrPort
	for _, ip := range found {
		if ip = ip.Unmap(); ip.Is4() {
			v4 = append(v4, netip.AddrPortFrom(ip, port))
		} else {
			v6 = append(v6, netip.AddrPortFrom(ip, port))
		}
	}
	if len(v4) > 0 && len(v6) > 0 {
		switch reached(ctx, v6, v4) {
		case firstFamily:
			return v6
		case secondFamily:
			return v4
		}
	}
	return append(v6, v4...)
}

// headStart is how long the first family has before the second is tried too (RFC 8305 §8, Connection Attempt Delay).
const headStart = 250 * time.Millisecond

// family is one of two families of addresses that a host has, in the order in which they are tried.
type family uint8

const (
	noFamily family = iota
	firstFamily
	secondFamily
)

// reached returns which of two families connects first, the first with a head start (RFC 8305, happy eyeballs); noFamily where neither does. An instance is the same by either, so the family is
// decided once for an answer, off the loops, and every later connection is spared the race.
func reached(ctx context.Context, first, second []netip.AddrPort) family {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	won := make(chan family, 2)
	failed := make(chan struct{})
	go func() {
		if connects(ctx, first) {
			won <- firstFamily
		}
		close(failed)
	}()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-time.After(headStart):
		case <-failed:
		case <-ctx.Done():
		}
		if connects(ctx, second) {
			won <- secondFamily
		}
	}()
	select {
	case which := <-won:
		return which
	case <-ended: // the second has come to nothing; the first may still, or has won at the same moment
		<-failed
		select {
		case which := <-won:
			return which
		default:
			return noFamily
		}
	}
}

// connects reports whether a connection to one of the addresses can be made; they are tried in turn.
func connects(ctx context.Context, addrs []netip.AddrPort) bool {
	var d net.Dialer
	for _, a := range addrs {
		if c, err := d.DialContext(ctx, "tcp", a.String()); err == nil {
			c.Close()
			return true
		}
	}
	return false
}

// dialDNS connects to a server of names and lets ttl know of the shortest life of what it answers.
func dialDNS(ctx context.Context, network, address string, ttl *atomic.Int64) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, address)
	switch c := c.(type) {
	case *net.UDPConn:
		return &datagrams{c, ttl}, nil
	case *net.TCPConn:
		return &stream{TCPConn: c, ttl: ttl}, nil
	}
	return c, err
}

// The resolver of the standard library does not tell how long an answer may be kept. So its connections are listened to.

// datagrams is a connection on which each read is a message.
type datagrams struct {
	*net.UDPConn
	ttl *atomic.Int64
}

func (c *datagrams) Read(p []byte) (int, error) {
	n, err := c.UDPConn.Read(p)
	noteTTL(p[:n], c.ttl)
	return n, err
}

// stream is a connection on which messages have their length in front (RFC 1035 §4.2.2).
type stream struct {
	*net.TCPConn
	ttl *atomic.Int64
	got []byte
}

func (c *stream) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	c.got = append(c.got, p[:n]...)
	for len(c.got) >= 2 {
		size := 2 + int(c.got[0])<<8 + int(c.got[1])
		if len(c.got) < size {
			break
		}
		noteTTL(c.got[2:size], c.ttl)
		c.got = c.got[size:]
	}
	return n, err
}

// noteTTL keeps the shortest life of the records of a message, in seconds and one more, since 0 stands for none.
func noteTTL(message []byte, ttl *atomic.Int64) {
	var p dnsmessage.Parser
	if _, err := p.Start(message); err != nil || p.SkipAllQuestions() != nil {
		return
	}
	for {
		h, err := p.AnswerHeader()
		if err != nil || p.SkipAnswer() != nil {
			return
		}
		if now := int64(h.TTL) + 1; ttl.Load() == 0 || now < ttl.Load() {
			ttl.Store(now)
		}
	}
}
