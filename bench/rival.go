package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// maxConnections bounds what may be asked of a rival, and sizes the tables that nginx and HAProxy lay out at their start. With
// an upstream connection each, and some to spare, it must stay below half of a common descriptor limit of 20,000.
const maxConnections = 9000

// rival is one running gateway.
type rival struct {
	name    string
	version string
	port    int
	worker  int // the process whose CPU and memory count
	process *process
	check   bool // whether it must do all of the job that jobcheck.go looks at
}

func (r *rival) url(path string) string { return fmt.Sprintf("http://127.0.0.1:%d%s", r.port, path) }

// start is what the rival_ files provide: run one gateway in dir that forwards everything to the origin.
type start func(ctx context.Context, h *harness, dir string) (*rival, error)

func starter(name string) (start, error) {
	switch name {
	case "nginx":
		return startNginx, nil
	case "haproxy":
		return startHAProxy, nil
	case "sluice":
		return startSluice, nil
	}
	return nil, fmt.Errorf("%w: no rival %q: choose of sluice, nginx, haproxy, or bring one with -with", errUsage, name)
}

// readyTimeout bounds a rival's start. Sluice's embedded etcd is the slowest, at about a second on an idle machine.
const readyTimeout = 30 * time.Second

// ready waits until the rival answers a request with 200.
func (r *rival) ready(ctx context.Context) error {
	return r.process.await(ctx, readyTimeout, func() error { return expectOK(ctx, r.url(smallPath)) })
}

// fill puts values for the {names} of a configuration text.
func fill(text string, pairs ...any) string {
	words := make([]string, len(pairs))
	for i, p := range pairs {
		words[i] = fmt.Sprint(p)
	}
	return strings.NewReplacer(words...).Replace(text)
}
