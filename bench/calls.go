package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// callsTurn is how long system calls are counted for each rival at each variant. It is behind the rounds, so that counting costs no measured turn anything.
const callsTurn = time.Second

// callCount is how many system calls a rival made in the turn in which they were counted.
type callCount struct {
	PerRequest float64 `json:"per_request"`
	By         string  `json:"counted_by"` // the kernel's tracepoint, or strace, beside which the rival is slow
}

// countCalls gives a rival one more turn and counts the system calls of all its threads. The answers are those of the rounds before, which were checked.
func countCalls(ctx context.Context, h *harness, r *rival, j job, perSecond float64) (*callCount, error) {
	changing, err := startChurn(ctx, h, r, j)
	if err != nil {
		return nil, err
	}
	finish, by, err := startCounting(ctx, h, r)
	if err != nil {
		_, failed := changing.stop()
		return nil, errors.Join(err, failed)
	}
	l, err := h.generate(ctx, r, j, perSecond, callsTurn)
	_, failed := changing.stop()
	n, uncounted := finish()
	if err := errors.Join(err, failed, uncounted); err != nil {
		return nil, err
	}
	if len(l.Errors) > 0 || l.Requests == 0 {
		return nil, fmt.Errorf("%w: %d answers while system calls were counted: %s", errResult, l.Requests, strings.Join(l.Errors, "; "))
	}
	return &callCount{float64(n) / float64(l.Requests), by}, nil
}

// startCounting prefers the tracepoint; where the kernel has none for us, strace counts.
func startCounting(ctx context.Context, h *harness, r *rival) (finish func() (int64, error), by string, err error) {
	c, err := startCallCounter(r.workers)
	if err == nil {
		return c.stop, "tracepoint", nil
	}
	fmt.Fprintf(h.log, "%v: strace counts\n", err)
	t, err := startTrace(ctx, h, r)
	if err != nil {
		return nil, "", err
	}
	return func() (sum int64, err error) {
		calls, err := t.finish()
		for _, n := range calls {
			sum += n
		}
		return sum, err
	}, "strace", nil
}

// callCounter counts how often threads enter the kernel, at the tracepoint raw_syscalls:sys_enter, as perf stat does: some ten nanoseconds a call. What is in an
// io_uring's queue is no call; that it is handed over is one.
type callCounter struct {
	events []int // descriptors, one a thread; threads that it starts meanwhile are in its own
}

// tracing is where the kernel tells the number of a tracepoint.
var tracing = []string{"/sys/kernel/tracing", "/sys/kernel/debug/tracing"}

// startCallCounter needs root, or CAP_PERFMON and the right to read tracefs.
func startCallCounter(pids []int) (*callCounter, error) {
	id, err := tracepoint("raw_syscalls/sys_enter")
	if err != nil {
		return nil, err
	}
	c := &callCounter{}
	for _, pid := range pids {
		threads, err := os.ReadDir(procPath(pid, "task"))
		if err != nil {
			c.close()
			return nil, fmt.Errorf("system calls: %w", err)
		}
		for _, thread := range threads {
			tid, err := strconv.Atoi(thread.Name())
			if err != nil {
				c.close()
				return nil, fmt.Errorf("system calls: %w", err)
			}
			attr := &unix.PerfEventAttr{Type: unix.PERF_TYPE_TRACEPOINT, Config: id, Size: unix.PERF_ATTR_SIZE_VER0, Bits: unix.PerfBitInherit}
			fd, err := unix.PerfEventOpen(attr, tid, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
			if errors.Is(err, unix.ESRCH) {
				continue // it has ended meanwhile
			}
			if err != nil {
				c.close()
				return nil, fmt.Errorf("system calls: perf_event_open: %w", err)
			}
			c.events = append(c.events, fd)
		}
	}
	return c, nil
}

func tracepoint(name string) (uint64, error) {
	var errs []error
	for _, dir := range tracing {
		text, err := os.ReadFile(dir + "/events/" + name + "/id")
		if err == nil {
			return strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
		}
		errs = append(errs, err)
	}
	return 0, fmt.Errorf("system calls: %w", errors.Join(errs...))
}

// stop returns the calls since the start.
func (c *callCounter) stop() (sum int64, err error) {
	defer c.close()
	var n [8]byte
	for _, fd := range c.events {
		if _, err := unix.Read(fd, n[:]); err != nil {
			return 0, fmt.Errorf("system calls: %w", err)
		}
		sum += int64(binary.NativeEndian.Uint64(n[:]))
	}
	return sum, nil
}

func (c *callCounter) close() {
	for _, fd := range c.events {
		_ = unix.Close(fd) // it was only read
	}
}
