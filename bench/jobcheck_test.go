package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// fakeGateway answers as the origin behind a gateway would, with the fields that spoil has changed.
func fakeGateway(t *testing.T, spoil func(seen map[string]string, answer http.Header)) *rival {
	t.Helper()
	n := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n++
		id := fmt.Sprintf("id-of-at-least-16-%d", n)
		seen := map[string]string{
			"Host": r.Host, "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Host": r.Host,
			"X-Real-IP": "127.0.0.1", "X-Request-Id": id, "Connection": "",
		}
		w.Header().Set("X-Request-Id", id)
		spoil(seen, w.Header())
		for name, value := range seen {
			fmt.Fprintf(w, "%s=%s\n", name, value)
		}
	}))
	t.Cleanup(srv.Close)
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	return &rival{name: "fake", port: port, check: true}
}

func TestGatewayThatDoesTheJobPasses(t *testing.T) {
	r := fakeGateway(t, func(map[string]string, http.Header) {})
	if err := checkJob(t.Context(), r); err != nil {
		t.Error(err)
	}
}

// Who leaves out a part of the job is faster, and must not be compared.
func TestGatewayThatLeavesOutAPartIsRefused(t *testing.T) {
	for _, c := range []struct {
		field string
		value string
	}{
		{"Host", "origin"}, {"X-Forwarded-For", ""}, {"X-Forwarded-For", "203.0.113.9, 127.0.0.1"}, {"X-Forwarded-Proto", "https"},
		{"X-Forwarded-Host", ""}, {"X-Real-IP", "203.0.113.9"}, {"X-Request-Id", "7"}, {"Connection", "close"},
	} {
		r := fakeGateway(t, func(seen map[string]string, answer http.Header) {
			seen[c.field] = c.value
			if c.field == "X-Request-Id" {
				answer.Set("X-Request-Id", c.value)
			}
		})
		err := checkJob(t.Context(), r)
		if err == nil || !strings.Contains(err.Error(), c.field) {
			t.Errorf("%s=%q: %v", c.field, c.value, err)
		}
	}
}

func TestRequestIdsMustDifferAndComeBack(t *testing.T) {
	const id = "the-same-id-for-all"
	same := fakeGateway(t, func(seen map[string]string, answer http.Header) {
		seen["X-Request-Id"] = id
		answer.Set("X-Request-Id", id)
	})
	if err := checkJob(t.Context(), same); err == nil {
		t.Error("one id for two requests passed")
	}
	silent := fakeGateway(t, func(_ map[string]string, answer http.Header) { answer.Del("X-Request-Id") })
	if err := checkJob(t.Context(), silent); err == nil {
		t.Error("an answer without the id passed")
	}
}

func TestStubStatusIsRead(t *testing.T) {
	n, err := parseStubStatus("Active connections: 1 \nserver accepts handled requests\n 7 7 4711 \nReading: 0 Writing: 1 Waiting: 0 \n")
	if err != nil || n != 4711 {
		t.Errorf("%d, %v", n, err)
	}
	for _, text := range []string{"", "server accepts handled requests\n 7 7\n", "server accepts handled requests\n 7 7 x\n"} {
		if _, err := parseStubStatus(text); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}
