package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// A connection that ends with GOAWAY costs no request, and every answer but 200 is a failure.
func TestACrowdGoesOverToAnotherConnectionAndCountsWhatFails(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var asked atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		switch n := asked.Add(1); {
		case n == 100:
			w.Header().Set("Connection", "close") // GOAWAY
		case n == 300:
			w.WriteHeader(http.StatusTeapot)
		case n > 400:
			stop()
		}
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	c := gather(ctx, server.URL, 12)
	if c.answered.Load()+1 != asked.Load() || c.failed.Load() != 1 || !strings.Contains(c.first.Error(), "418") || c.dialed.Load() < 3 {
		t.Errorf("%d answered of %d, %d failed, %d connections, first %v", c.answered.Load(), asked.Load(), c.failed.Load(), c.dialed.Load(), c.first)
	}
}
