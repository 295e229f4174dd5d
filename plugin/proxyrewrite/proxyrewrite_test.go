package proxyrewrite

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sluice/plugin"
	"sluice/plugin/plugintest"
)

func mustBuild(t testing.TB, name, config string) plugin.RequestFilter {
	t.Helper()
	made, err := Kind.Build(name, json.RawMessage(config))
	if err != nil {
		t.Fatalf("%s: %v", config, err)
	}
	return made.(plugin.RequestFilter)
}

func TestTargets(t *testing.T) {
	for _, c := range []struct{ name, config, target, want string }{
		// The contract's example: the match is greedy, and what is before and after it stays.
		{"proxy-rewrite", `{"regex_uri":["^/openapi/(.*)/","/openapi/"]}`, "/openapi/demo1/hello", "/openapi/hello"},
		{"proxy-rewrite", `{"regex_uri":["^/openapi/(.*)/","/openapi/"]}`, "/openapi/demo1/a/b?x=1", "/openapi/b?x=1"},
		{"proxy-rewrite", `{"regex_uri":["^/openapi/(.*)/","/openapi/"]}`, "/other", "/other"},
		// The first match only.
		{"proxy-rewrite", `{"regex_uri":["o","0"]}`, "/foo/o", "/f0o/o"},
		{"proxy-rewrite", `{"regex_uri":["(o)","<$1>"]}`, "/foo/o", "/f<o>o/o"},
		{"proxy-rewrite", `{"regex_uri":["o+|/bar","0"]}`, "/x/bar/ooo", "/x0/ooo"},
		// The first expression that matches.
		{"proxy-rewrite", `{"regex_uri":["^/a","/1","^/b","/2","^/ab","/3"]}`, "/b/c", "/2/c"},
		{"proxy-rewrite", `{"regex_uri":["^/a","/1","^/b","/2","^/ab","/3"]}`, "/ab", "/1b"},
		// Groups.
		{"proxy-rewrite", `{"regex_uri":["^/v(\\d+)/(.*)","/$2?version=$1"]}`, "/v2/users?a=b", "/users?version=2&a=b"},
		{"proxy-rewrite", `{"regex_uri":["^/(a)?(b)","/$1-${2}3-$$1"]}`, "/b", "/-b3-$1"},
		{"proxy-rewrite", `{"regex_uri":["^/iresty/(.*)/(.*)/(.*)","/$1-$2-$3"]}`, "/iresty/a/b/c", "/a-b-c"},
		{"proxy-rewrite", `{"regex_uri":["^(.*)$","$0$0"]}`, "/a", "/a/a"},
		// An empty match at the start.
		{"proxy-rewrite", `{"regex_uri":["^","/prefix"]}`, "/a", "/prefix/a"},
		{"proxy-rewrite", `{"regex_uri":["$","/end"]}`, "/a", "/a/end"},
		// A path begins with a slash, whatever the template says.
		{"proxy-rewrite", `{"regex_uri":["^/api/",""]}`, "/api/x", "/x"},
		{"proxy-rewrite", `{"regex_uri":["^/api/?(.*)","$1"]}`, "/api/x", "/x"},
		{"proxy-rewrite", `{"regex_uri":["^/api",""]}`, "/api", "/"},
		// The path is taken as routes see it, so that no way to write it goes past the expression or out of where it is put; the query is taken as the client wrote it.
		{"proxy-rewrite", `{"regex_uri":["^/a/","/b/"]}`, "/a/%2e%41?q=%41/../", "/b/.A?q=%41/../"},
		{"proxy-rewrite", `{"regex_uri":["^/pub/(.*)$","/files/$1"]}`, "/%70ub/x", "/files/x"},
		{"proxy-rewrite", `{"regex_uri":["^/pub/(.*)$","/files/$1"]}`, "/pub/../pub/secret", "/files/secret"},
		{"proxy-rewrite", `{"regex_uri":["^/pub/(.*)$","/files/$1"]}`, "/x/%2E%2e/pub/./%2e/y", "/files/y"},
		{"rewrite", `{"rewrite_url_regex":"^/pub/","rewrite_replace":"/files/"}`, "/%70ub/b/..", "/files/"},
		{"rewrite", `{"rewrite_url_regex":"(a)","rewrite_replace":"b$1"}`, "/%61%2fa", "/ba%2Fba"},
		// What an escape hides stays hidden: a slash, the beginning of the query, of a fragment, spaces, controls, bytes beyond ASCII.
		{"proxy-rewrite", `{"regex_uri":["^/a/(.*)","/b/$1"]}`, "/%61/%2f%3f%23%20%0d%0a%c3%a9%25", "/b/%2F%3F%23%20%0D%0A%C3%A9%25"},
		{"proxy-rewrite", `{"regex_uri":["^/a/","/b/"]}`, "/a/\xc3\xa9", "/b/\xc3\xa9"},
		// Where no expression matches it goes on as it was written.
		{"proxy-rewrite", `{"regex_uri":["^/b/","/c/"]}`, "/%61/../%61/./x", "/%61/../%61/./x"},
		{"proxy-rewrite", `{"host":"a"}`, "/%61/./x", "/%61/./x"},
		{"proxy-rewrite", `{"uri":"/new"}`, "/old?a=b", "/new?a=b"},
		{"proxy-rewrite", `{"uri":"/new?x=1"}`, "/old?a=b", "/new?x=1&a=b"},
		{"proxy-rewrite", `{"uri":"/new?x=1"}`, "/old", "/new?x=1"},
		{"proxy-rewrite", `{"uri":"/new"}`, "/old?", "/new"},
		{"proxy-rewrite", `{"uri":"/new"}`, "*", "*"},
		// The seed: props, every match, and nothing without an expression.
		{"rewrite", `{"rewrite_url_regex":"^/openapi/(.*)/","rewrite_replace":"/openapi/"}`, "/openapi/demo1/hello?a", "/openapi/hello?a"},
		{"rewrite", `{"rewrite_url_regex":"o","rewrite_replace":"0"}`, "/foo/o", "/f00/0"},
		{"rewrite", `{"rewrite_url_regex":"(o)(.)?","rewrite_replace":"$2$1"}`, "/foo/o", "/foo/o"},
		{"rewrite", `{"rewrite_url_regex":"^/api/acc","rewrite_replace":"/v4/na"}`, "/api/acc/x", "/v4/na/x"},
		{"rewrite", `{"rewrite_url_regex":"^/a/(.*)$","rewrite_replace":"/$1$2${3}"}`, "/a/b", "/b"},
		{"rewrite", `{"rewrite_url_regex":"^/a/(?<rest>.*)\\Z","rewrite_replace":"/$1"}`, "/a/b", "/b"},
		{"rewrite", `{"rewrite_url_regex":"none","rewrite_replace":"0"}`, "/foo", "/foo"},
		{"rewrite", `{"rewrite_replace":"/x"}`, "/foo", "/foo"},
		{"rewrite", `{}`, "/foo", "/foo"},
		{"rewrite", `{"uri":"/own-keys"}`, "/foo", "/own-keys"},
	} {
		x := plugintest.New("GET " + c.target)
		if v := mustBuild(t, c.name, c.config).RequestHead(x); v.Action != plugin.Continue {
			t.Errorf("%s: verdict %+v", c.config, v)
		}
		if got := string(x.Req.Target()); got != c.want {
			t.Errorf("%s on %s: %s, want %s", c.config, c.target, got, c.want)
		}
		path, query, _ := strings.Cut(c.want, "?")
		if string(x.Req.Path()) != path || string(x.Req.Query()) != query {
			t.Errorf("%s on %s: path %s, query %s", c.config, c.target, x.Req.Path(), x.Req.Query())
		}
	}
}

func TestMethodAndHost(t *testing.T) {
	f := mustBuild(t, "proxy-rewrite", `{"method":"POST","host":"internal.example.com:8080"}`)
	x := plugintest.New("GET /", "Host: example.com", "A: b")
	f.RequestHead(x)
	if string(x.Req.MethodBytes()) != "POST" || string(x.Req.Host()) != "internal.example.com:8080" ||
		!slices.Equal(plugintest.Fields(&x.Req.Header), []string{"Host: internal.example.com:8080", "A: b"}) {
		t.Errorf("%s %s %v", x.Req.MethodBytes(), x.Req.Host(), plugintest.Fields(&x.Req.Header))
	}
}

// The answer to HEAD has no body (RFC 9110 §9.3.2); one to the GET that it was made of has, and would be taken for the next response.
func TestHeadStaysHead(t *testing.T) {
	x := plugintest.New("HEAD /")
	mustBuild(t, "proxy-rewrite", `{"method":"GET"}`).RequestHead(x)
	if string(x.Req.MethodBytes()) != "HEAD" {
		t.Errorf("%s", x.Req.MethodBytes())
	}
}

func TestHeaders(t *testing.T) {
	for config, want := range map[string][]string{
		`{"headers":{"set":{"X-A":"new","X-N":5},"add":{"X-B":"2"},"remove":["x-c"]}}`: {"X-A: new", "X-B: 1", "X-B: 2", "X-N: 5"},
		`{"headers":{"X-A":"new","X-C":"","X-N":1.5}}`:                                 {"X-A: new", "X-B: 1", "X-N: 1.5"},
		`{"headers":{"add":{"X-C":"4"},"remove":["X-C"],"set":{"X-D":"d"}}}`:           {"x-a: old", "X-B: 1", "X-D: d"},
		`{"headers":{"set":"a header called set"}}`:                                    {"x-a: old", "X-B: 1", "X-C: 3", "set: a header called set"},
	} {
		x := plugintest.New("GET /", "x-a: old", "X-B: 1", "X-C: 3")
		mustBuild(t, "proxy-rewrite", config).RequestHead(x)
		if got := plugintest.Fields(&x.Req.Header); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", config, got, want)
		}
	}
}

func TestEveryProblemIsReportedWithItsPath(t *testing.T) {
	for config, want := range map[string][]string{
		`{"regex_uri":["(","/"," ","$1"],"method":"get","host":"a b","headers":{"set":{"Content-Length":"1","a b":"x"},"remove":["Host"]}}`: {
			"regex_uri[0]: ", "regex_uri[3]: ", "method: ", "host: ", "headers.remove[0]: ", "headers.set.Content-Length: ", `headers.set["a b"]: `},
		`{"regex_uri":["^/a"]}`:                             {"regex_uri: wants pairs", "regex_uri: wants 1 to 32 pairs"},
		`{"regex_uri":["^/a","/x y"]}`:                      {"regex_uri[1]: "},
		`{"regex_uri":["^/a","/x\r\nEvil: 1"]}`:             {"regex_uri[1]: "},
		`{"regex_uri":["^/a","/$x"]}`:                       {"regex_uri[1]: "},
		`{"regex_uri":["^/a(?=b)","/"]}`:                    {"regex_uri[0]: "},
		`{"uri":"/a/$remote_addr"}`:                         {"uri: "},
		`{"uri":"a","regex_uri":["a","b"]}`:                 {"uri: ", "regex_uri: cannot"},
		`{"uri":"/a b"}`:                                    {"uri: "},
		`{"headers":{"X-A":"$host"}}`:                       {"headers.X-A: "},
		`{"headers":{"X-A":"a\r\nb"}}`:                      {"headers.X-A: "},
		`{"headers":{"add":{"X-A":true},"sets":{"A":"b"}}}`: {"headers.add.X-A: ", "headers.sets: "},
		`{"headers":7}`:                                     {"headers: wants an object"},
		`{}`:                                                {"rewrites nothing"},
		`{"method":"HEAD"}`:                                 {"method: "},
		`{"regex_url":["a","b"]}`:                           {`regex_url: unknown key; did you mean "regex_uri"?`},
		`{"host":"example.com:99999"}`:                      {"host: "},
	} {
		_, err := Kind.Build("proxy-rewrite", json.RawMessage(config))
		problems, ok := err.(plugin.Problems)
		if !ok {
			t.Errorf("%s: %v", config, err)
			continue
		}
		for i, w := range want {
			if i >= len(problems) || !strings.HasPrefix(problems[i].String(), w) {
				t.Errorf("%s: got %v, want %v", config, strings.ReplaceAll(err.Error(), "; ", "\n"), want)
				break
			}
		}
		if len(problems) != len(want) {
			t.Errorf("%s: %d problems, want %d: %v", config, len(problems), len(want), err)
		}
	}
}

func TestTheSeedsPropsAreCheckedWithTheirOwnPaths(t *testing.T) {
	_, err := Kind.Build("rewrite", json.RawMessage(`{"rewrite_url_regex":"(","rewrite_replace":"/"}`))
	if err == nil || !strings.HasPrefix(err.Error(), "rewrite_url_regex: ") {
		t.Error(err)
	}
	_, err = Kind.Build("rewrite", json.RawMessage(`{"rewrite_url_regex":"a","rewrite_replace":"$x"}`))
	if err == nil || !strings.HasPrefix(err.Error(), "rewrite_replace: ") {
		t.Error(err)
	}
}

func TestSchemaAndBuildAgree(t *testing.T) {
	plugintest.CheckSchema(t, &Kind,
		[]string{`{"uri":"/a"}`, `{"regex_uri":["^/a","/b"]}`, `{"method":"POST","host":"a.b:80"}`, `{"headers":{"X-A":"b","X-N":1}}`,
			`{"headers":{"set":{"A":"b"},"add":{"C":1},"remove":["D"]}}`},
		[]string{`{"uri":"a"}`, `{"uri":"/a b"}`, `{"regex_uri":["a"]}`, `{"regex_uri":"a"}`, `{"method":"get"}`, `{"method":"HEAD"}`, `{"host":"a/b"}`,
			`{"headers":[]}`, `{"headers":{"X-A":true}}`, `{"headers":{"remove":["A",""]}}`, `{"scheme":"https"}`},
		[]string{`{}`, `{"regex_uri":["(","b"]}`, `{"regex_uri":["a","$1"]}`, `{"regex_uri":["a","b","c"]}`, `{"uri":"/$host"}`, `{"headers":{"set":{"Host":"a"}}}`})
}

// What replacePlain does by two runs of regexp is what the standard library's own replacement of the first match is.
func FuzzFirstMatchIsReplacedAsTheLibraryWould(f *testing.F) {
	f.Add("o+", "/foo/ooo", "X")
	f.Add("a|ab", "/xab", "")
	f.Add("", "/x", "y")
	f.Add("(?m)^b$", "/a\nb", "z")
	f.Add(`\bx`, "/yx x", "q")
	f.Add("x*?", "/xx", "k")
	f.Add(`\Qa`, "/ba", "k")
	f.Fuzz(func(t *testing.T, expr, path, text string) {
		var p plugin.Problems
		path = "/" + path
		one := buildRule(&p, expr, strings.ReplaceAll(text, "$", "$$"), "", "", false)
		if one == nil {
			return
		}
		got, ok := one.appendTo(nil, []byte(path))
		at := one.match.FindStringIndex(path)
		if plain, err := regexp.Compile(expr); err == nil && plain.String() != one.match.String() {
			t.Fatalf("%q was good for RE2 and became %q", expr, one.match)
		}
		if ok != (at != nil) {
			t.Fatalf("%q on %q: matches = %v", expr, path, ok)
		}
		if !ok {
			return
		}
		want := path[:at[0]] + text + path[at[1]:]
		if !strings.HasPrefix(want, "/") {
			want = "/" + want
		}
		if string(got) != want {
			t.Fatalf("%q on %q: %q, want %q", expr, path, got, want)
		}
	})
}

func BenchmarkRewrite(b *testing.B) {
	for name, config := range map[string]string{
		"anchored": `{"regex_uri":["^/openapi/(.*)/","/openapi/"]}`,
		"anywhere": `{"regex_uri":["demo[0-9]","x"]}`,
		"groups":   `{"regex_uri":["^/openapi/(.*)/(.*)","/$2"]}`,
	} {
		b.Run(name, func(b *testing.B) {
			f := mustBuild(b, "proxy-rewrite", config)
			x := plugintest.New("GET /openapi/demo1/hello?a=b")
			b.ReportAllocs()
			for b.Loop() {
				x.Again()
				f.RequestHead(x)
			}
		})
	}
}
