package main

import (
	"testing"
	"time"
)

func TestTheOutputOfH2loadIsRead(t *testing.T) {
	const good = `finished in 2.00s, 12345.50 req/s, 1.85MB/s
requests: 24691 total, 24791 started, 24691 done, 24691 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 24691 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 3.70MB (3879012) total, 1.20MB (1258291) headers (space savings 30.0%), 48.2KB (49382) data
`
	l, err := parseH2load(good, job{size: 2, connections: 10, streams: 10})
	if err != nil || l.Requests != 24691 || l.Rate != 12345.5 || l.Bytes != 3879012 || len(l.Errors) != 0 {
		t.Errorf("%+v %v", l, err)
	}
	const bad = `finished in 2.00s, 1.00 req/s, 1B/s
requests: 5 total, 5 started, 5 done, 2 succeeded, 1 failed, 2 errored, 0 timeout
status codes: 2 2xx, 0 3xx, 0 4xx, 1 5xx
traffic: 1B (1) total, 0B (0) headers (space savings 0.00%), 0B (0) data
`
	if l, err := parseH2load(bad, job{}); err != nil || len(l.Errors) != 3 {
		t.Errorf("%+v %v", l, err)
	}
	// An answer without its message, as a call has that failed in gRPC.
	if l, err := parseH2load(good, job{size: 3, connections: 10, streams: 10}); err != nil || len(l.Errors) != 1 {
		t.Errorf("%+v %v", l, err)
	}
	if _, err := parseH2load("connect: refused", job{}); err == nil {
		t.Error("nothing was read, and no error")
	}
}

func TestPercentilesAreTakenFromTheLogOfH2load(t *testing.T) {
	var l load
	if err := l.readAnswers("1764127393000000\t200\t300\n1764127393000001\t200\t100\n"); err != nil || l.P50 != 100*time.Microsecond || l.P999 != 300*time.Microsecond {
		t.Errorf("%+v %v", l, err)
	}
	for _, bad := range []string{"", "1\t200\n", "1\t200\tsoon\n"} {
		if l.readAnswers(bad) == nil {
			t.Errorf("%q was read", bad)
		}
	}
}
