package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// record is one scenario's raw result, as it is kept in bench/out.
type record struct {
	Scenario string         `json:"scenario"`
	Started  time.Time      `json:"started"`
	Seconds  float64        `json:"seconds"`
	Machine  machine        `json:"machine"`
	Options  recordOptions  `json:"options"`
	Rivals   []recordRival  `json:"rivals"`
	Result   map[string]any `json:"result"` // by rival; its form is the scenario's
	Failures []string       `json:"failures,omitempty"`
}

type recordOptions struct {
	Rounds          int     `json:"rounds"`
	DurationSeconds float64 `json:"duration_seconds"`
	Connections     int     `json:"connections"`
	IdleConnections int     `json:"idle_connections"`
}

type recordRival struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// machine says where a figure comes from.
type machine struct {
	CPU    string `json:"cpu"`
	CPUs   int    `json:"cpus"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
	Commit string `json:"commit"`
}

func newRecord(name string, h *harness) *record {
	rec := &record{
		Scenario: name, Started: time.Now().UTC(), Machine: thisMachine(h.opt.repo), Result: map[string]any{},
		Options: recordOptions{h.opt.rounds, h.opt.duration.Seconds(), h.opt.connections, h.opt.idle},
	}
	for _, r := range h.rivals {
		rec.Rivals = append(rec.Rivals, recordRival{r.name, r.version})
	}
	return rec
}

// fail notes why this result does not count.
func (rec *record) fail(format string, args ...any) {
	rec.Failures = append(rec.Failures, fmt.Sprintf(format, args...))
}

// err returns the failures as one error, nil when there are none.
func (rec *record) err() error {
	if len(rec.Failures) == 0 {
		return nil
	}
	return fmt.Errorf("%w:\n  %s", errResult, strings.Join(rec.Failures, "\n  "))
}

// write puts the record into a file of its own in dir.
func (rec *record) write(dir string) error {
	if dir == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("record: %w", err)
	}
	text, err := json.MarshalIndent(rec, "", "  ")
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	name := rec.Started.Format("20060102T150405.000Z") + "-" + rec.Scenario + ".json"
	if err := os.WriteFile(filepath.Join(dir, name), append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("record: %w", err)
	}
	return nil
}

func thisMachine(repo string) machine {
	m := machine{CPUs: runtime.NumCPU(), Go: runtime.Version(), CPU: "unknown", Kernel: "unknown", Commit: "unknown"}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				m.CPU = strings.TrimSpace(value)
				break
			}
		}
	}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(text))
	}
	if out, err := exec.Command("git", "-C", repo, "describe", "--always", "--dirty").Output(); err == nil {
		m.Commit = strings.TrimSpace(string(out))
	}
	return m
}
