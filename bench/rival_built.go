package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// startBuilt returns the starter of a rival that is a program of ours around a library: bench/rivals/<name>, in a module of its own. Such a program does
// the plain job alone.
func startBuilt(name string) start {
	return func(ctx context.Context, h *harness, dir string, s setup) (*rival, error) {
		if s.accessLog || s.tls || s.grpc || s.rewrite || s.plugins || s.routes > 0 {
			return nil, fmt.Errorf("%w: %s does the plain job only: leave it out of this scenario", errUsage, name)
		}
		binary, err := h.builtBinary(ctx, name)
		if err != nil {
			return nil, err
		}
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		p, err := h.spawn(dir, name, binary, "-listen", fmt.Sprintf("127.0.0.1:%d", port), "-origin", fmt.Sprintf("127.0.0.1:%d", h.origin.port),
			"-workers", strconv.Itoa(s.workerCount()), "-idle", strconv.Itoa(max(64, h.opt.mostConnections())))
		if err != nil {
			return nil, err
		}
		r := &rival{name: name, version: programVersion(binary, "-version"), setup: s, port: port, process: p, workers: []int{p.pid()}, check: true, source: "bench/rivals/" + name}
		return r, r.ready(ctx)
	}
}

// builtBinary builds such a program, once a run.
func (h *harness) builtBinary(ctx context.Context, name string) (string, error) {
	binary := filepath.Join(h.dir, name+"-binary")
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "./"+name)
	build.Dir = filepath.Join(h.opt.repo, "bench", "rivals")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: build: %w\n%s", name, err, out)
	}
	return binary, nil
}
