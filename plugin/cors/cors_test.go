package cors

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"sluice/plugin"
	"sluice/plugin/plugintest"
)

// filter is what a built plugin is.
type filter interface {
	plugin.RequestFilter
	plugin.ResponseFilter
}

func mustBuild(t testing.TB, config string) filter {
	t.Helper()
	made, err := Kind.Build(Kind.Name, json.RawMessage(config))
	if err != nil {
		t.Fatalf("%s: %v", config, err)
	}
	return made.(filter)
}

// run passes a request through the plugin and returns the fields of its answer, which has those of the node before, and whether the plugin answered itself.
func run(t *testing.T, config, line string, asked, node []string) (fields []string, answered bool) {
	t.Helper()
	f := mustBuild(t, config)
	x := plugintest.New(line, asked...)
	v := f.RequestHead(x)
	if answered = v.Action == plugin.Respond; answered && (v.Reply.Status != 204 || v.Reply.Body != nil) {
		t.Errorf("%s: answered with %+v", config, v.Reply)
	}
	for _, one := range node {
		name, value, _ := strings.Cut(one, ": ")
		x.Resp.Header.Add(name, []byte(value))
	}
	f.ResponseHead(x)
	return plugintest.Fields(&x.Resp.Header), answered
}

const listed = `{"allow_origins":"https://a.test, HTTPS://B.test:443,http://c.test:8080","expose_headers":"X-Total,X-Page","allow_credential":true,"allow_methods":"GET,PUT","allow_headers":"Content-Type"}`

// Fetch, "CORS protocol": an origin that is allowed is told so by its own name, and any other by nothing at all.
func TestOriginsAreToldWhetherTheyAreAllowed(t *testing.T) {
	const expression = `{"allow_origins_by_regex":["https://[a-z]+\\.example\\.com","http://localhost:\\d+"]}`
	for _, c := range []struct {
		config, origin string
		want           []string
	}{
		{`{}`, "https://x.test", []string{"Access-Control-Allow-Origin: *"}},
		{`{}`, "", []string{"Access-Control-Allow-Origin: *"}},
		{`{"allow_origins":"**"}`, "https://x.test", []string{"Vary: Origin", "Access-Control-Allow-Origin: https://x.test"}},
		{`{"allow_origins":"**"}`, "", []string{"Vary: Origin"}},
		{`{"allow_origins":"**","allow_methods":"**","allow_headers":"**","allow_credential":true}`, "null", []string{"Vary: Origin", "Access-Control-Allow-Origin: null", "Access-Control-Allow-Credentials: true"}},
		{listed, "https://a.test", []string{"Vary: Origin", "Access-Control-Allow-Origin: https://a.test", "Access-Control-Allow-Credentials: true", "Access-Control-Expose-Headers: X-Total, X-Page"}},
		{listed, "https://b.test", []string{"Vary: Origin", "Access-Control-Allow-Origin: https://b.test", "Access-Control-Allow-Credentials: true", "Access-Control-Expose-Headers: X-Total, X-Page"}},
		{listed, "http://c.test:8080", []string{"Vary: Origin", "Access-Control-Allow-Origin: http://c.test:8080", "Access-Control-Allow-Credentials: true", "Access-Control-Expose-Headers: X-Total, X-Page"}},
		{listed, "http://a.test", []string{"Vary: Origin"}},
		{listed, "https://a.test:444", []string{"Vary: Origin"}},
		{listed, "https://a.test.evil.test", []string{"Vary: Origin"}},
		{listed, "null", []string{"Vary: Origin"}},
		{listed, "", []string{"Vary: Origin"}},
		{expression, "https://shop.example.com", []string{"Vary: Origin", "Access-Control-Allow-Origin: https://shop.example.com"}},
		{expression, "http://localhost:3000", []string{"Vary: Origin", "Access-Control-Allow-Origin: http://localhost:3000"}},
		{expression, "https://shop.example.com.evil.test", []string{"Vary: Origin"}},
		{expression, "https://evil.test?https://shop.example.com", []string{"Vary: Origin"}},
		{`{"allow_origins":"null","allow_origins_by_regex":["\\Qhttps://a.test"]}`, "https://a.test", []string{"Vary: Origin", "Access-Control-Allow-Origin: https://a.test"}},
		{`{"allow_origins":"null","allow_origins_by_regex":["https://a.test|https://b.test"]}`, "null", []string{"Vary: Origin", "Access-Control-Allow-Origin: null"}},
		{`{"allow_origins":"null","allow_origins_by_regex":["https://a.test|https://b.test"]}`, "https://a.test.x", []string{"Vary: Origin"}},
	} {
		var asked []string
		if c.origin != "" {
			asked = []string{"Origin: " + c.origin}
		}
		got, answered := run(t, c.config, "GET /", asked, nil)
		if !slices.Equal(got, c.want) || answered {
			t.Errorf("%s on %q: %v, want %v; answered %v", c.config, c.origin, got, c.want, answered)
		}
	}
}

// Fetch, "CORS-preflight fetch".
func TestPreflightsAreAnsweredByTheGateway(t *testing.T) {
	for _, c := range []struct {
		config string
		asked  []string
		want   []string
	}{
		{`{}`, []string{"Origin: https://x.test", "Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: x-a"},
			[]string{"Access-Control-Allow-Origin: *", "Access-Control-Allow-Methods: *", "Access-Control-Allow-Headers: *", "Access-Control-Max-Age: 5"}},
		{listed, []string{"Origin: https://a.test", "Access-Control-Request-Method: PUT"},
			[]string{"Vary: Origin", "Access-Control-Allow-Origin: https://a.test", "Access-Control-Allow-Credentials: true", "Access-Control-Allow-Methods: GET, PUT",
				"Access-Control-Allow-Headers: Content-Type", "Access-Control-Max-Age: 5"}},
		{`{"allow_origins":"**","allow_methods":"**","allow_headers":"**","allow_credential":true,"max_age":-1}`,
			[]string{"Origin: https://x.test", "Access-Control-Request-Method: PATCH", "Access-Control-Request-Headers: authorization,x-a"},
			[]string{"Vary: Origin", "Access-Control-Allow-Origin: https://x.test", "Access-Control-Allow-Credentials: true", "Access-Control-Allow-Methods: PATCH",
				"Access-Control-Allow-Headers: authorization,x-a", "Access-Control-Max-Age: -1"}},
		{`{"allow_headers":"**","max_age":600}`, []string{"Origin: https://x.test", "Access-Control-Request-Method: GET"},
			[]string{"Access-Control-Allow-Origin: *", "Access-Control-Allow-Methods: *", "Access-Control-Max-Age: 600"}},
		{listed, []string{"Origin: https://evil.test", "Access-Control-Request-Method: PUT"}, []string{"Vary: Origin"}},
	} {
		got, answered := run(t, c.config, "OPTIONS /", c.asked, nil)
		if !slices.Equal(got, c.want) || !answered {
			t.Errorf("%s: %v, want %v; answered %v", c.config, got, c.want, answered)
		}
	}
}

// An OPTIONS that is no preflight is the node's to answer.
func TestOtherOptionsPass(t *testing.T) {
	for _, asked := range [][]string{nil, {"Origin: https://a.test"}, {"Access-Control-Request-Method: PUT"}} {
		if got, answered := run(t, listed, "OPTIONS /", asked, nil); answered || slices.ContainsFunc(got, func(f string) bool { return strings.HasPrefix(f, "Access-Control-Max-Age") }) {
			t.Errorf("%v: %v, answered %v", asked, got, answered)
		}
	}
	if _, answered := run(t, listed, "GET /", []string{"Origin: https://a.test", "Access-Control-Request-Method: PUT"}, nil); answered {
		t.Error("a GET was taken for a preflight")
	}
}

// One decides. A node's "*" would open what the gateway keeps shut, and two Access-Control-Allow-Origin are refused by browsers.
func TestTheNodesOwnWordsAreReplaced(t *testing.T) {
	node := []string{"X-A: 1", "access-control-allow-origin: *", "Access-Control-Allow-Credentials: true", "Access-Control-Expose-Headers: X-Secret", "Access-Control-Max-Age: 9", "Access-Control-Allow-Methods: DELETE", "Access: x"}
	for origin, want := range map[string][]string{
		"https://x.test":    {"X-A: 1", "Access: x", "Vary: Origin", "Access-Control-Allow-Origin: https://x.test"},
		"https://evil.test": {"X-A: 1", "Access: x", "Vary: Origin"},
	} {
		if got, _ := run(t, `{"allow_origins":"https://x.test"}`, "GET /", []string{"Origin: " + origin}, node); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", origin, got, want)
		}
	}
}

// RFC 9110 §12.5.5: what the answer depends on besides stays there.
func TestOriginIsAddedToVary(t *testing.T) {
	for _, c := range []struct{ node, want []string }{
		{nil, []string{"Vary: Origin"}},
		{[]string{"Vary: Accept-Encoding"}, []string{"Vary: Accept-Encoding", "Vary: Origin"}},
		{[]string{"Vary: Accept-Encoding, origin"}, []string{"Vary: Accept-Encoding, origin"}},
		{[]string{"vary: a", "vary: Origin , b"}, []string{"vary: a", "vary: Origin , b"}},
		{[]string{"Vary: *"}, []string{"Vary: *"}},
		{[]string{"Vary: Original"}, []string{"Vary: Original", "Vary: Origin"}},
	} {
		if got, _ := run(t, listed, "GET /", nil, c.node); !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, want %v", c.node, got, c.want)
		}
	}
	if got, _ := run(t, `{}`, "GET /", []string{"Origin: https://a.test"}, []string{"Vary: Accept"}); !slices.Equal(got, []string{"Vary: Accept", "Access-Control-Allow-Origin: *"}) {
		t.Errorf("%v", got)
	}
}

// The client's origin decides, also where the node is told another; and where a plugin has answered before this one's turn came, the request's.
func TestTheOriginIsTheClients(t *testing.T) {
	f := mustBuild(t, `{"allow_origins":"https://a.test"}`)
	x := plugintest.New("GET /", "Origin: https://a.test")
	f.RequestHead(x)
	x.Req.Header.Set("Origin", []byte("https://inner.test"))
	f.ResponseHead(x)
	want := []string{"Vary: Origin", "Access-Control-Allow-Origin: https://a.test"}
	if got := plugintest.Fields(&x.Resp.Header); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	x = plugintest.New("GET /", "Origin: https://a.test")
	f.ResponseHead(x)
	if got := plugintest.Fields(&x.Resp.Header); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

func TestEveryProblemIsReportedWithItsPath(t *testing.T) {
	for config, want := range map[string][]string{
		`{"allow_credential":true,"expose_headers":"*"}`:                                              {"allow_origins: \"*\" does not go", "allow_methods: \"*\" does not go", "allow_headers: \"*\" does not go", "expose_headers: \"*\" does not go"},
		`{"allow_origins":"null","allow_methods":"GET","allow_headers":"**","allow_credential":true}`: {"allow_origins: \"null\" does not go"},
		`{"allow_origins":"https://a.test/,a.test,https://*.a.test,,*,https://ü.test,https://u@a.test,https://"}`: {
			"allow_origins: \"https://a.test/\" has a path", "allow_origins: \"a.test\" is no origin", "allow_origins: \"https://*.a.test\" has a wildcard", "allow_origins: \"\" is empty",
			"allow_origins: \"*\" stands alone", "allow_origins: \"https://ü.test\" is not written", "allow_origins: \"https://u@a.test\" is no origin", "allow_origins: \"https://\" is no origin"},
		`{"allow_origins_by_regex":["(","a(?=b)",""]}`:         {"allow_origins_by_regex[0]: ", "allow_origins_by_regex[1]: ", "allow_origins_by_regex[2]: "},
		`{"allow_origins_by_regex":[]}`:                        {"allow_origins_by_regex: wants 1 to 64"},
		`{"allow_origins":"*","allow_origins_by_regex":["a"]}`: {"allow_origins_by_regex: \"*\" in allow_origins"},
		`{"allow_methods":"GET,P T,*"}`:                        {"allow_methods: \"P T\"", "allow_methods: \"*\""},
		`{"allow_headers":"X-A,,X:"}`:                          {"allow_headers: \"\"", "allow_headers: \"X:\""},
		`{"expose_headers":"**"}`:                              {"expose_headers: \"**\" means nothing"},
		`{"max_age":-2}`:                                       {"max_age: -2"},
		`{"max_age":"5","allow_origin":"*"}`:                   {"max_age: wants a whole number", "allow_origin: unknown key; did you mean \"allow_origins\"?"},
	} {
		_, err := Kind.Build(Kind.Name, json.RawMessage(config))
		problems, ok := err.(plugin.Problems)
		if !ok || len(problems) != len(want) {
			t.Errorf("%s: %v, want %d problems", config, err, len(want))
			continue
		}
		for i, w := range want {
			if !strings.HasPrefix(problems[i].String(), w) {
				t.Errorf("%s: got %v, want %v", config, problems[i], w)
			}
		}
	}
}

func TestSchemaAndBuildAgree(t *testing.T) {
	plugintest.CheckSchema(t, &Kind,
		[]string{`{}`, listed, `{"allow_origins":"**"}`, `{"allow_origins":"null"}`, `{"allow_origins":"capacitor://localhost,http://[::1]:80"}`, `{"allow_origins_by_regex":["a"],"max_age":-1}`,
			`{"allow_origins_by_regex":["a"],"allow_credential":true,"allow_methods":"GET","allow_headers":"**"}`, `{"expose_headers":"*"}`},
		[]string{`{"allow_origins":""}`, `{"allow_origins":["*"]}`, `{"allow_origins_by_regex":[]}`, `{"allow_origins_by_regex":"a"}`, `{"allow_origins_by_regex":[""]}`, `{"max_age":-2}`, `{"max_age":1.5}`,
			`{"allow_credential":"yes"}`, `{"allow_methods":""}`, `{"expose_headers":""}`, `{"allow_origin":"*"}`},
		[]string{`{"allow_credential":true}`, `{"allow_origins":"a"}`, `{"allow_origins_by_regex":["("]}`, `{"allow_methods":"A B"}`, `{"expose_headers":"**"}`})
}

func TestSharingAllocatesNothing(t *testing.T) {
	for config, line := range map[string]string{
		listed: "GET /",
		`{}`:   "OPTIONS /",
		`{"allow_origins_by_regex":["https://[a-z]+\\.test"],"allow_headers":"**"}`: "OPTIONS /",
	} {
		f := mustBuild(t, config)
		x := plugintest.New(line)
		from, method := []byte("https://a.test"), []byte("PUT")
		n := testing.AllocsPerRun(200, func() {
			x.Again()
			x.Req.Header.Add("Origin", from)
			x.Req.Header.Add("Access-Control-Request-Method", method)
			f.RequestHead(x)
			f.ResponseHead(x)
		})
		if n != 0 || x.Resp.Header.Find("Access-Control-Allow-Origin") < 0 {
			t.Errorf("%s: %v allocations, %v", config, n, plugintest.Fields(&x.Resp.Header))
		}
	}
}

func BenchmarkSharing(b *testing.B) {
	for name, config := range map[string]string{"everybody": `{}`, "listed": listed, "expression": `{"allow_origins_by_regex":["https://[a-z]+\\.test"]}`} {
		b.Run(name, func(b *testing.B) {
			f := mustBuild(b, config)
			x := plugintest.New("GET /")
			from := []byte("https://a.test")
			b.ReportAllocs()
			for b.Loop() {
				x.Again()
				x.Req.Header.Add("Origin", from)
				f.RequestHead(x)
				f.ResponseHead(x)
			}
		})
	}
}
