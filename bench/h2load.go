package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// runH2load loads a url over HTTP/2: j.connections connections with j.streams requests at once on each. scratch is a folder for what it posts.
func runH2load(ctx context.Context, scratch, url string, j job, d time.Duration) (*load, error) {
	argv := []string{"-t", strconv.Itoa(j.threadCount()), "-c", strconv.Itoa(j.connections), "-m", strconv.Itoa(j.streams), "-D", strconv.Itoa(int(d / time.Second))}
	if j.grpc {
		file := filepath.Join(scratch, "call.grpc")
		if err := os.WriteFile(file, []byte(grpcMessage), 0o644); err != nil {
			return nil, fmt.Errorf("h2load: %w", err)
		}
		argv = append(argv, "-d", file, "-H", "content-type: application/grpc", "-H", "te: trailers")
	}
	answers := filepath.Join(scratch, "h2load.log")
	if err := os.Remove(answers); err != nil && !errors.Is(err, fs.ErrNotExist) { // h2load would write behind it
		return nil, fmt.Errorf("h2load: %w", err)
	}
	argv = append(argv, "--log-file="+answers)
	cmd := exec.CommandContext(ctx, "h2load", append(argv, url)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("h2load: %w: %s", err, strings.TrimSpace(string(out)))
	}
	l, err := parseH2load(string(out), j)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(answers)
	if err != nil {
		return nil, fmt.Errorf("h2load: %w", err)
	}
	return l, l.readAnswers(string(text))
}

// readAnswers takes the percentiles out of h2load's log, which has a line for each answer: when it was asked for, its status, and the microseconds until it was there.
func (l *load) readAnswers(text string) error {
	var latencies []time.Duration
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) != 3 {
			return fmt.Errorf("h2load: its log has the line %q", line)
		}
		us, err := strconv.ParseInt(fields[2], 10, 64)
		if err != nil {
			return fmt.Errorf("h2load: its log: %w", err)
		}
		latencies = append(latencies, time.Duration(us)*time.Microsecond)
	}
	if len(latencies) == 0 {
		return errors.New("h2load: its log is empty")
	}
	l.tell(latencies)
	return nil
}

var (
	h2loadRate     = regexp.MustCompile(`finished in [^,]+, ([0-9.]+) req/s`)
	h2loadRequests = regexp.MustCompile(`requests: \d+ total, \d+ started, (\d+) done, \d+ succeeded, (\d+) failed, (\d+) errored, (\d+) timeout`)
	h2loadStatus   = regexp.MustCompile(`status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx`)
	h2loadTraffic  = regexp.MustCompile(`traffic: .*?\((\d+)\) total, .*?\((\d+)\) headers .*, .*?\((\d+)\) data`)
)

// parseH2load reads what h2load says at its end. It looks into no body: that each answer had all of its own is told by their sum, since one that
// has failed in gRPC has status 200 and no message.
func parseH2load(text string, j job) (*load, error) {
	find := func(re *regexp.Regexp) (numbers []float64, err error) {
		m := re.FindStringSubmatch(text)
		if m == nil {
			return nil, fmt.Errorf("h2load: no %q in its output: %q", re, text)
		}
		for _, s := range m[1:] {
			n, err := strconv.ParseFloat(s, 64)
			if err != nil {
				return nil, fmt.Errorf("h2load: %w", err)
			}
			numbers = append(numbers, n)
		}
		return numbers, nil
	}
	rate, err := find(h2loadRate)
	if err != nil {
		return nil, err
	}
	requests, err := find(h2loadRequests)
	if err != nil {
		return nil, err
	}
	status, err := find(h2loadStatus)
	if err != nil {
		return nil, err
	}
	traffic, err := find(h2loadTraffic)
	if err != nil {
		return nil, err
	}
	l := &load{Requests: int64(requests[0]), Bytes: int64(traffic[0]), Rate: rate[0]}
	for i, what := range []string{"requests that failed", "requests with an error", "answers that did not come in time"} {
		if n := requests[i+1]; n > 0 {
			l.Errors = append(l.Errors, fmt.Sprintf("%.0f %s", n, what))
		}
	}
	if wrong := status[1] + status[2] + status[3]; wrong > 0 {
		l.Errors = append(l.Errors, fmt.Sprintf("%.0f answers with another status than 2xx", wrong))
	}
	if least := l.Requests * j.size; int64(traffic[2]) < least || int64(traffic[2]) > least+int64(j.concurrency())*j.size {
		l.Errors = append(l.Errors, fmt.Sprintf("%.0f bytes of bodies in %d answers of %d", traffic[2], l.Requests, j.size))
	}
	return l, nil
}
