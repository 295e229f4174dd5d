package when

import (
	"net/netip"
	"strings"
	"testing"

	"sluice/internal/network"
)

// view is a request that a test wrote down.
type view struct {
	method, host, path string
	headers            map[string]string
	query, cookie      string
	ip                 string
}

func (v *view) Method() []byte { return []byte(v.method) }
func (v *view) Host() []byte   { return []byte(v.host) }
func (v *view) Path() []byte   { return []byte(v.path) }

func (v *view) Header(name string) []byte {
	for k, s := range v.headers {
		if strings.EqualFold(k, name) {
			return []byte(s)
		}
	}
	return nil
}

func (v *view) Query(name string) []byte  { return QueryValue([]byte(v.query), name) }
func (v *view) Cookie(name string) []byte { return CookieValue([]byte(v.cookie), name) }
func (v *view) IP() netip.Addr            { return netip.MustParseAddr(v.ip) }

func request() *view {
	return &view{
		method: "GET", host: "API.example.com:8080", path: "/users/7", query: "a=1&b=x%20y&n=42", cookie: "c=dark; d=1", ip: "10.1.2.3",
		headers: map[string]string{"X-Canary": "1", "User-Agent": "curl/8.0", "X-N": "17"},
	}
}

func TestConditions(t *testing.T) {
	for source, want := range map[string]bool{
		// The contract's example.
		`header('x-canary') == '1' && ip in ['10.0.0.0/8']`:     true,
		`header('x-canary') == '1' && ip in ['192.168.0.0/16']`: false,
		`header('x-canary') != '1'`:                             false,
		`header('none') == ''`:                                  true,
		`header("X-CANARY") == "1"`:                             true,
		`method == 'GET' and path startsWith '/users/'`:         true,
		`method in ['POST', 'PUT']`:                             false,
		`method not in ['POST', 'PUT']`:                         true,
		`not (method == 'POST') or false`:                       true,
		`!(method == 'GET')`:                                    false,
		`host == 'api.example.com'`:                             true,
		`host endsWith '.example.com'`:                          true,
		`host in ['a.com', 'api.example.com']`:                  true,
		`path matches '^/users/[0-9]+$'`:                        true,
		`path matches '^/users$'`:                               false,
		`path contains 'ser'`:                                   true,
		`path endsWith '/8'`:                                    false,
		`query('a') == '1' && query('b') == 'x y'`:              true,
		`query('none') != ''`:                                   false,
		`cookie('c') == 'dark'`:                                 true,
		`cookie('d') in ['0', '2']`:                             false,
		`ip == '10.1.2.3'`:                                      true,
		`ip != '10.1.2.3'`:                                      false,
		`ip in ['::1', '10.1.2.3']`:                             true,
		`ip not in ['10.0.0.0/8']`:                              false,
		`ip in []`:                                              false,
		`ip startsWith '10.'`:                                   true,
		`int(query('n')) > 41`:                                  true,
		`int(query('n')) % 2 == 1`:                              false,
		`int(header('x-n')) + 1 == 18`:                          true,
		`len(path) == 8`:                                        true,
		`lower(header('user-agent')) startsWith 'CURL'`:         false,
		`upper(header('user-agent')) startsWith 'CURL'`:         true,
		`method + path == 'GET/users/7'`:                        true,
		`path == '/users/' + query('x') + '7'`:                  true,
		`method == 'GET' ? path == '/' : true`:                  false,
		`header('x-' + 'canary') == '1'`:                        true,
		`header(query('none') + 'x-canary') == '1'`:             true,
		`query('a') == cookie('d')`:                             true,
		`'GET' == method`:                                       true,
		`path < '/v'`:                                           true,
		`trim(' a ') == 'a'`:                                    true,
		`string(1) == query('a')`:                               true,
		`true`:                                                  true,
		// What fails when it is evaluated is false, on both sides of a not.
		`int(query('b')) == 1`:       false,
		`not (int(query('b')) == 1)`: false,
		`1 % (len(path) - 8) == 0`:   false,
	} {
		p, err := Compile(source)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		if got := p.Match(request()); got != want {
			t.Errorf("%s: %v, want %v", source, got, want)
		}
	}
}

// The tests on bytes that comparisons with literals become must say what expr says of the strings. The right side of the second form is no
// literal, so that expr decides.
func TestComparisonsOnBytesAgreeWithThoseOnStrings(t *testing.T) {
	fields := []string{"method", "host", "path", "ip", "header('x-n')", "query('b')", "query('none')", "cookie('c')"}
	literals := []string{"", "GET", "/users/7", "x y", "17", "dark", "10.1.2.3", "a", "1"}
	for _, f := range fields {
		for _, l := range literals {
			for _, op := range []string{"==", "!=", "contains", "startsWith", "endsWith", "in"} {
				if _, isIP := network.Parse(l); f == "ip" && !isIP && (op == "==" || op == "!=" || op == "in") {
					continue
				}
				quick, slow := f+" "+op+" '"+l+"'", f+" "+op+" trim('"+l+"')"
				if op == "in" {
					quick, slow = f+" in ['"+l+"', '10.9.9.9']", "lower("+f+") in [lower('"+l+"'), '10.9.9.9']"
				}
				a, err := Compile(quick)
				if err != nil {
					t.Fatalf("%s: %v", quick, err)
				}
				b, err := Compile(slow)
				if err != nil {
					t.Fatalf("%s: %v", slow, err)
				}
				if x, y := a.Match(request()), b.Match(request()); x != y {
					t.Errorf("%s: %v, but %s: %v", quick, x, slow, y)
				}
			}
		}
	}
}

func TestWrongConditionsAreRefusedWithTheColumn(t *testing.T) {
	for source, want := range map[string]string{
		``:                                    "",
		`header('a') ==`:                      "column",
		`header('a')`:                         "bool",
		`1 == 'a'`:                            "mismatched types",
		`methd == 'GET'`:                      `column 1: unknown name "methd"; did you mean "method"?`,
		`method == 'GET' && headr('a') == ''`: `column 20: unknown name "headr"; did you mean "header"?`,
		`header('a', 'b') == ''`:              "takes one name",
		`header(1) == ''`:                     "string",
		`header == ''`:                        "header",
		`method('a') == ''`:                   "is not a function",
		`ip in ['10.0.0.0/33']`:               `column 8: "10.0.0.0/33" is not an address`,
		`ip in ['10.0.0.0/8', 'x']`:           `column 22: "x" is not an address`,
		`ip in [path]`:                        "literal addresses",
		`ip in path`:                          "wants a list",
		`ip == '10.0.0.0/8'`:                  "is not an address",
		`path matches '('`:                    "error parsing regexp",
		`path matches query('a')`:             "must be a literal",
		`all([1,2], # > 0)`:                   "not",
		`len(1..1000000) > 0`:                 "not part of the language",
		`repeat('a', 1000000) == ''`:          "not a function of conditions",
		`now() != now()`:                      "not a function of conditions",
		`$env == nil`:                         "unknown name",
		`let x = 1; true`:                     "not part of the language",
		`{'a': 1}.a == 1`:                     "not part of the language",
		`path[0:1] == '/'`:                    "not part of the language",
		`path | lower() == ''`:                "",
		`(` + strings.Repeat("true &&", 2000) + `true)`: "longer than",
		strings.Repeat("!", 5000) + "true":              "",
		`1 in [` + strings.Repeat("1,", 1500) + `1]`:    "more than",
	} {
		_, err := Compile(source)
		if err == nil {
			if source == `path | lower() == ''` {
				continue // a pipe is another way to write a call
			}
			t.Errorf("%.40s: accepted", source)
			continue
		}
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.40s: %v, want %q in it and one line", source, err, want)
		}
	}
}

type panicking struct{ *view }

func (panicking) Header(string) []byte { panic("no header") }

// A condition must never take a worker down, and the machine that broke must not be used again.
func TestAPanicIsFalse(t *testing.T) {
	for _, source := range []string{`header('a') == '1'`, `header(path) == '1'`, `not (header('a') == '1')`} {
		p, err := Compile(source)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if p.Match(panicking{request()}) {
				t.Errorf("%s: true", source)
			}
		}
		if source[0] != 'n' && p.Match(request()) {
			t.Errorf("%s: true afterwards", source)
		}
	}
}

// fixed answers without allocating, as the proxy does.
type fixed struct{ value []byte }

func (f *fixed) Method() []byte       { return f.value }
func (f *fixed) Host() []byte         { return f.value }
func (f *fixed) Path() []byte         { return f.value }
func (f *fixed) Header(string) []byte { return f.value }
func (f *fixed) Query(string) []byte  { return f.value }
func (f *fixed) Cookie(string) []byte { return f.value }
func (f *fixed) IP() netip.Addr       { return netip.AddrFrom4([4]byte{10, 1, 2, 3}) }

func TestQueryValues(t *testing.T) {
	for _, c := range []struct {
		query, name, want string
		there             bool
	}{
		{"a=1&b=2", "b", "2", true}, {"a=1&a=2", "a", "1", true}, {"a", "a", "", true}, {"a=", "a", "", true}, {"", "a", "", false},
		{"b=1", "a", "", false}, {"a%62=1+2%2b3", "ab", "1 2+3", true}, {"a=%zz%4", "a", "%zz%4", true}, {"ab=1", "a", "", false}, {"a=b=c", "a", "b=c", true},
	} {
		got := QueryValue([]byte(c.query), c.name)
		if string(got) != c.want || (got != nil) != c.there {
			t.Errorf("%q %q: %q (there: %v)", c.query, c.name, got, got != nil)
		}
	}
}

func TestCookieValues(t *testing.T) {
	for _, c := range []struct{ cookies, name, want string }{
		{"a=1; b=2", "b", "2"}, {"a=1;b=2", "b", "2"}, {`a="q"; b=2`, "a", "q"}, {"a; b=2", "a", ""}, {"aa=1; a=2", "a", "2"}, {"", "a", ""}, {"a=b=c", "a", "b=c"},
	} {
		if got := CookieValue([]byte(c.cookies), c.name); string(got) != c.want {
			t.Errorf("%q %q: %q, want %q", c.cookies, c.name, got, c.want)
		}
	}
}

// Whatever is stored as a condition, neither compiling nor matching it panics or runs long.
func FuzzCompile(f *testing.F) {
	f.Add(`header('x-canary') == '1' && ip in ['10.0.0.0/8']`)
	f.Add(`int(query('n')) % 2 == 1 ? path matches 'a+' : not (cookie('c') in ['x'])`)
	f.Fuzz(func(t *testing.T, source string) {
		p, err := Compile(source)
		if err != nil {
			return
		}
		p.Match(request())
	})
}

func BenchmarkCanary(b *testing.B) {
	p, err := Compile(`header('x-canary') == 'value' && ip in ['10.0.0.0/8']`)
	if err != nil {
		b.Fatal(err)
	}
	v := &fixed{[]byte("value")}
	b.ReportAllocs()
	for b.Loop() {
		p.Match(v)
	}
}
