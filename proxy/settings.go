package proxy

import (
	"net/netip"
	"time"

	"github.com/gaissmai/bart"

	"sluice/codec"
)

// Settings are the part of the configuration that can change while the server runs. They must have been validated.
type Settings struct {
	TrustedProxies []netip.Prefix
	Limits         LimitsConfig
	Timeouts       TimeoutsConfig
	Paths          PathPolicy
}

// settings are Settings in the units of the loop. They are immutable: workers share them without a lock, and a change makes others. A connection works with those
// that it found when it was accepted or, later, when its latest request began; an exchange with those that were there when it began, to its end.
type settings struct {
	limits   limits
	timeouts timeouts
	paths    PathPolicy
	trusted  bart.Lite
	trusting bool // there are trusted proxies at all
}

type limits struct {
	heads    codec.Limits
	body     int64
	pipeline int
	conns    int64

	connsPerClient int64
	memory         uint64 // 0 = what the environment says
}

type timeouts struct {
	requestHeader, requestBody, keepAlive, send time.Duration
	connect, responseHeader, responseBody       time.Duration
	tunnelIdle                                  time.Duration
	connectionAge                               time.Duration // 0 = any
}

func newSettings(c *Settings) *settings {
	t := &c.Timeouts
	made := &settings{
		limits: limits{
			heads: c.Limits.Heads(), body: int64(c.Limits.Body),
			pipeline: c.Limits.Pipeline, conns: int64(c.Limits.Connections),
			connsPerClient: int64(c.Limits.ConnectionsPerClient), memory: uint64(c.Limits.Memory),
		},
		timeouts: timeouts{
			requestHeader: t.RequestHeader.Std(), requestBody: t.RequestBody.Std(), keepAlive: t.KeepAlive.Std(), send: t.Send.Std(),
			connect: t.Connect.Std(), responseHeader: t.ResponseHeader.Std(), responseBody: t.ResponseBody.Std(),
			tunnelIdle: t.TunnelIdle.Std(), connectionAge: t.ConnectionAge.Std(),
		},
		paths:    c.Paths,
		trusting: len(c.TrustedProxies) > 0,
	}
	for _, prefix := range c.TrustedProxies {
		made.trusted.Insert(prefix)
	}
	return made
}

// trusts reports whether a peer is one of the trusted proxies.
func (s *settings) trusts(ip netip.Addr) bool { return s.trusting && s.trusted.Contains(ip) }

// mayIntroduce reports whether a peer may say by the PROXY protocol who it speaks for: a trusted proxy or, where none is named, everybody who can
// reach a listener that wants the header.
func (s *settings) mayIntroduce(ip netip.Addr) bool { return !s.trusting || s.trusted.Contains(ip) }

// Apply puts settings in force: for new connections at once, for open ones with their next request. A lower limit of connections closes none. Any
// goroutine may call it.
func (s *Server) Apply(c Settings) {
	now := newSettings(&c)
	before := s.settings.Swap(now)
	if before != nil && before.limits.connsPerClient == 0 && now.limits.connsPerClient > 0 {
		for _, w := range s.workers {
			w.loop.Post(w.countClients)
		}
	}
}
