package upstream

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"sluice/internal/problem"
	"sluice/internal/strict"
)

func decode(t *testing.T, text string) *Config {
	t.Helper()
	c := new(Config)
	if err := strict.DecodeJSON([]byte(text), c); err != nil {
		t.Fatal(err)
	}
	c.SetDefaults()
	return c
}

// The contract: a service with no services/ key runs on the defaults; so does an empty one.
func TestAnEmptyServiceRunsOnTheDocumentedDefaults(t *testing.T) {
	c := decode(t, `{"name":"s"}`)
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	if c.Protocol != "http" || c.Balancer.Type != "roundrobin" || *c.Retry.Attempts != 2 || !reflect.DeepEqual(c.Retry.On, []string{"connect", "reset", "502", "503", "504"}) ||
		*c.Retry.BudgetPercent != 20 || *c.Retry.MinPerSecond != 3 || *c.Pool.MaxIdlePerWorker != 64 || c.Pool.IdleTimeout.Std() != time.Minute ||
		c.Timeout.Connect != 0 || c.Health != nil {
		t.Errorf("%+v", c)
	}
}

// Contract, section 3: what it shows of a service is what one without a key runs on.
func TestTheStandardHealthIsTheDocumented(t *testing.T) {
	shown := decode(t, `{"name":"s","health":{"active":{"type":"tcp","interval":"3s","timeout":"1s","healthy":{"successes":1},"unhealthy":{"failures":2}},
		"passive":{"consecutive_failures":5,"ejection":"30s","max_ejected_percent":50}}}`)
	if h := StandardHealth(); !reflect.DeepEqual(h, shown.Health) || h.Validate() != nil {
		t.Errorf("%+v %+v", h.Active, h.Passive)
	}
	state := &serviceState{}
	bare, stored := newService("s", nil, state), newService("s", decode(t, `{"name":"s","retry":{}}`), state)
	for _, s := range []*Service{bare, stored} {
		if !s.RetryConnect || !s.RetryReset || s.RetryUnavailable || s.RetryStatus != has502|has503|has504 || s.Attempts != 2 {
			t.Errorf("%+v", s)
		}
	}
}

func TestHealthChecksThatAreAskedForHaveDefaults(t *testing.T) {
	c := decode(t, `{"name":"s","health":{"active":{"type":"http"},"passive":{}},"nodes":[{"upstream":"a:1"}],"balancer":{"type":"chash"}}`)
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	a, p := c.Health.Active, c.Health.Passive
	if a.Path != "/" || a.Interval.Std() != 3*time.Second || a.Timeout.Std() != time.Second || a.Healthy.Successes != 1 || a.Unhealthy.Failures != 2 ||
		p.ConsecutiveFailures != 5 || p.Ejection.Std() != 30*time.Second || *p.MaxEjectedPercent != 50 || *c.Nodes[0].Weight != 1 || *c.Nodes[0].Status != 1 ||
		c.Balancer.HashOn != "ip" {
		t.Errorf("%+v %+v %+v", c, a, p)
	}
}

// 0 is a value of its own where it has a meaning: no retry budget, no idle connections, a drained node.
func TestZeroIsKeptWhereItMeansSomething(t *testing.T) {
	c := decode(t, `{"name":"s","retry":{"budget_percent":0,"min_per_second":0,"on":[]},"pool":{"max_idle_per_worker":0},"nodes":[{"upstream":"a:1","weight":0,"status":0}]}`)
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	if *c.Retry.BudgetPercent != 0 || *c.Retry.MinPerSecond != 0 || len(c.Retry.On) != 0 || *c.Pool.MaxIdlePerWorker != 0 || *c.Nodes[0].Weight != 0 || *c.Nodes[0].Status != 0 {
		t.Errorf("%+v", c)
	}
}

func TestEverythingWrongIsReportedAtOnce(t *testing.T) {
	c := decode(t, `{"name":"a b","protocol":"https","balancer":{"type":"random","key":"x","hash_on":"ip"},
		"nodes":[{"upstream":""},{"upstream":"a:0"},{"upstream":"a:1","weight":-1,"status":2},{"upstream":"a:1"}],
		"health":{"active":{"type":"udp","path":"x","interval":"1ms","timeout":"1ms","healthy":{"successes":300},"unhealthy":{"failures":-1}},
		          "passive":{"consecutive_failures":-1,"ejection":"25h","max_ejected_percent":101}},
		"breaker":{"max_requests":-1,"max_pending":-1},"retry":{"attempts":11,"on":["connect","404"],"budget_percent":101,"min_per_second":-1},
		"timeout":{"connect":"25h","response":"25h","idle":"25h"},"pool":{"max_idle_per_worker":-1,"max_per_node":-1,"idle_timeout":"25h"}}`)
	list, ok := c.Validate().(problem.Problems)
	if !ok {
		t.Fatal("accepted")
	}
	want := []string{
		"name", "protocol", "balancer.hash_on", "balancer.key", "nodes[0].upstream", "nodes[1].upstream", "nodes[2].weight", "nodes[2].status", "nodes[3].upstream",
		"health.active.type", "health.active.path", "health.active.interval", "health.active.timeout", "health.active.healthy.successes",
		"health.active.unhealthy.failures", "health.passive.consecutive_failures", "health.passive.ejection", "health.passive.max_ejected_percent",
		"breaker.max_requests", "breaker.max_pending", "retry.attempts", "retry.on[1]", "retry.budget_percent", "retry.min_per_second",
		"timeout.connect", "timeout.response", "timeout.idle", "pool.max_idle_per_worker", "pool.max_per_node", "pool.idle_timeout",
	}
	var got []string
	for _, p := range list {
		got = append(got, p.Path)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestAddresses(t *testing.T) {
	for _, good := range []string{"10.0.0.1:80", "[::1]:8080", "localhost:1", "my_app-1.svc.cluster.local:65535", "host.:80", "a:1"} {
		if text := addressProblem(good); text != "" {
			t.Errorf("%q: %s", good, text)
		}
	}
	for _, bad := range []string{"", "a", "a:", ":80", "a:0", "a:65536", "a:http", "a:1:2", "::1:80", "http://a:80", "a b:80", "-a:80", "a..b:80", "10.0.0:80", "1234:80",
		"10.0.0.256:80", "a\n:80", strings.Repeat("a", 64) + ":80", "ä:80"} {
		if addressProblem(bad) == "" {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestNames(t *testing.T) {
	for name, good := range map[string]bool{"demo1": true, "a.b-c_d": true, "grün": true, "": false, "a/b": false, "a b": false, "a\x00": false, "\xff": false, strings.Repeat("a", 256): false} {
		var p problem.Problems
		CheckName(&p, "name", name)
		if (len(p) == 0) != good {
			t.Errorf("%q: %v", name, p)
		}
	}
}
