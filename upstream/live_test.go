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
