package admin

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/control"
	"sluice/core/observe"
)

func testDeps(store control.Store) Deps {
	return Deps{
		Store: store, Token: testToken, Stats: observe.NewRegistry(1),
		Status: func() *control.Status { return &control.Status{Snapshots: 1} },
	}
}

func TestAServerStartsSaysWhereAndStops(t *testing.T) {
	s := New(testDeps(newMemory()))
	if err := s.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + s.Addr().String() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 || resp.Header.Get("Server") != "sluice" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	// The port is taken: a second server hears of it at once.
	second := New(testDeps(newMemory()))
	if err := second.Start(s.Addr().String()); err == nil || !strings.HasPrefix(err.Error(), "admin: ") {
		t.Errorf("a taken port: %v", err)
	}
	if err := second.Shutdown(context.Background()); err != nil {
		t.Errorf("shutdown of what never started: %v", err)
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Get("http://" + s.Addr().String() + "/healthz"); err == nil {
		t.Error("it still answers")
	}
}

// blocking is a store whose reads wait.
type blocking struct {
	*memory
	entered, release chan struct{}
}

func (b *blocking) Get(ctx context.Context, key string) (control.Entry, error) {
	close(b.entered)
	<-b.release
	return b.memory.Get(ctx, key)
}

func TestShutdownWaitsForRequestsInFlightUntilItsContextEnds(t *testing.T) {
	for _, patient := range []bool{true, false} {
		store := &blocking{newMemory(), make(chan struct{}), make(chan struct{})}
		store.set("routes/demo1", demo)
		s := New(testDeps(store))
		if err := s.Start("127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		var call sync.WaitGroup
		var failed error
		call.Go(func() {
			req, _ := http.NewRequest("GET", "http://"+s.Addr().String()+"/v1/routes/demo1", nil)
			req.Header.Set("X-Api-Token", testToken)
			resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
			if failed = err; err == nil {
				_, failed = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
		})
		<-store.entered
		ctx, cancel := context.WithCancel(context.Background())
		if patient {
			close(store.release)
		} else {
			cancel()
		}
		err := s.Shutdown(ctx)
		cancel()
		if !patient {
			close(store.release)
		}
		call.Wait()
		if patient && (err != nil || failed != nil) {
			t.Errorf("patient: %v, %v", err, failed)
		}
		if !patient && (!errors.Is(err, context.Canceled) || failed == nil) {
			t.Errorf("cut off: %v, %v", err, failed)
		}
	}
}

// broken is a store with a bug.
type broken struct{ control.Store }

func (broken) Get(context.Context, string) (control.Entry, error) { panic("secret of the store") }

func TestAPanicIsAnAnswerAndALineInTheLog(t *testing.T) {
	var log bytes.Buffer
	g := newGateway(t, func(d *Deps) {
		d.Store = broken{}
		d.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	answer := g.do("GET", "/v1/routes/demo1", "").want(500)
	if strings.Contains(answer.body, "secret") {
		t.Errorf("the answer says too much: %s", answer.body)
	}
	if !strings.Contains(log.String(), "secret of the store") || !strings.Contains(log.String(), "server_test.go") {
		t.Errorf("the log says too little: %s", log.String())
	}
	g.send("GET", "/healthz", "").want(200)
}

// A panic in the middle of an answer cuts it off: half a document must not look like a whole one.
func TestAPanicInTheMiddleOfAnAnswerCutsItOff(t *testing.T) {
	h := guarded(slog.New(slog.DiscardHandler), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		panic("bug")
	}))
	defer func() {
		if cause := recover(); cause != http.ErrAbortHandler {
			t.Errorf("recovered %v", cause)
		}
	}()
	h.ServeHTTP(discard{make(http.Header)}, httptest.NewRequest("GET", "/", nil))
	t.Error("the connection would go on")
}

type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) WriteHeader(int)             {}
func (d discard) Write(p []byte) (int, error) { return len(p), nil }

// A peer that sends nothing, or too much of a head, does not hold a connection for long.
func TestTheServerHasBounds(t *testing.T) {
	s := New(testDeps(newMemory())).http
	for name, d := range map[string]time.Duration{"head": s.ReadHeaderTimeout, "read": s.ReadTimeout, "write": s.WriteTimeout, "idle": s.IdleTimeout} {
		if d <= 0 || d > 5*time.Minute {
			t.Errorf("%s: %v", name, d)
		}
	}
	g := newGateway(t)
	g.server.Config.MaxHeaderBytes = s.MaxHeaderBytes
	if s.MaxHeaderBytes <= 0 || s.MaxHeaderBytes > 64<<10 {
		t.Errorf("MaxHeaderBytes: %d", s.MaxHeaderBytes)
	}
}

// Answers about the configuration are in no cache, and no browser guesses at what they are.
func TestEveryAnswerHasTheFieldsOfCaution(t *testing.T) {
	g := newGateway(t)
	for _, answer := range []*answer{g.do("GET", "/v1/routes", ""), g.send("GET", "/v1/routes", ""), g.do("GET", "/nothing", ""), g.send("GET", "/metrics", "")} {
		if answer.header.Get("Cache-Control") != "no-store" || answer.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%d: %v", answer.status, answer.header)
		}
	}
}
