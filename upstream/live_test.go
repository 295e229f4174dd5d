package upstream

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sluice/internal/unit"
)

// leaves returns the paths of all that can be set in a value of type t, as its JSON has them.
func leaves(t reflect.Type, path string) (all []string) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return []string{path}
	}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if path != "" {
			name = path + "." + name
		}
		all = append(all, leaves(t.Field(i).Type, name)...)
	}
	return all
}

// wantAll fails the test where a setting has no case, or a case no setting.
func wantAll[T any](t *testing.T, settings []string, cases map[string]T) {
	t.Helper()
	for _, s := range settings {
		if _, ok := cases[s]; !ok {
			t.Errorf("there is no case for %s", s)
		}
	}
	for s := range cases {
		if !slices.Contains(settings, s) {
			t.Errorf("there is no setting %s", s)
		}
	}
}

// dur is a duration of a configuration.
func dur(d time.Duration) unit.Duration { return unit.Duration(d) }

// healthChange is a setting of health that is changed while the service runs.
type healthChange struct {
	base    HealthConfig
	prepare func(c *clinic) // under base
	change  func(h *HealthConfig)
	shows   func(c *clinic) bool // false before the change, true after it; time may pass in it
}

// probedAs is a change of what is asked: the next probe comes at once and asks that.
func probedAs(change func(a *ActiveHealth)) healthChange {
	return healthChange{
		base:   HealthConfig{Active: &ActiveHealth{Type: "http", Interval: dur(time.Hour)}},
		change: func(h *HealthConfig) { change(h.Active) },
		shows: func(c *clinic) bool {
			c.pass(time.Millisecond)
			want := ActiveHealth{Type: "http", Interval: dur(time.Hour)}
			change(&want)
			(&HealthConfig{Active: &want}).SetDefaults()
			return c.latest != nil && reflect.DeepEqual(*c.latest, want)
		},
	}
}

// isOut returns whether the first node is out after that time.
func isOut(after time.Duration) func(c *clinic) bool {
	return func(c *clinic) bool {
		c.pass(after)
		return !c.node(0).In()
	}
}

// isIn returns whether it is in.
func isIn(after time.Duration) func(c *clinic) bool {
	out := isOut(after)
	return func(c *clinic) bool { return !out(c) }
}

func (c *clinic) node(i int) *Node {
	c.service.state.mu.Lock()
	defer c.service.state.mu.Unlock()
	return c.service.state.nodes[c.specs[i].Upstream]
}

func ejecting(p PassiveHealth) HealthConfig {
	return HealthConfig{Active: &ActiveHealth{Type: "none"}, Passive: &p}
}

// Every setting of health that is changed while the gateway runs is in force at once, in the service and in settings/health: nothing waits for a moment that the old one has set.
func TestEverySettingOfHealthHoldsAtOnce(t *testing.T) {
	silence(t)
	sick := func(c *clinic) { c.ail(0, true) }
	fails := func(times int) func(c *clinic) { return func(c *clinic) { c.answer(0, 500, times) } }
	half := 50
	cases := map[string]healthChange{
		"active.type":     probedAs(func(a *ActiveHealth) { a.Type = "grpc" }),
		"active.method":   probedAs(func(a *ActiveHealth) { a.Method = "HEAD" }),
		"active.path":     probedAs(func(a *ActiveHealth) { a.Path = "/well" }),
		"active.host":     probedAs(func(a *ActiveHealth) { a.Host = "h" }),
		"active.statuses": probedAs(func(a *ActiveHealth) { a.Statuses = []int{204} }),
		"active.body":     probedAs(func(a *ActiveHealth) { a.Body = "well" }),
		"active.service":  probedAs(func(a *ActiveHealth) { a.Service = "s" }),
		"active.timeout":  probedAs(func(a *ActiveHealth) { a.Timeout = dur(5 * time.Second) }),
		"active.interval": {
			base: HealthConfig{Active: &ActiveHealth{Interval: dur(time.Hour), EdgeInterval: dur(time.Hour)}}, change: func(h *HealthConfig) { h.Active.Interval = dur(time.Second) },
			shows: func(c *clinic) bool {
				before := c.probes(0)
				c.pass(5 * time.Second)
				return c.probes(0) >= before+4
			},
		},
		"active.edge_interval": {
			base:    HealthConfig{Active: &ActiveHealth{Interval: dur(time.Hour), EdgeInterval: dur(time.Hour)}},
			prepare: func(c *clinic) { sick(c); c.pass(time.Hour) },
			change:  func(h *HealthConfig) { h.Active.EdgeInterval = dur(time.Second) },
			shows: func(c *clinic) bool {
				before := c.probes(0)
				c.pass(5 * time.Second)
				return c.probes(0) >= before+4
			},
		},
		"active.healthy.successes": {
			base:    HealthConfig{Active: &ActiveHealth{Interval: dur(time.Hour), EdgeInterval: dur(time.Hour), Healthy: HealthyAfter{5}, Unhealthy: UnhealthyAfter{1}}},
			prepare: func(c *clinic) { sick(c); c.pass(time.Hour); c.ail(0, false) },
			change:  func(h *HealthConfig) { h.Active.Healthy.Successes = 1 }, shows: isIn(time.Millisecond),
		},
		"active.unhealthy.failures": {
			base:    HealthConfig{Active: &ActiveHealth{Interval: dur(time.Hour), EdgeInterval: dur(time.Hour), Unhealthy: UnhealthyAfter{9}}},
			prepare: sick, change: func(h *HealthConfig) { h.Active.Unhealthy.Failures = 1 }, shows: isOut(time.Millisecond),
		},
		"passive.consecutive_failures": {
			base: ejecting(PassiveHealth{ConsecutiveFailures: 9}), change: func(h *HealthConfig) { h.Passive.ConsecutiveFailures = 2 },
			shows: func(c *clinic) bool { c.answer(0, 500, 2); return !c.node(0).In() },
		},
		"passive.ejection": {
			base: ejecting(PassiveHealth{ConsecutiveFailures: 1, Ejection: dur(time.Hour)}), prepare: fails(1),
			change: func(h *HealthConfig) { h.Passive.Ejection = dur(time.Second) }, shows: isIn(time.Second),
		},
		"passive.max_ejection": {
			base: ejecting(PassiveHealth{ConsecutiveFailures: 1, Ejection: dur(time.Minute)}), prepare: func(c *clinic) { c.answer(0, 500, 1); c.pass(time.Minute); c.answer(0, 500, 1) },
			change: func(h *HealthConfig) { h.Passive.MaxEjection = dur(time.Minute) }, shows: isIn(time.Minute - time.Second),
		},
		"passive.max_ejected_percent": {
			base: ejecting(PassiveHealth{ConsecutiveFailures: 1, MaxEjectedPercent: &half}), prepare: fails(1),
			change: func(h *HealthConfig) { h.Passive.MaxEjectedPercent = new(int) }, shows: isIn(0),
		},
		"passive.interval": {
			base: ejecting(PassiveHealth{ConsecutiveFailures: 99, SuccessPercent: 90, Interval: dur(time.Hour)}), prepare: fails(20),
			change: func(h *HealthConfig) { h.Passive.Interval = dur(time.Second) }, shows: isOut(time.Second),
		},
		"passive.min_requests": {
			base: ejecting(PassiveHealth{ConsecutiveFailures: 99, SuccessPercent: 90, MinRequests: 50}), prepare: fails(5),
			change: func(h *HealthConfig) { h.Passive.MinRequests = 5 }, shows: isOut(10 * time.Second),
		},
		"passive.success_percent": {
			base:   ejecting(PassiveHealth{ConsecutiveFailures: 99, LatencyFactor: 1000}),
			change: func(h *HealthConfig) { h.Passive.SuccessPercent = 90 },
			shows:  func(c *clinic) bool { c.answer(0, 500, 30); return isOut(10 * time.Second)(c) },
		},
		"passive.latency_factor": {
			base:   ejecting(PassiveHealth{ConsecutiveFailures: 99, SuccessPercent: 1}),
			change: func(h *HealthConfig) { h.Passive.LatencyFactor = 3 },
			shows: func(c *clinic) bool {
				for i := range c.specs {
					for range 30 {
						var try Try
						try.Begin(c.service, 0, c.node(i), 0)
						try.Answered(200, int64(time.Duration(1+9*max(0, 1-i))*10*time.Millisecond))
						try.Whole()
						try.End()
					}
				}
				return isOut(10 * time.Second)(c)
			},
		},
	}
	settings := append(leaves(reflect.TypeFor[ActiveHealth](), "active"), leaves(reflect.TypeFor[PassiveHealth](), "passive")...)
	wantAll(t, settings, cases)
	for name, h := range cases {
		for _, where := range []string{"service", "settings/health"} {
			t.Run(name+" of "+where, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := newClinic(t, 4, nil)
					defer c.Close()
					ask := c.prober.probe
					c.prober.probe = func(ctx context.Context, policy *ActiveHealth, node target) error {
						c.mu.Lock()
						c.latest = policy
						c.mu.Unlock()
						return ask(ctx, policy, node)
					}
					say := func(change func(h *HealthConfig)) {
						var said HealthConfig
						if h.base.Active != nil {
							a := *h.base.Active
							said.Active = &a
						}
						if h.base.Passive != nil {
							p := *h.base.Passive
							said.Passive = &p
						}
						change(&said)
						said.SetDefaults()
						if where == "service" {
							c.config.Health = &said
							c.open()
						} else {
							c.SetHealthDefaults(&said)
						}
						synctest.Wait()
					}
					c.open()
					say(func(*HealthConfig) {})
					c.pass(time.Second)
					if h.prepare != nil {
						h.prepare(c)
					}
					if h.shows(c) {
						t.Fatal("it shows before the change")
					}
					if h.prepare != nil && strings.HasPrefix(name, "passive.") {
						h.prepare(c)
					}
					say(h.change)
					if !h.shows(c) {
						t.Error("it does not show")
					}
				})
			})
		}
	}
}

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
