package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// load is what wrk reports of one run.
type load struct {
	Requests int64         `json:"requests"` // answers that came, right or wrong
	Rate     float64       `json:"rate"`     // per second
	P50      time.Duration `json:"p50_ns"`
	P99      time.Duration `json:"p99_ns"`
	Errors   []string      `json:"errors,omitempty"` // wrk's own lines about failed connections and wrong statuses
}

// runWrk loads a url from one thread. It returns when wrk has ended, or with ctx.
func runWrk(ctx context.Context, url string, connections int, d time.Duration) (*load, error) {
	cmd := exec.CommandContext(ctx, "wrk", "-t1", "-c", strconv.Itoa(connections), "-d", strconv.Itoa(int(d/time.Second))+"s", "--latency", url)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("wrk: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return parseWrk(string(out))
}

var (
	wrkTotal = regexp.MustCompile(`(?m)^\s*(\d+) requests in `)
	wrkRate  = regexp.MustCompile(`(?m)^Requests/sec:\s*([0-9.]+)\s*$`)
	wrkP50   = regexp.MustCompile(`(?m)^\s*50(?:\.0+)?%\s+(\S+)\s*$`)
	wrkP99   = regexp.MustCompile(`(?m)^\s*99(?:\.0+)?%\s+(\S+)\s*$`)
	// "Non-2xx or 3xx responses" counts statuses above 399. That no 1xx or 3xx passes for an answer is ensured elsewhere:
	// the same request is checked to the byte before and after, and the origin must have counted as many requests.
	wrkWrong = regexp.MustCompile(`(?m)^\s*((?:Socket errors|Non-2xx or 3xx responses):.*)$`)
)

// parseWrk reads what wrk 4 prints with --latency.
func parseWrk(text string) (*load, error) {
	var l load
	var err error
	number := func(re *regexp.Regexp, what string) string {
		m := re.FindStringSubmatch(text)
		if m == nil {
			err = errors.Join(err, fmt.Errorf("wrk: no %s in its output: %q", what, text))
			return ""
		}
		return m[1]
	}
	total, rate, p50, p99 := number(wrkTotal, "total"), number(wrkRate, "rate"), number(wrkP50, "p50"), number(wrkP99, "p99")
	if err != nil {
		return nil, err
	}
	var errs [4]error
	l.Requests, errs[0] = strconv.ParseInt(total, 10, 64)
	l.Rate, errs[1] = strconv.ParseFloat(rate, 64)
	l.P50, errs[2] = parseWrkTime(p50)
	l.P99, errs[3] = parseWrkTime(p99)
	for _, m := range wrkWrong.FindAllStringSubmatch(text, -1) {
		l.Errors = append(l.Errors, strings.TrimSpace(m[1]))
	}
	return &l, errors.Join(errs[:]...)
}

// parseWrkTime reads "1.53ms"; wrk writes minutes as "m" and hours as "h", as Go does.
func parseWrkTime(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("wrk: latency: %w", err)
	}
	return d, nil
}
