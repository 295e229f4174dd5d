package plugin_test

import (
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"sluice/plugin"
	"sluice/plugin/plugintest"
)

// step notes its turns in a log that the test reads.
type step struct {
	name  string
	log   *[]string
	reply *plugin.Reply
}

func (s *step) RequestHead(plugin.Exchange) plugin.Verdict {
	*s.log = append(*s.log, "request "+s.name)
	if s.reply != nil {
		return plugin.Verdict{Action: plugin.Respond, Reply: s.reply}
	}
	return plugin.Verdict{}
}

func (s *step) ResponseHead(plugin.Exchange) { *s.log = append(*s.log, "response "+s.name) }

type onlyResponse struct{ s *step }

func (o onlyResponse) ResponseHead(x plugin.Exchange) { o.s.ResponseHead(x) }

func TestPluginsRunByPriorityAndBackwardsOnTheResponse(t *testing.T) {
	var log []string
	c := plugin.NewChain([]plugin.Instance{
		{Name: "low", Priority: 1, Filter: &step{name: "low", log: &log}},
		{Name: "b", Priority: 5, Filter: &step{name: "b", log: &log}},
		{Name: "high", Priority: 9, Filter: onlyResponse{&step{name: "high", log: &log}}},
		{Name: "a", Priority: 5, Filter: &step{name: "a", log: &log}},
	})
	x := plugintest.New("GET /")
	if v := c.Request(x); v.Action != plugin.Continue || v.Reply != nil {
		t.Errorf("verdict %+v", v)
	}
	c.Response(x)
	want := []string{"request a", "request b", "request low", "response low", "response b", "response a", "response high"}
	if !slices.Equal(log, want) {
		t.Errorf("got %v, want %v", log, want)
	}
	if names := c.Names(); !slices.Equal(names, []string{"high", "a", "b", "low"}) {
		t.Errorf("names %v", names)
	}
}

// An answer ends the request's way; on the response every filter runs, since the answer goes to the client like any other.
func TestTheFirstPluginThatRespondsIsTheLastToRun(t *testing.T) {
	var log []string
	reply := &plugin.Reply{Status: 403}
	c := plugin.NewChain([]plugin.Instance{
		{Name: "a", Priority: 3, Filter: &step{name: "a", log: &log}},
		{Name: "b", Priority: 2, Filter: &step{name: "b", log: &log, reply: reply}},
		{Name: "c", Priority: 1, Filter: &step{name: "c", log: &log}},
	})
	x := plugintest.New("GET /")
	if v := c.Request(x); v.Action != plugin.Respond || v.Reply != reply {
		t.Errorf("verdict %+v", v)
	}
	c.Response(x)
	want := []string{"request a", "request b", "response c", "response b", "response a"}
	if !slices.Equal(log, want) {
		t.Errorf("got %v, want %v", log, want)
	}
}

func TestTheEmptyChainDoesNothing(t *testing.T) {
	c := plugin.NewChain(nil)
	if !c.Empty() || c != plugin.NewChain([]plugin.Instance{}) {
		t.Error("the empty chain is not one and the same")
	}
	if v := c.Request(plugintest.New("GET /")); v.Action != plugin.Continue {
		t.Errorf("verdict %+v", v)
	}
	c.Close()
}

// closing is a filter that counts how often it is closed.
type closing struct {
	closed *atomic.Int32
	step
}

func (c *closing) Close() error {
	c.closed.Add(1)
	return nil
}

func TestCloseClosesEveryInstanceOnce(t *testing.T) {
	var a, b atomic.Int32
	c := plugin.NewChain([]plugin.Instance{{Name: "a", Filter: &closing{closed: &a}}, {Name: "b", Filter: &closing{closed: &b}}})
	c.Close()
	c.Close()
	if a.Load() != 1 || b.Load() != 1 {
		t.Errorf("closed %d and %d times", a.Load(), b.Load())
	}
}

// plugin.Kind, step 6: an instance is closed once nothing holds its chain any more, and not before.
func TestInstancesAreClosedWhenTheLastHolderLetsGo(t *testing.T) {
	var closed atomic.Int32
	held := plugin.NewChain([]plugin.Instance{{Name: "a", Filter: &closing{closed: &closed, step: step{log: new([]string)}}}})
	for range 3 {
		runtime.GC()
	}
	if closed.Load() != 0 {
		t.Fatal("closed while it is held")
	}
	held.Request(plugintest.New("GET /"))
	held = nil
	deadline := time.Now().Add(10 * time.Second)
	for closed.Load() == 0 {
		if time.Now().After(deadline) {
			t.Fatal("never closed")
		}
		runtime.GC()
		runtime.Gosched()
	}
	if closed.Load() != 1 {
		t.Errorf("closed %d times", closed.Load())
	}
	_ = held
}

type silent struct{}

func (silent) RequestHead(plugin.Exchange) plugin.Verdict { return plugin.Verdict{} }
func (silent) ResponseHead(plugin.Exchange)               {}

// The data path allocates nothing per request.
func TestAChainAllocatesNothing(t *testing.T) {
	c := plugin.NewChain([]plugin.Instance{{Name: "a", Filter: silent{}}, {Name: "b", Filter: silent{}}})
	x := plugintest.New("GET /")
	if n := testing.AllocsPerRun(100, func() { c.Request(x); c.Response(x) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkChainOfTwo(b *testing.B) {
	c := plugin.NewChain([]plugin.Instance{{Name: "a", Filter: silent{}}, {Name: "b", Filter: silent{}}})
	x := plugintest.New("GET /")
	b.ReportAllocs()
	for b.Loop() {
		c.Request(x)
		c.Response(x)
	}
}
