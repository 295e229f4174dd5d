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

// settings/path_policy: what is ambiguous may be refused altogether, or taken as the RFC reads it; what has no reading stays refused.
func TestThePolicyDecidesAboutAmbiguousPaths(t *testing.T) {
	g := newGateway(t, []string{newNode(t, answering(ok)).addr},
		withRoute(router.Rule[*Route]{ID: "public", Paths: []string{"/public/*"}}),
		withRoute(router.Rule[*Route]{ID: "admin", Paths: []string{"/admin/*"}, Methods: []string{"POST"}}))
	settings := Settings{}
	settings.Limits.SetDefaults()
	settings.Timeouts.SetDefaults()
	for _, policy := range []PathPolicy{PathRefuse, PathLiteral, PathAgree} {
		settings.Paths = policy
		g.Apply(settings)
		for path, want := range map[string]map[PathPolicy]int{
			"/public/group%2fproject": {PathAgree: 200, PathRefuse: 400, PathLiteral: 200},
			"/public/..%2Fadmin/x":    {PathAgree: 400, PathRefuse: 400, PathLiteral: 200},
			"/public/a/b//../c":       {PathAgree: 200, PathRefuse: 400, PathLiteral: 200},
			"/public/a":               {PathAgree: 200, PathRefuse: 200, PathLiteral: 200},
			"/public/%00":             {PathAgree: 400, PathRefuse: 400, PathLiteral: 400},
			"/public/../../x":         {PathAgree: 400, PathRefuse: 400, PathLiteral: 400},
		} {
			c := g.connect(t)
			c.send("GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n")
			if a := c.answer(); a.status != want[policy] {
				t.Errorf("%v: %s got %d, want %d", policy, path, a.status, want[policy])
			}
			c.Close()
		}
	}
}

func TestPoliciesAreReadByName(t *testing.T) {
	for _, want := range []PathPolicy{PathAgree, PathRefuse, PathLiteral} {
		var p PathPolicy
		if err := p.UnmarshalText([]byte(want.String())); err != nil || p != want {
			t.Errorf("%v: %v, %v", want, p, err)
		}
	}
	if err := new(PathPolicy).UnmarshalText([]byte("maybe")); err == nil {
		t.Error("a policy that there is not was read")
	}
}
