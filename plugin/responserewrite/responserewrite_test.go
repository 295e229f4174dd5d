package responserewrite

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"sluice/plugin"
	"sluice/plugin/plugintest"
)

func mustBuild(t testing.TB, config string) plugin.ResponseFilter {
	t.Helper()
	made, err := Kind.Build(Kind.Name, json.RawMessage(config))
	if err != nil {
		t.Fatalf("%s: %v", config, err)
	}
	return made.(plugin.ResponseFilter)
}

// answered returns an exchange with an answer of that status and those fields.
func answered(status int, fields ...string) *plugintest.Exchange {
	x := plugintest.New("GET /")
	x.Resp.Status = status
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		x.Resp.Header.Add(name, []byte(value))
	}
	return x
}

// The package comment: add, then remove, then set; the older form sets, and an empty value removes. Lines may have one name more than once.
func TestFieldsAreAddedRemovedAndSet(t *testing.T) {
	for config, want := range map[string][]string{
		`{"headers":{"set":{"X-A":"new","X-N":5},"add":{"X-B":"2"},"remove":["x-c"]}}`:    {"X-A: new", "X-B: 1", "X-B: 2", "X-N: 5"},
		`{"headers":{"add":["Set-Cookie: a=b; Path=/","Set-Cookie:c=d"]}}`:                {"x-a: old", "X-B: 1", "X-C: 3", "Set-Cookie: a=b; Path=/", "Set-Cookie: c=d"},
		`{"headers":{"add":["Location: https://example.com:8443/a"],"remove":["X-A"]}}`:   {"X-B: 1", "X-C: 3", "Location: https://example.com:8443/a"},
		`{"headers":{"X-A":"new","X-C":"","X-N":1.5}}`:                                    {"X-A: new", "X-B: 1", "X-N: 1.5"},
		`{"headers":{"add":["X-C: 4"],"remove":["X-C"],"set":{"X-D":"d","Server":"me"}}}`: {"x-a: old", "X-B: 1", "X-D: d", "Server: me"},
	} {
		x := answered(200, "x-a: old", "X-B: 1", "X-C: 3")
		mustBuild(t, config).ResponseHead(x)
		if got := plugintest.Fields(&x.Resp.Header); !slices.Equal(got, want) || x.Replaced || x.Resp.Status != 200 {
			t.Errorf("%s: %v, want %v; status %d, replaced %v", config, got, want, x.Resp.Status, x.Replaced)
		}
	}
}

func TestTheBodyIsReplaced(t *testing.T) {
	for config, want := range map[string]string{
		`{"body":"hello"}`:                           "hello",
		`{"body":""}`:                                "",
		`{"body":"AP8=","body_base64":true}`:         "\x00\xff",
		`{"body":"","body_base64":true}`:             "",
		`{"body":"AP8=","body_base64":false}`:        "AP8=",
		`{"body":"{\"a\":\"b\"}","status_code":404}`: `{"a":"b"}`,
	} {
		x := answered(200)
		mustBuild(t, config).ResponseHead(x)
		if string(x.Body) != want || !x.Replaced {
			t.Errorf("%s: %q, %v", config, x.Body, x.Replaced)
		}
	}
}

// What told of the node's body would be a lie about ours: a client would decode it, or keep it under a validator that the node never gave it (RFC 9110 §8.4, §8.8, §14.4).
func TestFieldsThatTellOfTheOldBodyGo(t *testing.T) {
	fields := []string{"Content-Encoding: gzip", "ETag: \"1\"", "Last-Modified: x", "Content-Range: bytes 0-1/9", "Accept-Ranges: bytes", "Content-MD5: x", "Digest: x", "Content-Digest: x",
		"Repr-Digest: x", "Content-Type: text/plain", "Cache-Control: no-store"}
	x := answered(206, fields...)
	mustBuild(t, `{"body":"a"}`).ResponseHead(x)
	if got := plugintest.Fields(&x.Resp.Header); !slices.Equal(got, fields[9:]) || x.Resp.Status != 200 {
		t.Errorf("%v, status %d", got, x.Resp.Status)
	}
	x = answered(206, fields...)
	mustBuild(t, `{"status_code":203}`).ResponseHead(x)
	if got := plugintest.Fields(&x.Resp.Header); !slices.Equal(got, fields) || x.Resp.Status != 203 {
		t.Errorf("%v, status %d", got, x.Resp.Status)
	}
}

// Headers may say again what the new body is.
func TestHeadersComeBehindTheBody(t *testing.T) {
	x := answered(200, "Content-Encoding: gzip")
	mustBuild(t, `{"body":"a","headers":{"set":{"Content-Encoding":"br","ETag":"\"2\""}}}`).ResponseHead(x)
	if got := plugintest.Fields(&x.Resp.Header); !slices.Equal(got, []string{"Content-Encoding: br", "ETag: \"2\""}) {
		t.Error(got)
	}
}

// RFC 9110 §15.2.2: what follows a 101 is another protocol.
func TestATunnelStaysOne(t *testing.T) {
	x := answered(101, "Upgrade: websocket")
	mustBuild(t, `{"body":"a","status_code":200,"headers":{"X-A":"b"}}`).ResponseHead(x)
	if got := plugintest.Fields(&x.Resp.Header); x.Replaced || x.Resp.Status != 101 || !slices.Equal(got, []string{"Upgrade: websocket", "X-A: b"}) {
		t.Errorf("%d %v %v", x.Resp.Status, x.Replaced, got)
	}
}

func TestEveryProblemIsReportedWithItsPath(t *testing.T) {
	for config, want := range map[string][]string{
		`{}`:                  {"rewrites nothing"},
		`{"headers":{}}`:      {"rewrites nothing"},
		`{"status_code":101}`: {"status_code: 101 is not"},
		`{"status_code":600,"headers":{"set":{"Content-Length":"1","a b":"x","X":"a\r\nb","Y":"$host"},"remove":["Connection"],"add":["Host: a","none","Transfer-Encoding: chunked"]},"body":"!","body_base64":true}`: {
			"headers.add[1]: wants \"name: value\"", "status_code: ", "headers.remove[0]: ", "headers.add[0]: ", "headers.add[2]: ", "headers.set.Content-Length: ", `headers.set["a b"]: `, "headers.set.X: ",
			"headers.set.Y: ", "body: is not base64"},
		`{"body_base64":true,"status_code":200}`:            {"body_base64: "},
		`{"vars":[["status","==",200]]}`:                    {"vars: is not supported"},
		`{"filters":[],"body":"a"}`:                         {"filters: is not supported"},
		`{"status":200}`:                                    {"status: unknown key; did you mean \"status_code\"?"},
		`{"body":5}`:                                        {"body: wants a string"},
		`{"headers":[]}`:                                    {"headers: wants an object"},
		`{"headers":{"add":[5]}}`:                           {"headers.add[0]: wants a string"},
		`{"body":"` + strings.Repeat("a", maxBody+1) + `"}`: {"body: has 65537 bytes"},
	} {
		_, err := Kind.Build(Kind.Name, json.RawMessage(config))
		problems, ok := err.(plugin.Problems)
		if !ok {
			t.Errorf("%.200s: %v", config, err)
			continue
		}
		if len(problems) != len(want) {
			t.Errorf("%.200s: %d problems, want %d: %v", config, len(problems), len(want), err)
			continue
		}
		for i, w := range want {
			if !strings.HasPrefix(problems[i].String(), w) {
				t.Errorf("%.200s: got %v, want %v", config, problems[i], w)
			}
		}
	}
}

func TestSchemaAndBuildAgree(t *testing.T) {
	plugintest.CheckSchema(t, &Kind,
		[]string{`{"status_code":200}`, `{"status_code":599}`, `{"body":""}`, `{"body":"YQ==","body_base64":true}`, `{"headers":{"X-A":"b","X-N":1}}`,
			`{"headers":{"set":{"A":"b"},"add":["C: 1","C:2"],"remove":["D"]}}`, `{"headers":{"add":{"C":1}}}`, `{"body":"` + strings.Repeat("a", maxBody) + `"}`},
		[]string{`{"status_code":199}`, `{"status_code":600}`, `{"status_code":"200"}`, `{"status_code":200.5}`, `{"headers":[]}`, `{"headers":{"X-A":true}}`, `{"headers":{"remove":["A",""]}}`,
			`{"headers":{"add":["A"]}}`, `{"body":1}`, `{"body":"a","body_base64":"yes"}`, `{"vars":[]}`, `{"filters":[]}`, `{"body":"` + strings.Repeat("a", 87385) + `"}`},
		[]string{`{}`, `{"body":"!","body_base64":true}`, `{"body_base64":true}`, `{"headers":{"set":{"Content-Length":"1"}}}`, `{"body":"` + strings.Repeat("a", maxBody+1) + `"}`})
}

const everything = `{"status_code":203,"headers":{"add":["X-A: 1"],"set":{"X-B":"2"},"remove":["X-C"]},"body":"hello"}`

func TestRewritingAllocatesNothing(t *testing.T) {
	f := mustBuild(t, everything)
	x := answered(200)
	n := testing.AllocsPerRun(200, func() {
		x.Again()
		x.Resp.Header.Add("X-C", nil)
		f.ResponseHead(x)
	})
	if n != 0 || !x.Replaced || x.Resp.Status != 203 {
		t.Errorf("%v allocations, status %d", n, x.Resp.Status)
	}
}

func BenchmarkRewrite(b *testing.B) {
	for name, config := range map[string]string{"headers": `{"headers":{"set":{"X-B":"2"},"remove":["X-Powered-By"]}}`, "everything": everything} {
		b.Run(name, func(b *testing.B) {
			f := mustBuild(b, config)
			x := answered(200)
			b.ReportAllocs()
			for b.Loop() {
				x.Again()
				x.Resp.Header.Add("Content-Type", nil)
				x.Resp.Header.Add("X-Powered-By", nil)
				f.ResponseHead(x)
			}
		})
	}
}
