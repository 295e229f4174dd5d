package requestid

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/plugin"
	"sluice/plugin/plugintest"
)

func mustBuild(t testing.TB, name, config string) plugin.RequestFilter {
	t.Helper()
	made, err := Kind.Build(name, json.RawMessage(config))
	if err != nil {
		t.Fatal(err)
	}
	return made.(plugin.RequestFilter)
}

var uuid4 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestARequestWithoutAnIDGetsOneThatAllSee(t *testing.T) {
	f := mustBuild(t, "request-id", `{}`)
	x := plugintest.New("GET /", "Host: a")
	f.RequestHead(x)
	id := string(x.Req.Header.Get("X-Request-Id"))
	if !uuid4.MatchString(id) {
		t.Errorf("%q is no UUID of version 4", id)
	}
	if string(x.ID) != id {
		t.Errorf("the exchange has %q, the node gets %q", x.ID, id)
	}
	x.Resp.Header.Add("X-Request-Id", []byte("of the node"))
	f.(plugin.ResponseFilter).ResponseHead(x)
	if got := plugintest.Fields(&x.Resp.Header); !slices.Equal(got, []string{"X-Request-Id: " + id}) {
		t.Errorf("the client gets %v", got)
	}
}

func TestTheClientsIDIsKept(t *testing.T) {
	f := mustBuild(t, "request-id", `{}`)
	for _, id := range []string{"a", "client-7", strings.Repeat("x", 128), `!"#~`} {
		x := plugintest.New("GET /", "x-request-id: "+id)
		f.RequestHead(x)
		if string(x.ID) != id || !slices.Equal(plugintest.Fields(&x.Req.Header), []string{"x-request-id: " + id}) {
			t.Errorf("%q became %q, %v", id, x.ID, plugintest.Fields(&x.Req.Header))
		}
	}
}

// A client writes into our logs and error bodies what it wants, if it is an id: 1 to 128 visible ASCII characters.
func TestWhatIsNoIDIsReplaced(t *testing.T) {
	f := mustBuild(t, "request-id", `{}`)
	for _, id := range []string{"", "a b", strings.Repeat("x", 129), "é", "a\tb", "\x7f"} {
		x := plugintest.New("GET /")
		x.Req.Header.Add("X-Request-Id", []byte(id))
		f.RequestHead(x)
		if !uuid4.Match(x.ID) || !slices.Equal(plugintest.Fields(&x.Req.Header), []string{"X-Request-Id: " + string(x.ID)}) {
			t.Errorf("%q became %q, %v", id, x.ID, plugintest.Fields(&x.Req.Header))
		}
	}
}

// Two ids: readers differ in which one they take.
func TestASecondIDIsDropped(t *testing.T) {
	f := mustBuild(t, "request-id", `{}`)
	x := plugintest.New("GET /", "X-Request-Id: first", "A: b", "x-request-id: second")
	f.RequestHead(x)
	if got := plugintest.Fields(&x.Req.Header); !slices.Equal(got, []string{"X-Request-Id: first", "A: b"}) {
		t.Errorf("%v", got)
	}
}

func TestKeepIncomingFalseReplacesAlways(t *testing.T) {
	f := mustBuild(t, "request-id", `{"keep_incoming":false}`)
	x := plugintest.New("GET /", "X-Request-Id: mine")
	f.RequestHead(x)
	if !uuid4.Match(x.ID) {
		t.Errorf("%q was kept", x.ID)
	}
}

// The contract: tracing = request-id in the header X-Trace-Id, kept when the client sent one.
func TestTheSeedsNameUsesItsHeader(t *testing.T) {
	f := mustBuild(t, "tracing", `{}`)
	x := plugintest.New("GET /")
	f.RequestHead(x)
	if id := x.Req.Header.Get("X-Trace-Id"); !uuid4.Match(id) || x.Req.Header.Get("X-Request-Id") != nil {
		t.Errorf("%v", plugintest.Fields(&x.Req.Header))
	}
	x = plugintest.New("GET /", "X-Trace-Id: mine")
	f.RequestHead(x)
	if string(x.ID) != "mine" {
		t.Errorf("%q", x.ID)
	}
}

func TestIncludeInResponseFalseTellsTheClientNothing(t *testing.T) {
	if _, ok := mustBuild(t, "request-id", `{"include_in_response":false}`).(plugin.ResponseFilter); ok {
		t.Error("there is a response filter")
	}
}

// Another plugin may have answered before this one's turn.
func TestAResponseWithoutAnIDStaysAsItIs(t *testing.T) {
	f := mustBuild(t, "request-id", `{}`)
	x := plugintest.New("GET /")
	f.(plugin.ResponseFilter).ResponseHead(x)
	if got := plugintest.Fields(&x.Resp.Header); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

// RFC 9562 §5.7: 48 bits of milliseconds, then version 7.
func TestUUID7BeginsWithTheTime(t *testing.T) {
	x := plugintest.New("GET /")
	before := time.Now().UnixMilli()
	id := string(appendUUID7(nil, x))
	after := time.Now().UnixMilli()
	if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(id) {
		t.Fatalf("%q is no UUID of version 7", id)
	}
	var ms int64
	for _, c := range []byte(strings.ReplaceAll(id, "-", "")[:12]) {
		ms = ms<<4 | int64(strings.IndexByte("0123456789abcdef", c))
	}
	if ms < before || ms > after {
		t.Errorf("%d is not between %d and %d", ms, before, after)
	}
}

func TestHexIsSixteenDigits(t *testing.T) {
	f := mustBuild(t, "request-id", `{"algorithm":"hex","header_name":"X-Id"}`)
	x := plugintest.New("GET /")
	f.RequestHead(x)
	if !regexp.MustCompile(`^[0-9a-f]{16}$`).Match(x.Req.Header.Get("x-id")) {
		t.Errorf("%q", x.ID)
	}
}

func TestSchemaAndBuildAgree(t *testing.T) {
	plugintest.CheckSchema(t, &Kind,
		[]string{`{}`, `{"header_name":"X-A","include_in_response":false,"algorithm":"uuidv7","keep_incoming":true}`, `{"algorithm":"hex"}`},
		[]string{`{"header":"X"}`, `{"header_name":""}`, `{"header_name":"a b"}`, `{"header_name":7}`, `{"algorithm":"md5"}`, `{"include_in_response":"no"}`,
			`{"header_name":"` + strings.Repeat("x", 65) + `"}`},
		[]string{`{"header_name":"Content-Length"}`, `{"header_name":"host"}`})
}

// The data path allocates nothing per request.
func TestNothingIsAllocated(t *testing.T) {
	for _, algorithm := range []string{"uuid", "uuidv7", "hex"} {
		f := mustBuild(t, "request-id", `{"algorithm":"`+algorithm+`"}`)
		x := plugintest.New("GET /")
		n := testing.AllocsPerRun(100, func() {
			x.Again()
			f.RequestHead(x)
			f.(plugin.ResponseFilter).ResponseHead(x)
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", algorithm, n)
		}
	}
}

func BenchmarkNewID(b *testing.B) {
	f := mustBuild(b, "request-id", `{}`)
	x := plugintest.New("GET /")
	b.ReportAllocs()
	for b.Loop() {
		x.Again()
		f.RequestHead(x)
	}
}
