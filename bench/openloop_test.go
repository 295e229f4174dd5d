package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestPercentilesAreValuesThatWereSeen(t *testing.T) {
	var sorted []time.Duration
	for i := 1; i <= 1000; i++ {
		sorted = append(sorted, time.Duration(i))
	}
	for p, want := range map[float64]time.Duration{50: 500, 99: 990, 99.9: 999, 100: 1000, 0: 1} {
		if got := percentile(sorted, p); got != want {
			t.Errorf("%v %%: %d, want %d", p, got, want)
		}
	}
}

// What a closed loop hides: while one answer is held up, the requests that were due meanwhile wait too, and their waiting counts.
func TestOneLateAnswerMakesTheOnesBehindItLate(t *testing.T) {
	var n atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1) == 1 {
			time.Sleep(300 * time.Millisecond) // the hold-up that is measured
		}
		_, _ = w.Write([]byte(smallBody))
	}))
	defer srv.Close()
	l, err := runOpenLoop(t.Context(), strings.TrimPrefix(srv.URL, "http://"), "/", smallJob(1), 100, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if l.Requests != 100 || len(l.Errors) > 0 {
		t.Fatalf("%+v", l)
	}
	// 30 of the 100 were due during the hold-up; a closed loop would have one late answer, and 99 % below it.
	if l.P99 < 250*time.Millisecond {
		t.Errorf("99 %% were answered within %v", l.P99)
	}
}

func TestAWrongAnswerInAnOpenLoopIsAnError(t *testing.T) {
	var n atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1) == 5 {
			w.WriteHeader(http.StatusBadGateway)
		}
		_, _ = w.Write([]byte(smallBody))
	}))
	defer srv.Close()
	l, err := runOpenLoop(t.Context(), strings.TrimPrefix(srv.URL, "http://"), "/", smallJob(2), 200, 100*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Errors) != 1 || !strings.Contains(l.Errors[0], "502") {
		t.Errorf("errors %q", l.Errors)
	}
}
