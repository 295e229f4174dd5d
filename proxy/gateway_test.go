package proxy

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sluice/core/observe"
	"sluice/internal/testnet"
	"sluice/internal/unit"
	"sluice/plugin"
	"sluice/router"
	"sluice/upstream"
)

// gateway is a server on loopback with one route for everything to one service.
type gateway struct {
	*Server
	addr     string
	registry *upstream.Registry
	stats    *observe.Registry
	logPath  string // of the access log, where there is one
	clock    *clock // of the loops, where it is the test's
}

// option changes the configuration of a test's gateway.
type option func(*setup)

type setup struct {
	config  Config
	service upstream.Config
	rules   []router.Rule[*Route]
	only    bool // there is no route but those of rules
	plugins []plugin.Instance
	timeout RouteTimeout // of the route for everything
	logged  bool
	grpc    bool // the route for everything is one of gRPC
	clock   *clock

	certificates []*Certificate
}

func withTimeouts(change func(*TimeoutsConfig)) option {
	return func(s *setup) { change(&s.config.Timeouts) }
}

func withLimits(change func(*LimitsConfig)) option {
	return func(s *setup) { change(&s.config.Limits) }
}

func withService(change func(*upstream.Config)) option {
	return func(s *setup) { change(&s.service) }
}

// withRouteTimeout sets the timeouts of the route for everything.
func withRouteTimeout(timeout RouteTimeout) option { return func(s *setup) { s.timeout = timeout } }

func withWorkers(n int) option { return func(s *setup) { s.config.Workers = n } }

// withAttempts sets how many tries there are in all.
func withAttempts(n int) option {
	return withService(func(c *upstream.Config) { c.Retry.Attempts = &n })
}

// withTrusted makes peers of those networks trusted proxies.
func withTrusted(prefixes ...string) option {
	return func(s *setup) {
		for _, p := range prefixes {
			s.config.TrustedProxies = append(s.config.TrustedProxies, netip.MustParsePrefix(p))
		}
	}
}

// withRoute puts a route in the place of the one for everything. Its value is that one's.
func withRoute(rule router.Rule[*Route]) option {
	return func(s *setup) { s.rules, s.only = append(s.rules, rule), true }
}

func withPlugin(priority int, filter any) option {
	return func(s *setup) {
		s.plugins = append(s.plugins, plugin.Instance{Name: "test", Priority: priority, Filter: filter})
	}
}

// withLog turns the access log on, for gateway.logged.
func withLog() option { return func(s *setup) { s.logged = true } }

// newGateway starts a gateway whose service has those nodes, and stops it with the test.
func newGateway(t testing.TB, nodes []string, options ...option) *gateway {
	t.Helper()
	nodes, options = inMode(t, nodes, options)
	g, addr := startGateway(t, nodes, options...)
	g.addr = front(t, addr)
	return g
}

// startGateway is newGateway whatever the mode, and returns where the gateway listens.
func startGateway(t testing.TB, nodes []string, options ...option) (*gateway, string) {
	t.Helper()
	s := setup{config: Config{Workers: 1, Listeners: []ListenerConfig{{Address: "127.0.0.1:0"}}}}
	s.config.Limits.SetDefaults()
	s.config.Timeouts.SetDefaults()
	s.config.Timeouts.Drain = unit.Duration(2 * time.Second)
	for _, node := range nodes {
		s.service.Nodes = append(s.service.Nodes, upstream.NodeConfig{Upstream: node})
	}
	// Retries without a bound, for tests in which every other node is a bad one.
	all, many := 100, 1_000_000
	s.service.Retry.BudgetPercent, s.service.Retry.MinPerSecond = &all, &many
	for _, o := range options {
		o(&s)
	}
	stats := observe.NewRegistry(s.config.Workers)
	server, err := New(s.config, stats, slog.New(slog.NewTextHandler(testLog{t}, nil)))
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{Server: server, registry: upstream.NewRegistry(server.Loops(), stats), stats: stats, clock: s.clock}
	route := &Route{ID: "all", ServiceName: "s", GRPC: s.grpc, Chain: plugin.NewChain(s.plugins), Stats: stats.Route("all", "s"), Timeout: s.timeout}
	rules := s.rules
	if !s.only {
		rules = append(rules, router.Rule[*Route]{ID: "all", Paths: []string{"/*"}, Value: route})
	}
	for i := range rules {
		if rules[i].Value == nil {
			rules[i].Value = route
		}
	}
	table, err := router.Build(rules)
	if err != nil {
		t.Fatal(err)
	}
	snap := &Snapshot{Revision: 1, Routes: table, Services: []*upstream.Service{g.registry.Update("s", &s.service, nil)}}
	if s.certificates != nil {
		snap.Certificates = NewCertificates(s.certificates)
	}
	server.Publish(snap)
	if err := server.Listen(); err != nil {
		t.Fatal(err)
	}
	if s.logged {
		g.openLog(t)
	}
	server.Start()
	t.Cleanup(func() {
		g.registry.Close()
		server.Close()
	})
	return g, server.Addrs()[0].String()
}

// onLoop asks the first worker's loop.
func (g *gateway) onLoop(question func(w *worker) bool) bool {
	answer := make(chan bool, 1)
	w := g.workers[0]
	w.loop.Post(func() {
		defer close(answer) // also for a question that panics, of which the log tells
		answer <- question(w)
	})
	return <-answer
}

// testLog writes the gateway's log to the test's, and fails the test for a bug that the loop survived.
type testLog struct{ t testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	if strings.Contains(string(p), "BUG:") {
		l.t.Errorf("%s", p)
	}
	return len(p), nil
}

// origin starts an HTTP server for the test and returns its address.
func origin(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(func() {
		server.CloseClientConnections() // the gateway keeps some, and it may still be there
		server.Close()
	})
	return server.Listener.Addr().String()
}

// echo answers with the request's body, while it comes.
func echo(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).EnableFullDuplex()
	_, _ = io.Copy(w, r.Body)
}

// exchangeRaw sends request on a new connection and returns everything that comes until the gateway ends it or has been silent for the given time.
func exchangeRaw(t testing.TB, addr, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(testnet.Patience))
	answer, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("read: %v, after %q", err, answer)
	}
	return string(answer)
}

// first returns the HTTP/1.1 session that was opened last.
func (w *worker) first() *session { return w.sessions.session.(*session) }
