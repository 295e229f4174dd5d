package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// checkedFields is the job that every rival must do to be compared: the fields of a request as they must reach the origin.
var checkedFields = []struct {
	name string
	ok   func(value string, r *rival) bool
	want string // in words, for the complaint
}{
	{"Host", isHost, "the client's Host"},
	{"X-Forwarded-For", is("127.0.0.1"), "127.0.0.1 alone, since the peer is not trusted"},
	{"X-Forwarded-Proto", func(v string, r *rival) bool { return v == r.scheme() }, "how the client came"},
	{"X-Forwarded-Host", isHost, "the client's Host"},
	{"X-Real-IP", is("127.0.0.1"), "127.0.0.1"},
	{"X-Request-Id", func(v string, _ *rival) bool { return len(v) >= 16 }, "an id of 16 characters or more"},
	{"Connection", func(v string, _ *rival) bool { return v == "" || strings.EqualFold(v, "keep-alive") }, "a connection that is kept"},
}

func is(want string) func(string, *rival) bool {
	return func(v string, _ *rival) bool { return v == want }
}

func isHost(v string, r *rival) bool { return v == r.host() || v == r.hostHTTP2() }

func (r *rival) host() string { return fmt.Sprintf("127.0.0.1:%d", r.port) }

// checkJob sends requests that lie about their origin, and looks at what arrives.
func checkJob(ctx context.Context, r *rival) error {
	if !r.check {
		return nil
	}
	if r.setup.tls {
		if err := checkAgreement(ctx, r); err != nil {
			return err
		}
	}
	if r.setup.plugins {
		if err := checkPlugins(ctx, r); err != nil {
			return err
		}
	}
	lies := http.Header{"X-Forwarded-For": {"203.0.113.9"}, "X-Real-Ip": {"203.0.113.9"}, "X-Forwarded-Proto": {"ftp"}}
	ask := func() (string, http.Header, error) { return get(ctx, r.url(checkPath), lies) }
	if err := checkFields(r, ask); err != nil || !r.setup.grpc {
		return err
	}
	return checkFields(r, func() (string, http.Header, error) { return call(ctx, r.urlHTTP2(grpcCheckPath), lies) })
}

// checkFields looks at what arrives of two requests.
func checkFields(r *rival, ask func() (string, http.Header, error)) error {
	ids := map[string]bool{}
	for range 2 {
		body, head, err := ask()
		if err != nil {
			return fmt.Errorf("%s: job: %w", r.name, err)
		}
		seen, err := parseCheck(body)
		if err != nil {
			return fmt.Errorf("%s: job: %w", r.name, err)
		}
		var wrong []error
		for _, f := range checkedFields {
			if !f.ok(seen[f.name], r) {
				wrong = append(wrong, fmt.Errorf("%s: job: %s reached the origin as %q, want %s", r.name, f.name, seen[f.name], f.want))
			}
		}
		id := seen["X-Request-Id"]
		if head.Get("X-Request-Id") != id {
			wrong = append(wrong, fmt.Errorf("%s: job: X-Request-Id of the answer is %q, of the request %q", r.name, head.Get("X-Request-Id"), id))
		}
		if ids[id] {
			wrong = append(wrong, fmt.Errorf("%s: job: two requests have the id %q", r.name, id))
		}
		ids[id] = true
		if wrong != nil {
			return errors.Join(wrong...)
		}
	}
	return nil
}

// parseCheck reads the lines name=value of the origin's answer.
func parseCheck(body string) (map[string]string, error) {
	seen := map[string]string{}
	for line := range strings.Lines(body) {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if !ok {
			return nil, fmt.Errorf("the origin's answer has the line %q", line)
		}
		seen[name] = value
	}
	return seen, nil
}
