package main

import (
	"context"
	"strings"
)

// start runs a rival that was given with -with. Nothing is known of what it does beyond forwarding, so its job is not checked.
func (c command) start(ctx context.Context, h *harness, dir string, s setup) (*rival, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	argv := strings.Fields(fill(c.line, "{port}", port, "{origin}", h.origin.port))
	p, err := h.spawn(dir, c.name, argv...)
	if err != nil {
		return nil, err
	}
	r := &rival{name: c.name, version: c.line, setup: s, port: port, process: p, workers: []int{p.pid()}}
	return r, r.ready(ctx)
}
