package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"
)

// manifest says what was measured, with what, and where: without it a figure is hearsay.
type manifest struct {
	Started   time.Time         `json:"started"`
	Command   []string          `json:"command"`
	Machine   machine           `json:"machine"`
	Scenarios []string          `json:"scenarios"` // each has its raw result in a file of its name
	Rounds    int               `json:"rounds"`
	Seconds   float64           `json:"seconds_per_turn"`
	Tools     map[string]string `json:"tools"` // by name: version
	Origin    manifestRival     `json:"origin"`
	Rivals    []manifestRival   `json:"rivals"`
}

type manifestRival struct {
	Name    string   `json:"name"`
	Version string   `json:"version"`
	Setup   string   `json:"setup"`
	Command []string `json:"command,omitempty"` // its process
	TLS     string   `json:"tls,omitempty"`     // what it agrees upon with clients
	Config  string   `json:"config,omitempty"`  // file in the run's folder
	Told    string   `json:"told,omitempty"`    // the same: what it was told beside that, through its API
	Source  string   `json:"source,omitempty"`  // folder in the repository, of a program of ours around a library
}

// machine says where a figure comes from.
type machine struct {
	CPU         string `json:"cpu"`
	CPUs        int    `json:"cpus"`
	Memory      string `json:"memory"`
	System      string `json:"system"`
	Kernel      string `json:"kernel"`
	Descriptors uint64 `json:"descriptors"` // that a process may have at most
	Go          string `json:"go"`
	Commit      string `json:"commit"`
}

func newManifest(opt *options, started time.Time) *manifest {
	return &manifest{
		Started: started, Command: append([]string{"bench/run"}, opt.args...), Machine: thisMachine(opt.repo),
		Rounds: opt.rounds, Seconds: opt.duration.Seconds(),
		Tools: map[string]string{
			"wrk": programVersion("wrk", "-v"), "h2load": programVersion("h2load", "--version"), "strace": programVersion("strace", "-V"),
			"grpc-go": libraryVersion("google.golang.org/grpc"),
		},
	}
}

func thisMachine(repo string) machine {
	m := machine{
		CPU: valueIn("/proc/cpuinfo", "model name", ":"), CPUs: runtime.NumCPU(), Memory: valueIn("/proc/meminfo", "MemTotal", ":"),
		System: strings.Trim(valueIn("/etc/os-release", "PRETTY_NAME", "="), `"`), Kernel: "unknown", Go: runtime.Version(), Commit: "unknown",
	}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(text))
	}
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) == nil {
		m.Descriptors = l.Max
	}
	if out, err := exec.Command("git", "-C", repo, "describe", "--always", "--dirty").Output(); err == nil {
		m.Commit = strings.TrimSpace(string(out))
	}
	return m
}

// valueIn returns what stands behind a name in a file of lines.
func valueIn(path, name, between string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, between); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// libraryVersion is that of a library in this program.
func libraryVersion(path string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if dep.Path == path {
				return dep.Version
			}
		}
	}
	return "unknown"
}

// addOrigin notes who answers.
func (m *manifest) addOrigin(h *harness) {
	if h.origin == nil {
		return
	}
	m.Origin = manifestRival{Name: "origin", Version: h.origin.version, Setup: h.origin.setup.String(), Command: h.origin.command(), Config: originConfigName}
}

// addRivals notes who took part in which setup, each once.
func (m *manifest) addRivals(rivals []*rival) {
	for _, r := range rivals {
		one := manifestRival{Name: r.name, Version: r.version, Setup: r.setup.String(), Command: r.command(), Config: r.configName(), Source: r.source}
		if r.admin != nil {
			one.Told = r.toldName()
		}
		if r.setup.tls && r.check {
			one.TLS = benchAgreement.String()
		}
		if !slices.ContainsFunc(m.Rivals, func(known manifestRival) bool { return known.Name == one.Name && known.Setup == one.Setup }) {
			m.Rivals = append(m.Rivals, one)
		}
	}
}

// describe writes the head of the page.
func (m *manifest) describe(b *strings.Builder) {
	fmt.Fprintf(b, "# Sluice beside others, %s\n\n", m.Started.Format(time.DateTime+" MST"))
	fmt.Fprintf(b, "Medians of %d interleaved rounds of %g s; only the ratios carry over to another machine.\n\n", m.Rounds, m.Seconds)
	tools := []string{}
	for name, version := range m.Tools {
		tools = append(tools, name+": "+version)
	}
	slices.Sort(tools)
	t := &table{}
	t.add("what", "")
	t.add("command", "`"+strings.Join(m.Command, " ")+"`")
	t.add("commit", m.Machine.Commit)
	t.add("machine", fmt.Sprintf("%s, %d CPUs, %s of memory, %d descriptors a process", m.Machine.CPU, m.Machine.CPUs, m.Machine.Memory, m.Machine.Descriptors))
	t.add("system", fmt.Sprintf("%s, Linux %s, %s", m.Machine.System, m.Machine.Kernel, m.Machine.Go))
	t.add("load generators", strings.Join(tools, "; "))
	t.add("all of this and more", "[manifest.json](manifest.json)")
	b.WriteString(t.markdown() + "\n")
	t = &table{}
	t.add("who", "version", "setup", "TLS", "configuration")
	for _, r := range append([]manifestRival{m.Origin}, m.Rivals...) {
		t.add(r.Name, r.Version, r.Setup, r.TLS, r.shown())
	}
	b.WriteString(t.markdown())
}

// shown is where a reader finds how it is configured.
func (r *manifestRival) shown() string {
	var list []string
	for _, file := range []string{r.Config, r.Told} {
		if file != "" {
			list = append(list, fmt.Sprintf("[%s](%s)", file, file))
		}
	}
	if r.Source != "" {
		list = append(list, r.Source)
	}
	if len(list) == 0 || r.Source != "" {
		list = append(list, "`"+strings.Join(r.Command, " ")+"`")
	}
	return strings.Join(list, ", ")
}

// originConfigName is the file's name in the folder of a run.
const originConfigName = "origin.conf"

// configName is the same of a rival's configuration.
func (r *rival) configName() string {
	if r.config == "" {
		return ""
	}
	return r.fileName(filepath.Ext(r.config))
}

// toldName is the same of what it was told through its API.
func (r *rival) toldName() string { return r.fileName("-told.txt") }

func (r *rival) fileName(end string) string {
	return r.name + "-" + strings.NewReplacer("(", "", ")", "", ",", "", " ", "-").Replace(r.setup.String()) + end
}

// command is the line that its process was started with.
func (r *rival) command() []string {
	if r.process == nil {
		return nil
	}
	return r.process.cmd.Args
}
