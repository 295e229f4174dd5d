package main

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// manifest says what was measured, with what, and where: without it a figure is hearsay.
type manifest struct {
	Started time.Time         `json:"started"`
	Command []string          `json:"command"`
	Machine machine           `json:"machine"`
	Rounds  int               `json:"rounds"`
	Seconds float64           `json:"seconds_per_turn"`
	Tools   map[string]string `json:"tools"` // by name: version
	Rivals  []manifestRival   `json:"rivals"`
}

type manifestRival struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Setup   string `json:"setup"`
	TLS     string `json:"tls,omitempty"`    // what it agrees upon with clients
	Config  string `json:"config,omitempty"` // file in the run's folder
}

// machine says where a figure comes from.
type machine struct {
	CPU    string `json:"cpu"`
	CPUs   int    `json:"cpus"`
	Memory string `json:"memory"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
	Commit string `json:"commit"`
}

func newManifest(opt *options, started time.Time) *manifest {
	return &manifest{
		Started: started, Command: append([]string{"bench/run"}, opt.args...), Machine: thisMachine(opt.repo),
		Rounds: opt.rounds, Seconds: opt.duration.Seconds(),
		Tools: map[string]string{"wrk": programVersion("wrk", "-v"), "origin": programVersion("nginx", "-v")},
	}
}

func thisMachine(repo string) machine {
	m := machine{
		CPU: valueIn("/proc/cpuinfo", "model name"), CPUs: runtime.NumCPU(), Memory: valueIn("/proc/meminfo", "MemTotal"),
		Kernel: "unknown", Go: runtime.Version(), Commit: "unknown",
	}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(text))
	}
	if out, err := exec.Command("git", "-C", repo, "describe", "--always", "--dirty").Output(); err == nil {
		m.Commit = strings.TrimSpace(string(out))
	}
	return m
}

// valueIn returns what stands behind "name:" in a file of /proc.
func valueIn(path, name string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}
