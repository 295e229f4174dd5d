package main

import (
	"net/http"
	"strings"
	"testing"
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
