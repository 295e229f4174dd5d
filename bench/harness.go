package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// harness owns a temporary folder, the origin and the rivals. Used from the main goroutine only.
type harness struct {
	opt       *options
	log       io.Writer // progress
	dir       string
	binary    string       // of Sluice, once it is there
	cert      *certificate // what rivals show over TLS, once it is there
	origin    *rival
	callee    *callee           // the origin of gRPC
	configs   map[string]string // of all rivals that have run, by the name of the file in the report
	setup     *setup            // of the rivals that run; nil while none do
	rivals    []*rival          // in the order of the table
	processes []*process        // everything that must be ended
	profiles  []string          // files with the profile of one turn each
	fixed     int               // so many of processes are the origin's; the others end with their setup
}

// newHarness starts the origin. On an error nothing is left running.
func newHarness(ctx context.Context, opt *options, log io.Writer) (*harness, error) {
	if err := haveTools(opt.tools()); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "sluice-bench-")
	if err != nil {
		return nil, err
	}
	h := &harness{opt: opt, log: log, dir: dir, configs: map[string]string{}}
	if err := h.startOrigin(ctx); err != nil {
		h.close()
		return nil, err
	}
	h.fixed = len(h.processes)
	return h, nil
}

// haveTools names all programs that are missing.
func haveTools(names []string) error {
	var missing []string
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			missing = append(missing, name)
		}
	}
	if missing == nil {
		return nil
	}
	return fmt.Errorf("missing: %s; install them, or use bench/run as root where there is apt-get", strings.Join(missing, ", "))
}

// use makes all rivals run with a setup, and checks that each does the job. Those of another setup are ended first: they would take memory and
// cache from who is measured.
func (h *harness) use(ctx context.Context, s setup) error {
	if h.setup != nil && *h.setup == s {
		return nil
	}
	h.stopRivals()
	h.setup = &s
	for _, name := range h.opt.rivals {
		run, err := starter(name)
		if err != nil {
			return err
		}
		if err := h.add(ctx, name, run, s); err != nil {
			return err
		}
	}
	for _, c := range h.opt.with {
		if err := h.add(ctx, c.name, c.start, s); err != nil {
			return err
		}
	}
	return nil
}

// add starts one rival and checks its job.
func (h *harness) add(ctx context.Context, name string, run start, s setup) error {
	r, err := h.begin(ctx, name, run, s)
	if err != nil {
		return err
	}
	return checkJob(ctx, r)
}

// begin starts one rival, and keeps how it is configured for the report.
func (h *harness) begin(ctx context.Context, name string, run start, s setup) (*rival, error) {
	fmt.Fprintf(h.log, "starting %s: %s\n", name, s)
	dir, err := h.subdir(name)
	if err != nil {
		return nil, err
	}
	r, err := run(ctx, h, dir, s)
	if err != nil {
		return nil, err
	}
	h.rivals = append(h.rivals, r)
	return r, h.keepConfig(r)
}

// keepConfig keeps a rival's configuration, and what it was told beside that, for the report.
func (h *harness) keepConfig(r *rival) error {
	if r.config == "" {
		return nil
	}
	text, err := os.ReadFile(r.config)
	if err != nil {
		return err
	}
	h.configs[r.configName()] = r.redact(string(text))
	if r.admin != nil {
		h.configs[r.toldName()] = r.admin.told.String()
	}
	return nil
}

// subdir makes an empty folder for one process, with the tmp that nginx wants.
func (h *harness) subdir(name string) (string, error) {
	dir := filepath.Join(h.dir, name)
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	return dir, os.MkdirAll(filepath.Join(dir, "tmp"), 0o755)
}

// spawn starts a process that close, or the next setup, will end.
func (h *harness) spawn(dir, name string, argv ...string) (*process, error) {
	p, err := startProcess(dir, name, argv...)
	if err == nil {
		h.processes = append(h.processes, p)
	}
	return p, err
}

// stopRivals ends everything but the origin.
func (h *harness) stopRivals() {
	h.stopFrom(h.fixed)
	h.rivals, h.setup = nil, nil
}

// stopFrom ends what was started after the first n processes, in reverse order.
func (h *harness) stopFrom(n int) {
	for i := len(h.processes) - 1; i >= n; i-- {
		h.processes[i].stop()
	}
	h.processes = h.processes[:min(n, len(h.processes))]
}

// close ends everything and removes the folder.
func (h *harness) close() {
	h.stopFrom(0)
	if h.callee != nil {
		h.callee.close()
	}
	if err := os.RemoveAll(h.dir); err != nil {
		fmt.Fprintln(h.log, "bench: clean up:", err)
	}
}
