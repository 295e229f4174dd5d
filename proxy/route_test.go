package proxy

import (
	"testing"

	"sluice/router"
)

// What nodes read differently may pass where every reading leads to the same route, as group%2Fproject does; it must not evade a pattern.
func TestAPathWithMoreThanOneReadingNeedsOneRoute(t *testing.T) {
	g := newGateway(t, []string{newNode(t, answering(ok)).addr},
		withRoute(router.Rule[*Route]{ID: "public", Paths: []string{"/public/*"}}),
		withRoute(router.Rule[*Route]{ID: "admin", Paths: []string{"/admin/*"}, Methods: []string{"POST"}}))
	for path, want := range map[string]int{
		"/public/group%2fproject": 200, "/public/a%5Cb": 200, `/public/a\b`: 200, "/public/a/b//../c": 200, "/public/%2F": 200,
		"/public/..%2Fadmin/x": 400, "/public/%2e%2e%5cadmin/x": 400, `/public/..\admin`: 400, "/public//../admin/x": 400, "/public/..%2f..": 400, "/public%2Fa": 400,
		"/admin/a%2Fb": 405, "/nowhere%2Fa": 404, "/public/%00": 400, "/public/%zz": 400, "/..%2f": 400,
	} {
		c := g.connect(t)
		c.send("GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n")
		if a := c.answer(); a.status != want {
			t.Errorf("%s got %d, want %d", path, a.status, want)
		}
		c.Close()
	}
}
