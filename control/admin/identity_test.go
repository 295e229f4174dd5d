package admin

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// Whoever may look only is told so, and nothing is done; whoever is nobody is told nothing.
func TestAViewerReadsOnly(t *testing.T) {
	reached := Identity{}
	next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { reached = identityOf(r.Context()) })
	as := func(role Role) authenticator {
		return func(r *http.Request) (Identity, bool) {
			return Identity{Name: "jack", Role: role}, r.Header.Get("X-Token") == "jack"
		}
	}
	nobody := func(*http.Request) (Identity, bool) { return Identity{}, false }
	for _, c := range []struct {
		role         Role
		method, path string
		status       int
	}{
		{RoleViewer, "GET", "/v1/routes", 200},
		{RoleViewer, "HEAD", "/v1/routes", 200},
		{RoleViewer, "POST", "/v1/explain", 200},
		{RoleViewer, "PUT", "/v1/routes/a", 403},
		{RoleViewer, "DELETE", "/v1/routes/a", 403},
		{RoleViewer, "POST", "/v1/history/1/rollback", 403},
		{RoleViewer, "POST", "/admin/routes/list", 200},
		{RoleViewer, "GET", "/debug/pprof/heap", 403},
		{RoleAdmin, "GET", "/debug/pprof/heap", 200},
		{RoleViewer, "GET", "/admin/routes/save", 403}, // which writes, as in ws-cloud-gateway
		{RoleViewer, "GET", "/admin/services/remove", 403},
		{RoleAdmin, "DELETE", "/v1/routes/a", 200},
		{RoleAdmin, "GET", "/admin/routes/save", 200},
		{"", "GET", "/v1/routes", 403},
	} {
		reached = Identity{}
		r := httptest.NewRequest(c.method, c.path, nil)
		r.Header.Set("X-Token", "jack")
		w := httptest.NewRecorder()
		authenticated(next, nobody, as(c.role)).ServeHTTP(w, r)
		if w.Code != c.status || (reached.Name == "jack") != (c.status == 200) {
			t.Errorf("%s %s as %q: %d, reached by %+v", c.method, c.path, c.role, w.Code, reached)
		}
	}
	r := httptest.NewRequest("GET", "/v1/routes", nil)
	w := httptest.NewRecorder()
	if authenticated(next, nobody).ServeHTTP(w, r); w.Code != 401 {
		t.Errorf("nobody: %d", w.Code)
	}
}
