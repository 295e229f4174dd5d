// Package memory tells how much memory the process uses of what it may use.
//
// What counts as used is what the collector could not free: the live heap and what the runtime needs beside it. Where a container sets the bound, the kernel's
// part counts too, which the sockets of slow clients fill; its cache of files does not, since it is given up where memory is wanted. Where other processes of
// the container use most of it, they do not count: what this one gives up would not help.
package memory

import (
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
)

// Meter reads the use of memory. One goroutine may use it.
type Meter struct {
	cgroup  cgroup
	samples []metrics.Sample
}

// Use is one look.
type Use struct {
	Used, Limit uint64 // bytes; a limit of 0 means that there is none
	Collections uint64 // how often the collector has run: what it has not seen yet is not in Used
}

// The metrics of the runtime, in the order of Meter.samples.
const (
	total = iota
	released
	free
	objects
	live
	collections
)

// NewMeter returns a meter of this process.
func NewMeter() *Meter {
	m := &Meter{cgroup: findCgroup("/sys/fs/cgroup", "/proc/self/cgroup")}
	for _, name := range []string{
		"/memory/classes/total:bytes", "/memory/classes/heap/released:bytes", "/memory/classes/heap/free:bytes", "/memory/classes/heap/objects:bytes",
		"/gc/heap/live:bytes", "/gc/cycles/total:gc-cycles",
	} {
		m.samples = append(m.samples, metrics.Sample{Name: name})
	}
	return m
}

// Read looks now. limit is what the process may use; 0 is what GOMEMLIMIT says or, without it, the container.
func (m *Meter) Read(limit uint64) Use {
	metrics.Read(m.samples)
	value := func(i int) uint64 { return m.samples[i].Value.Uint64() }
	// What is free is the runtime's reserve. What has become garbage since the last collection is in objects and not in live.
	spare := value(free) + value(objects) - min(value(live), value(objects))
	u := Use{Used: value(total) - value(released) - spare, Limit: limit, Collections: value(collections)}
	if u.Limit == 0 {
		u.Limit = goLimit()
	}
	if u.Limit == 0 && m.cgroup.dir != "" {
		if g, ok := m.cgroup.read(); ok {
			u.Used, u.Limit = g.share(u.Used, spare), g.limit
		}
	}
	return u
}

// goLimit returns what GOMEMLIMIT says, 0 for nothing.
func goLimit() uint64 {
	if n := debug.SetMemoryLimit(-1); n < math.MaxInt64 && os.Getenv("GOMEMLIMIT") != "" {
		return uint64(n)
	}
	return 0
}

// cgroup is the memory controller that bounds the process; the zero value is none.
type cgroup struct {
	dir            string
	current, limit string // names of its files
	cache          string // the line of memory.stat that is no real use
}

// findCgroup returns the group of this process, version 2 or 1. Within a container its own directory is often not visible, and the root is its own.
func findCgroup(root, self string) cgroup {
	text, err := os.ReadFile(self)
	if err != nil {
		return cgroup{}
	}
	var v2, v1 string
	for line := range strings.Lines(string(text)) {
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(part) < 3 {
			continue
		}
		if part[0] == "0" {
			v2 = part[2]
		}
		if part[1] == "memory" {
			v1 = part[2]
		}
	}
	g := cgroup{current: "memory.current", limit: "memory.max", cache: "file"}
	if g.search(root, v2) {
		return g
	}
	g = cgroup{current: "memory.usage_in_bytes", limit: "memory.limit_in_bytes", cache: "total_cache"}
	if g.search(filepath.Join(root, "memory"), v1) {
		return g
	}
	return cgroup{}
}

// search finds the group that is bounded: the process's own, or the nearest above it.
func (g *cgroup) search(root, path string) bool {
	for path = filepath.Join("/", path); ; path = filepath.Dir(path) {
		g.dir = filepath.Join(root, path)
		if _, ok := g.read(); ok {
			return true
		}
		if path == "/" {
			return false
		}
	}
}

// unlimited is what version 1 says for no bound, and more than any machine has: a page below 2^63.
const unlimited = 1 << 60

// groupUse is what a group uses, in bytes.
type groupUse struct {
	used    uint64 // without the cache of files
	sockets uint64 // the kernel's part for connections, which is in used; 0 where it is not told
	limit   uint64
}

// share returns what counts of the group's use. own is what the process uses for itself, spare what it holds and could give up.
func (g *groupUse) share(own, spare uint64) uint64 {
	if own += g.sockets; own < g.limit/4 {
		return own
	}
	return g.used - min(spare, g.used)
}

// read returns what the group uses, and false where nothing bounds it.
func (g *cgroup) read() (u groupUse, ok bool) {
	if u.limit, ok = g.number(g.limit); !ok || u.limit >= unlimited {
		return u, false
	}
	if u.used, ok = g.number(g.current); !ok {
		return u, false
	}
	stat, err := os.ReadFile(filepath.Join(g.dir, "memory.stat"))
	if err != nil {
		return u, false
	}
	for line := range strings.Lines(string(stat)) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, _ := strconv.ParseUint(text, 10, 64)
		switch name {
		case g.cache:
			u.used -= min(n, u.used)
		case "sock":
			u.sockets = n
		}
	}
	return u, true
}

func (g *cgroup) number(file string) (uint64, bool) {
	text, err := os.ReadFile(filepath.Join(g.dir, file))
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64) // "max" is no number
	return n, err == nil
}

// Advise has the collector keep the process below a limit that was not given by GOMEMLIMIT, of which it knows already.
func Advise(limit uint64) {
	if os.Getenv("GOMEMLIMIT") == "" {
		if limit == 0 || limit > math.MaxInt64 {
			limit = math.MaxInt64
		}
		debug.SetMemoryLimit(int64(limit))
	}
}
