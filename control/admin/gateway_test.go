package admin

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sluice/control"
	"sluice/core/observe"
)

const testToken = "correct-horse"

// gateway is a server under test and what is around it.
type gateway struct {
	t      *testing.T
	store  *memory
	status *control.Status
	deps   Deps
	server *httptest.Server
}

func newGateway(t *testing.T, change ...func(*Deps)) *gateway {
	t.Helper()
	g := &gateway{t: t, store: newMemory(), status: &control.Status{Snapshots: 1}}
	g.deps = Deps{
		Store: g.store, Token: testToken, Version: "1.2.3", Workers: 4,
		Status: func() *control.Status { return g.status },
		Stats:  observe.NewRegistry(4),
	}
	for _, f := range change {
		f(&g.deps)
	}
	g.server = httptest.NewServer(New(g.deps).Handler())
	t.Cleanup(func() {
		g.server.Client().CloseIdleConnections()
		g.server.Close()
	})
	return g
}

// answer is a response, read to its end.
type answer struct {
	t      *testing.T
	status int
	header http.Header
	body   string
}

// do sends a request with the token. fields are pairs of names and values.
func (g *gateway) do(method, path, body string, fields ...string) *answer {
	g.t.Helper()
	return g.send(method, path, body, append([]string{"Authorization", "Bearer " + testToken}, fields...)...)
}

func (g *gateway) send(method, path, body string, fields ...string) *answer {
	g.t.Helper()
	req, err := http.NewRequest(method, g.server.URL+path, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
	}
	resp, err := g.server.Client().Do(req)
	if err != nil {
		g.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	read, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return &answer{g.t, resp.StatusCode, resp.Header, string(read)}
}

// want fails the test unless the answer has the status and, for a problem, is a problem document.
func (a *answer) want(status int) *answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("status %d, want %d; body: %s", a.status, status, a.body)
	}
	if status >= 400 && a.header.Get("Content-Type") != "application/problem+json" {
		a.t.Fatalf("Content-Type of a %d is %q", status, a.header.Get("Content-Type"))
	}
	return a
}

func (a *answer) wantBody(body string) *answer {
	a.t.Helper()
	if a.body != body {
		a.t.Fatalf("body is\n%s\nwant\n%s", a.body, body)
	}
	return a
}

// into decodes the body.
func (a *answer) into(v any) {
	a.t.Helper()
	if err := json.Unmarshal([]byte(a.body), v); err != nil {
		a.t.Fatalf("%v in %s", err, a.body)
	}
}

func (a *answer) etag() string { return a.header.Get("ETag") }

// problemDocument is RFC 9457 with the list of fields.
type problemDocument struct {
	Title  string
	Status int
	Detail string
	Errors []struct{ Location, Message string }
}

// problems returns the locations of a problem document's errors.
func (a *answer) problems() (document problemDocument, locations []string) {
	a.t.Helper()
	a.into(&document)
	if document.Status != a.status || document.Title != http.StatusText(a.status) {
		a.t.Fatalf("the document contradicts the status %d: %s", a.status, a.body)
	}
	for _, e := range document.Errors {
		if e.Message == "" {
			a.t.Fatalf("a problem says nothing: %s", a.body)
		}
		locations = append(locations, e.Location)
	}
	return document, locations
}
