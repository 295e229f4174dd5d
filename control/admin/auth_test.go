package admin

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// everyCall lists all calls of the API's own description, with an id filled in.
func everyCall(t *testing.T, g *gateway) (calls [][2]string) {
	t.Helper()
	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	g.do("GET", "/v1/openapi.json", "").want(200).into(&document)
	for path, operations := range document.Paths {
		for method := range operations {
			calls = append(calls, [2]string{strings.ToUpper(method), strings.NewReplacer("{id}", "x", "{name}", "x").Replace(path)})
		}
	}
	if len(calls) < 20 {
		t.Fatalf("only %d calls are described", len(calls))
	}
	return calls
}

// Contract, section 4: without a token 401, and nothing else is said; only /healthz, /readyz and /metrics need none.
func TestEveryCallButTheOpenOnesWantsTheToken(t *testing.T) {
	g := newGateway(t)
	calls := append(everyCall(t, g), [][2]string{
		{"GET", "/"}, {"GET", "/v1/nothing"}, {"GET", "/v1/routes/a/b"}, {"POST", "/v1/routes"}, {"OPTIONS", "/v1/routes"},
		{"GET", "/admin/routes/list"}, {"GET", "/healthz/"}, {"GET", "//healthz"}, {"GET", "/metrics/../v1/routes"}, {"GET", "/dashboard"},
	}...)
	var first *answer
	for _, call := range calls {
		got := g.send(call[0], call[1], "{")
		if call[1] == loginPath {
			continue // it says itself what is wrong
		}
		if open[call[1]] {
			got.want(200)
			continue
		}
		got.want(401)
		if got.header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%v: no WWW-Authenticate", call)
		}
		if first == nil {
			first = got
		}
		if got.body != first.body || len(got.header) != len(first.header) {
			t.Errorf("%v: a 401 differs from others: %v %s", call, got.header, got.body)
		}
	}
	if document, _ := first.problems(); document.Detail != "" {
		t.Errorf("a 401 says %q", document.Detail)
	}
	if g.store.writes != 0 {
		t.Error("something was written")
	}
}

func TestTheTokenIsTakenFromEitherField(t *testing.T) {
	g := newGateway(t)
	for _, tc := range []struct {
		fields []string
		status int
	}{
		{[]string{"Authorization", "Bearer " + testToken}, 200},
		{[]string{"Authorization", "bearer  " + testToken}, 200}, // RFC 9110 §11.1: 1*SP, and the scheme in any case
		{[]string{"X-Api-Token", testToken}, 200},
		{[]string{"Authorization", "Basic Zm9v", "X-Api-Token", testToken}, 200},
		{[]string{"Authorization", testToken}, 401},
		{[]string{"Authorization", "Basic " + testToken}, 401},
		{[]string{"Authorization", "Bearer"}, 401},
		{[]string{"Authorization", "Bearer " + testToken + "x"}, 401},
		{[]string{"Authorization", "Bearer " + testToken[:5]}, 401},
		{[]string{"X-Api-Token", ""}, 401},
		{[]string{"X-Token", testToken}, 401}, // for tokens of logins, of which there are none
		{nil, 401},
	} {
		if got := g.send("GET", "/v1/routes", "", tc.fields...); got.status != tc.status {
			t.Errorf("%q: %d, want %d", tc.fields, got.status, tc.status)
		}
	}
}

// A gateway that was set up without a token is shut, not open.
func TestAnEmptyTokenLetsNobodyIn(t *testing.T) {
	g := newGateway(t, func(d *Deps) { d.Token = "" })
	g.send("GET", "/v1/routes", "").want(401)
	g.send("GET", "/v1/routes", "", "Authorization", "Bearer ").want(401)
	g.send("GET", "/v1/routes", "", "X-Api-Token", "").want(401)
	g.send("GET", "/healthz", "").want(200)
}

func TestUnknownCallsAreProblemsToThoseWithTheToken(t *testing.T) {
	g := newGateway(t)
	for _, path := range []string{"/", "/v1", "/v1/nothing", "/v1/routes/", "/v1/routes/a/b", "/v1/routes/..", "/v1/secrets"} {
		g.do("GET", path, "").want(404)
	}
	got := g.do("POST", "/v1/routes", "{}").want(http.StatusMethodNotAllowed)
	if allow := got.header.Get("Allow"); !strings.Contains(allow, "GET") {
		t.Errorf("Allow: %q", allow)
	}
	g.send("DELETE", "/healthz", "").want(http.StatusMethodNotAllowed)
}
