package upstream

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// serviceChange is a setting of a service that is changed while it runs.
type serviceChange struct {
	base   func(c *Config)
	change func(c *Config)
	shows  func(c *clinic) bool // false before the change, true after it
}

// shownElsewhere are the settings that other tests change while the service runs, since they need connections.
var shownElsewhere = []string{
	"pool.max_idle_per_worker", "pool.max_per_node", "pool.idle_timeout", "pool.max_requests", "pool.max_age", "breaker.max_connections", // TestConnectionsAtRestFollowTheirPool
	"pool.preconnect", // TestWhatIsKeptFollowsTheService, in proxy
	"tls.",            // TestSessionsWithNodesAreResumedAndConnectionsRenewed, in proxy
	"health.",         // TestEverySettingOfHealthHoldsAtOnce
	"nodes",           // the tests of the registry
	"name", "desc",    // change nothing
}

// Every other setting of a service holds for the next pick, try or exchange.
func TestEverySettingOfAServiceHoldsAtOnce(t *testing.T) {
	silence(t)
	one, none, all := 1, 0, 100
	tries := func(n int) func(c *clinic) { return func(c *clinic) { busy(c.service, c.service.Nodes()[0], n) } }
	view := func(change func(c *Config), shows func(s *Service) bool) serviceChange {
		return serviceChange{change: change, shows: func(c *clinic) bool { return shows(c.service) }}
	}
	alone := func(c *clinic) bool { return share(c.service, 0)[c.service.Nodes()[0]] > 0.99 }
	cases := map[string]serviceChange{
		"protocol": view(func(c *Config) { c.Protocol = "grpc" }, func(s *Service) bool { return s.HTTP2 }),
		"http2":    view(func(c *Config) { c.HTTP2 = true }, func(s *Service) bool { return s.HTTP2 }),
		"balancer.type": {change: func(c *Config) { c.Balancer.Type = "chash" }, shows: func(c *clinic) bool {
			return oneNode(c.service)
		}},
		"balancer.hash_on": {
			base:   func(c *Config) { c.Balancer.Type = "chash" },
			change: func(c *Config) { c.Balancer.HashOn = "path" }, shows: func(c *clinic) bool { return c.service.HashOn == "path" },
		},
		"balancer.key": {
			base:   func(c *Config) { c.Balancer.Type, c.Balancer.HashOn, c.Balancer.Key = "chash", "header", "A" },
			change: func(c *Config) { c.Balancer.Key = "B" }, shows: func(c *clinic) bool { return c.service.HashKey == "B" },
		},
		"balancer.hash_balance_factor": {
			base:   func(c *Config) { c.Balancer.Type = "chash" },
			change: func(c *Config) { c.Balancer.HashBalanceFactor = 101 },
			shows: func(c *clinic) bool {
				for range 8 {
					busy(c.service, c.service.Pick(0, Want{Key: 1}), 1)
				}
				used := 0
				for _, n := range c.service.Nodes() {
					used += int(min(1, n.load.active.Load()))
				}
				return used > 1
			},
		},
		"balancer.sticky.cookie": {
			base:   func(c *Config) { c.Balancer.Sticky = &StickyConfig{Cookie: "a"} },
			change: func(c *Config) { c.Balancer.Sticky.Cookie = "b" },
			shows:  func(c *clinic) bool { return strings.HasPrefix(string(c.service.Cookie(c.node(0))), "b=") },
		},
		"balancer.sticky.ttl": {
			base:   func(c *Config) { c.Balancer.Sticky = &StickyConfig{} },
			change: func(c *Config) { c.Balancer.Sticky.TTL = dur(time.Minute) },
			shows:  func(c *clinic) bool { return strings.HasSuffix(string(c.service.Cookie(c.node(0))), "Max-Age=60") },
		},
		"balancer.slow_start": {
			base:   func(c *Config) { c.Balancer.SlowStart = dur(10 * time.Hour) },
			change: func(c *Config) { c.Balancer.SlowStart = dur(10 * time.Second) },
			shows: func(c *clinic) bool {
				c.specs[1].Weight = 0
				c.open()
				c.specs[1].Weight = 1
				c.open()
				c.pass(5 * time.Second)
				return share(c.service, 0)[c.node(1)] > 0.15
			},
		},
		"balancer.panic_percent": {
			base:   func(c *Config) { c.Health = active(1, 1) },
			change: func(c *Config) { c.Balancer.PanicPercent = &all },
			shows:  func(c *clinic) bool { c.ail(1, true); c.pass(10 * time.Second); return !alone(c) },
		},
		"breaker.max_requests": {change: func(c *Config) { c.Breaker.MaxRequests = 1 }, shows: func(c *clinic) bool { return !twice(c.service.Enter) }},
		"breaker.max_retries":  {change: func(c *Config) { c.Breaker.MaxRetries = 1 }, shows: func(c *clinic) bool { return !twice(c.service.EnterRetry) }},
		"breaker.max_pending": {change: func(c *Config) { c.Breaker.MaxPending = 1 }, shows: func(c *clinic) bool {
			return !twice(func() bool { return new(Pending).Enter(c.service, nil) })
		}},
		"breaker.queue_timeout": view(func(c *Config) { c.Breaker.QueueTimeout = dur(time.Second) }, func(s *Service) bool { return s.QueueTime(0) == time.Second }),
		"breaker.per_node.max_requests": {change: func(c *Config) { c.Breaker.PerNode.MaxRequests = 1 }, shows: func(c *clinic) bool {
			tries(1)(c)
			return c.service.Pick(0, Want{Tried: c.service.Nodes()[1:]}) == nil
		}},
		"breaker.per_node.max_pending": {change: func(c *Config) { c.Breaker.PerNode.MaxPending = 1 }, shows: func(c *clinic) bool {
			new(Pending).Enter(c.service, c.node(0))
			return c.service.Pick(0, Want{Tried: c.service.Nodes()[1:]}) == nil
		}},
		"breaker.per_node.max_retries": {change: func(c *Config) { c.Breaker.PerNode.MaxRetries = 1 }, shows: func(c *clinic) bool {
			return !twice(func() bool {
				var try Try
				return try.Begin(c.service, 0, c.node(0), 0) && try.AsRetry()
			})
		}},
		"breaker.adaptive.min_limit": {
			base:   func(c *Config) { c.Breaker.Adaptive = &AdaptiveConfig{} },
			change: func(c *Config) { c.Breaker.Adaptive.MinLimit = 500 }, shows: func(c *clinic) bool { return c.service.state.limit.Load() == 500 },
		},
		"breaker.adaptive.max_limit": {
			base:   func(c *Config) { c.Breaker.Adaptive = &AdaptiveConfig{} },
			change: func(c *Config) { c.Breaker.Adaptive.MaxLimit = 10 }, shows: func(c *clinic) bool { return c.service.state.limit.Load() == 10 },
		},
		"breaker.adaptive.tolerance_percent": {
			base:   func(c *Config) { c.Breaker.Adaptive = &AdaptiveConfig{} },
			change: func(c *Config) { c.Breaker.Adaptive.TolerancePercent = 400 }, shows: func(c *clinic) bool { return c.service.state.view.adaptive.TolerancePercent == 400 },
		},
		"retry.attempts":       view(func(c *Config) { c.Retry.Attempts = &one }, func(s *Service) bool { return s.Attempts == 1 }),
		"retry.on":             view(func(c *Config) { c.Retry.On = []string{"unavailable"} }, func(s *Service) bool { return !s.RetryConnect && s.RetryUnavailable }),
		"retry.budget_percent": {base: func(c *Config) { c.Retry.MinPerSecond = &none }, change: func(c *Config) { c.Retry.BudgetPercent = &all }, shows: allowsRetry},
		"retry.min_per_second": {base: func(c *Config) { c.Retry.MinPerSecond = &none }, change: func(c *Config) { c.Retry.MinPerSecond = &all }, shows: allowsRetry},
		"retry.backoff":        view(func(c *Config) { c.Retry.Backoff, c.Retry.MaxBackoff = dur(time.Second), dur(time.Second) }, func(s *Service) bool { return s.Backoff(2) == time.Second }),
		"retry.max_backoff":    view(func(c *Config) { c.Retry.MaxBackoff = dur(time.Millisecond) }, func(s *Service) bool { return s.Backoff(9) == time.Millisecond }),
		"retry.hedge.delay": {
			base: func(c *Config) { c.Retry.Hedge = &HedgeConfig{} }, change: func(c *Config) { c.Retry.Hedge.Delay = dur(time.Second) },
			shows: func(c *clinic) bool { return c.service.HedgeAfter() == time.Second },
		},
		"retry.hedge.min_delay": {
			base: func(c *Config) { c.Retry.Hedge = &HedgeConfig{Delay: dur(time.Second)} }, change: func(c *Config) { c.Retry.Hedge.MinDelay = dur(time.Minute) },
			shows: func(c *clinic) bool { return c.service.HedgeAfter() == time.Minute },
		},
		"retry.hedge.percentile": {
			base: func(c *Config) { c.Retry.Hedge = &HedgeConfig{} }, change: func(c *Config) { c.Retry.Hedge.Percentile = 10 },
			shows: func(c *clinic) bool {
				for i := range 100 {
					c.service.state.noteHead(0, time.Duration(1+i)*10*time.Millisecond)
				}
				c.pass(headEvery) // the next look at what was measured
				return c.service.HedgeAfter() < 200*time.Millisecond
			},
		},
		"timeout.connect":  view(func(c *Config) { c.Timeout.Connect = dur(time.Minute) }, func(s *Service) bool { return s.ConnectTimeout == time.Minute }),
		"timeout.response": view(func(c *Config) { c.Timeout.Response = dur(time.Minute) }, func(s *Service) bool { return s.ResponseTimeout == time.Minute }),
		"timeout.idle":     view(func(c *Config) { c.Timeout.Idle = dur(time.Minute) }, func(s *Service) bool { return s.IdleTimeout == time.Minute }),
		"timeout.per_try":  view(func(c *Config) { c.Timeout.PerTry = dur(time.Minute) }, func(s *Service) bool { return s.TryTimeout == time.Minute }),
		"timeout.total":    view(func(c *Config) { c.Timeout.Total = dur(time.Minute) }, func(s *Service) bool { return s.TotalTimeout == time.Minute }),
	}
	settings := slices.DeleteFunc(leaves(reflect.TypeFor[Config](), ""), func(path string) bool {
		return slices.ContainsFunc(shownElsewhere, func(p string) bool { return path == p || strings.HasSuffix(p, ".") && strings.HasPrefix(path, p) })
	})
	wantAll(t, settings, cases)
	for name, s := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClinic(t, 2, &HealthConfig{Active: &ActiveHealth{Type: "none"}})
				defer c.Close()
				if s.base != nil {
					s.base(c.config)
				}
				c.open()
				if s.shows(c) {
					t.Fatal("it shows before the change")
				}
				s.change(c.config)
				c.open()
				if !s.shows(c) {
					t.Error("it does not show")
				}
			})
		})
	}
}

// twice reports whether something is granted, and then once more.
func twice(granted func() bool) bool {
	first := granted()
	return first && granted()
}

// oneNode reports whether all picks are of one node.
func oneNode(s *Service) bool { return len(share(s, 0)) == 1 }

// allowsRetry reports whether the budget has many retries for many requests.
func allowsRetry(c *clinic) bool {
	n := 0
	for range 50 {
		c.service.CountRequest(0, 0)
		if _, ok := c.service.AllowRetry(0, 0); ok {
			n++
		}
	}
	return n > 25
}
