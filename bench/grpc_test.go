package main

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

func startTestCallee(t *testing.T) (*callee, *rival) {
	t.Helper()
	o, err := startCallee()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.close)
	return o, &rival{name: "callee", port: o.port(), check: true, setup: setup{grpc: true}}
}

// The origin of gRPC answers every call with the message and the status of success, and counts it.
func TestTheCalleeAnswersAndCounts(t *testing.T) {
	o, r := startTestCallee(t)
	for range 3 {
		if err := expectAnswer(t.Context(), r, job{path: grpcCallPath, size: int64(len(grpcMessage)), streams: 1, grpc: true}); err != nil {
			t.Error(err)
		}
	}
	if n := o.calls.Load(); n != 3 {
		t.Errorf("%d calls were counted", n)
	}
}

func TestTheCalleeTellsWhichFieldsHaveCome(t *testing.T) {
	_, r := startTestCallee(t)
	text, _, err := call(t.Context(), r.urlHTTP2(grpcCheckPath), http.Header{"X-Forwarded-For": {"192.0.2.1"}, "X-Request-Id": {"an-id"}})
	if err != nil {
		t.Fatal(err)
	}
	seen, err := parseCheck(text)
	if err != nil || seen["X-Forwarded-For"] != "192.0.2.1" || seen["X-Request-Id"] != "an-id" || seen["Host"] != r.host() || seen["X-Real-IP"] != "" {
		t.Errorf("%v %v", seen, err)
	}
}

// A call that fails in gRPC has status 200: its grpc-status and its message tell.
func TestACallThatFailsIsNoAnswer(t *testing.T) {
	o, err := startCallee()
	if err != nil {
		t.Fatal(err)
	}
	defer o.close()
	saved := calleeTrailer
	defer func() { calleeTrailer = saved }()
	calleeTrailer = hpackLiteral(nil, "grpc-status", "14")
	r := &rival{name: "callee", port: o.port()}
	if err := expectAnswer(t.Context(), r, job{path: grpcCallPath, streams: 1, grpc: true}); err == nil || !strings.Contains(err.Error(), `"14"`) {
		t.Error(err)
	}
}

// Where each stream has a connection to the origin, a pool for fewer would measure how fast connections are made.
func TestPoolsHoldAConnectionForEveryStream(t *testing.T) {
	found, err := findScenarios("http2")
	if err != nil {
		t.Fatal(err)
	}
	opt := &options{scenarios: found, connections: 64}
	if got := opt.mostConnections(); got != 16*100 {
		t.Errorf("%d connections", got)
	}
}

// grpc-go's client counts an answer by its status and its message, and tells how long it took.
func TestCallsAreCountedByTheirStatus(t *testing.T) {
	o, r := startTestCallee(t)
	j := callJob()
	j.connections, j.streams = 2, 3
	l, err := runGRPC(t.Context(), r.host(), j, 50*time.Millisecond)
	if err != nil || l.Requests == 0 || l.Requests != o.calls.Load() || l.Statuses["OK"] != l.Requests || len(l.Errors) != 0 || l.P50 <= 0 || l.P999 < l.P50 {
		t.Errorf("%+v %v, the origin counts %d", l, err, o.calls.Load())
	}
}

// A call that was refused makes the load wrong; a load of which all were refused is none.
func TestCallsWithAnotherStatusMakeTheLoadWrong(t *testing.T) {
	good, bad := &callLane{seen: seen{latencies: []time.Duration{1, 2}}}, &callLane{failed: map[string]int64{"Unavailable": 3}, seen: seen{err: errors.New("refused")}}
	l, err := gatherCalls([]*callLane{good, bad}, time.Second)
	if err != nil || l.Requests != 2 || l.Statuses["Unavailable"] != 3 || len(l.Errors) != 2 {
		t.Errorf("%+v %v", l, err)
	}
	if l, err := gatherCalls([]*callLane{bad}, time.Second); err == nil {
		t.Errorf("%+v", l)
	}
}

func TestAMessageThatIsNotTheOriginsIsNoAnswer(t *testing.T) {
	_, r := startTestCallee(t)
	saved := calleeMessage
	defer func() { calleeMessage = saved }()
	calleeMessage = "\x00\x00\x00\x00\x01x"
	if l, err := runGRPC(t.Context(), r.host(), job{connections: 1, streams: 1, grpc: true}, 50*time.Millisecond); err == nil || !strings.Contains(err.Error(), `"x"`) {
		t.Errorf("%+v %v", l, err)
	}
}
