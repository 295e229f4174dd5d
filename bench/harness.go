package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// harness owns a temporary folder, the origin and the rivals. Used from the main goroutine only.
type harness struct {
	opt       *options
	log       io.Writer // progress
	dir       string
	origin    *rival
	rivals    []*rival   // in the order of the table
	processes []*process // everything that must be ended
}

// newHarness starts the origin and all rivals and checks that they do the same job. On an error nothing is left running.
func newHarness(ctx context.Context, opt *options, log io.Writer) (*harness, error) {
	for _, name := range []string{"wrk", "nginx"} { // nginx is the origin in any case
		if _, err := exec.LookPath(name); err != nil {
			return nil, fmt.Errorf("%w; install it, or run bench/run as root where apt-get works", err)
		}
	}
	dir, err := os.MkdirTemp("", "sluice-bench-")
	if err != nil {
		return nil, err
	}
	h := &harness{opt: opt, log: log, dir: dir}
	if err := h.startAll(ctx); err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

func (h *harness) startAll(ctx context.Context) error {
	dir, err := h.subdir("origin")
	if err != nil {
		return err
	}
	if err := h.startOrigin(ctx, dir); err != nil {
		return err
	}
	for _, name := range h.opt.rivals {
		run, err := starter(name)
		if err != nil {
			return err
		}
		if err := h.add(ctx, name, run); err != nil {
			return err
		}
	}
	for _, c := range h.opt.with {
		if err := h.add(ctx, c.name, c.start); err != nil {
			return err
		}
	}
	return nil
}

// add starts one rival and checks its job.
func (h *harness) add(ctx context.Context, name string, run start) error {
	fmt.Fprintf(h.log, "starting %s\n", name)
	dir, err := h.subdir(name)
	if err != nil {
		return err
	}
	r, err := run(ctx, h, dir)
	if err != nil {
		return err
	}
	h.rivals = append(h.rivals, r)
	return checkJob(ctx, r)
}

// subdir makes a folder for one process, with the tmp that nginx wants.
func (h *harness) subdir(name string) (string, error) {
	dir := filepath.Join(h.dir, name)
	return dir, os.MkdirAll(filepath.Join(dir, "tmp"), 0o755)
}

// spawn starts a process that close will end.
func (h *harness) spawn(dir, name string, argv ...string) (*process, error) {
	p, err := startProcess(dir, name, argv...)
	if err == nil {
		h.processes = append(h.processes, p)
	}
	return p, err
}

// close ends everything in reverse order and removes the folder.
func (h *harness) close() {
	for i := len(h.processes) - 1; i >= 0; i-- {
		h.processes[i].stop()
	}
	if err := os.RemoveAll(h.dir); err != nil {
		fmt.Fprintln(h.log, "bench: clean up:", err)
	}
}
