package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// load is what a load generator saw in one run.
type load struct {
	Requests int64         `json:"requests"` // answers that came, right or wrong
	Bytes    int64         `json:"bytes"`    // of all answers, heads included
	Rate     float64       `json:"rate"`     // answers per second
	P50      time.Duration `json:"p50_ns"`
	P99      time.Duration `json:"p99_ns"`
	P999     time.Duration `json:"p999_ns"`
	Errors   []string      `json:"errors,omitempty"` // failed connections, missing and wrong answers

	Statuses map[string]int64 `json:"grpc_status,omitempty"` // of calls of gRPC, by the name of their status
}

// runWrk loads a url. It returns when wrk has ended, or with ctx. scratch is a folder for its script.
func runWrk(ctx context.Context, scratch, url string, j job, d time.Duration) (*load, error) {
	script := filepath.Join(scratch, "wrk.lua")
	if err := os.WriteFile(script, []byte(j.script()), 0o644); err != nil {
		return nil, fmt.Errorf("wrk: %w", err)
	}
	cmd := exec.CommandContext(ctx, "wrk", "-t", strconv.Itoa(j.threadCount()), "-c", strconv.Itoa(j.connections), "-d", strconv.Itoa(int(d/time.Second))+"s",
		"--timeout", "10s", "-s", script, url)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("wrk: %w: %s", err, strings.TrimSpace(string(out)))
	}
	l, err := parseWrk(string(out))
	if err == nil && l.Bytes < l.Requests*j.size {
		l.Errors = append(l.Errors, fmt.Sprintf("%d bytes in all, too few for %d answers of %d", l.Bytes, l.Requests, j.size))
	}
	return l, err
}

// wrkLine is the last line of wrk's output, made by wrkReport. Status counts statuses above 399. That no 1xx or 3xx passes for an answer is ensured
// elsewhere: the same request is checked before and after, and the origin must have counted as many requests.
type wrkLine struct {
	Requests int64 `json:"requests"`
	Bytes    int64 `json:"bytes"`
	Duration int64 `json:"duration_us"`
	P50      int64 `json:"p50_us"`
	P99      int64 `json:"p99_us"`
	P999     int64 `json:"p999_us"`
	Connect  int64 `json:"connect"`
	Read     int64 `json:"read"`
	Write    int64 `json:"write"`
	Status   int64 `json:"status"`
	Timeout  int64 `json:"timeout"`
}

func parseWrk(text string) (*load, error) {
	_, report, ok := strings.Cut(text, "\nreport ")
	if !ok {
		return nil, fmt.Errorf("wrk: no report in its output: %q", text)
	}
	report, _, _ = strings.Cut(report, "\n")
	var line wrkLine
	if err := json.Unmarshal([]byte(report), &line); err != nil {
		return nil, fmt.Errorf("wrk: report %q: %w", report, err)
	}
	if line.Duration <= 0 {
		return nil, errors.New("wrk: the run took no time")
	}
	us := func(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
	l := &load{
		Requests: line.Requests, Bytes: line.Bytes, Rate: float64(line.Requests) / us(line.Duration).Seconds(),
		P50: us(line.P50), P99: us(line.P99), P999: us(line.P999),
	}
	for _, e := range []struct {
		n    int64
		what string
	}{
		{line.Connect, "connections that failed"}, {line.Read, "answers that broke off"}, {line.Write, "requests that could not be sent"},
		{line.Status, "answers with a status above 399"}, {line.Timeout, "answers that did not come in time"},
	} {
		if e.n > 0 {
			l.Errors = append(l.Errors, fmt.Sprintf("%d %s", e.n, e.what))
		}
	}
	return l, nil
}
