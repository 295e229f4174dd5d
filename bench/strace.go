package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// trace is a running strace that counts.
type trace struct {
	process *process
	out     string
}

// startTrace returns once strace is attached to the rival and all its threads.
func startTrace(ctx context.Context, h *harness, r *rival) (*trace, error) {
	out := filepath.Join(h.dir, r.name+".strace")
	argv := []string{"strace", "-f", "-c", "-o", out}
	for _, pid := range r.workers {
		argv = append(argv, "-p", strconv.Itoa(pid))
	}
	p, err := h.spawn(h.dir, "strace-"+r.name, argv...)
	if err != nil {
		return nil, err
	}
	err = p.await(ctx, 10*time.Second, func() error {
		if !strings.Contains(p.lastWords(), "attached") {
			return errors.New("not attached yet")
		}
		return nil
	})
	return &trace{p, out}, err
}

// finish detaches and returns how often each system call was made.
func (t *trace) finish() (map[string]int64, error) {
	// strace prints its table when it is interrupted, and then ends with that signal.
	if err := t.process.cmd.Process.Signal(syscall.SIGINT); err != nil {
		return nil, fmt.Errorf("strace: %w", err)
	}
	select {
	case <-t.process.done:
	case <-time.After(10 * time.Second):
		return nil, errors.New("strace: it does not end")
	}
	text, err := os.ReadFile(t.out)
	if err != nil {
		return nil, fmt.Errorf("strace: %w", err)
	}
	return parseStrace(string(text))
}

// parseStrace reads the table of strace -c: share, seconds, µs per call, calls, errors (may be empty), name.
func parseStrace(text string) (map[string]int64, error) {
	calls := map[string]int64{}
	rules := 0 // the lines of dashes around the rows
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		switch {
		case len(fields) > 0 && strings.HasPrefix(fields[0], "---"):
			rules++
		case rules == 1 && (len(fields) == 5 || len(fields) == 6):
			n, err := strconv.ParseInt(fields[3], 10, 64)
			if err != nil {
				return nil, fmt.Errorf("strace: row %q: %w", strings.TrimSpace(line), err)
			}
			calls[fields[len(fields)-1]] += n
		}
	}
	if rules < 2 || len(calls) == 0 {
		return nil, fmt.Errorf("strace: no table in %q", text)
	}
	return calls, nil
}
