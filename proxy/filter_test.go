package proxy

import (
	"strings"
	"sync/atomic"
	"testing"

	"sluice/plugin"
)

// marker is a plugin that leaves its name on the request and on the answer.
type marker struct {
	name string
	stop bool // it answers itself
}

func (m marker) RequestHead(x plugin.Exchange) plugin.Verdict {
	x.Request().Header.Add("X-Way", []byte(m.name))
	if m.stop {
		return plugin.Verdict{Action: plugin.Respond, Reply: &plugin.Reply{Status: 403}}
	}
	return plugin.Verdict{}
}

func (m marker) ResponseHead(x plugin.Exchange) { x.Response().Header.Add("X-Back", []byte(m.name)) }

// The plugins of every route are around the route's own, also where one of them answers.
func TestPluginsOfEveryRouteAreAroundItsOwn(t *testing.T) {
	var seen atomic.Value // names on the request, in their order
	n := newNode(t, func(c *nodeConn) {
		for head := c.head(); head != ""; head = c.head() {
			way := ""
			for line := range strings.Lines(head) {
				if name, ok := strings.CutPrefix(line, "X-Way: "); ok {
					way += strings.TrimSpace(name)
				}
			}
			seen.Store(way)
			c.write(ok)
		}
	})
	for _, c := range []struct {
		every  marker
		way    string
		back   string
		status int
	}{
		{marker{name: "e"}, "er", "re", 200},
		{marker{name: "e", stop: true}, "", "re", 403},
	} {
		g := newGateway(t, []string{n.addr}, withPlugin(0, marker{name: "r"}))
		snap := *g.Snapshot()
		snap.Plugins = plugin.NewChain([]plugin.Instance{{Name: "every", Filter: c.every}})
		g.Publish(&snap)
		client := g.connect(t)
		client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		a := client.answer()
		back := ""
		for line := range strings.Lines(a.head) {
			if name, ok := strings.CutPrefix(line, "X-Back: "); ok {
				back += strings.TrimSpace(name)
			}
		}
		if a.status != c.status || back != c.back || c.status == 200 && seen.Load() != c.way {
			t.Errorf("%+v: status %d, way %q, back %q", c, a.status, seen.Load(), back)
		}
		client.Close()
	}
}

// meddler sets a status and a body whatever the answer is.
type meddler struct{}

func (meddler) ResponseHead(x plugin.Exchange) {
	x.Response().SetStatus(200)
	x.ReplaceBody([]byte("meddled"))
}
