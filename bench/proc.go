package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of the times in /proc/<pid>/stat. The kernel's USER_HZ is 100 on every architecture Sluice runs on.
const tick = time.Second / 100

// cpuTime is what a process has used since its start.
type cpuTime struct {
	User   time.Duration
	System time.Duration
}

func (c cpuTime) sub(o cpuTime) cpuTime { return cpuTime{c.User - o.User, c.System - o.System} }

// usage is what the processes of a rival have used since their start.
type usage struct {
	cpuTime
	switches switches
}

func (u usage) sub(o usage) usage { return usage{u.cpuTime.sub(o.cpuTime), u.switches.sub(o.switches)} }

// readUsage adds up what several processes have used.
func readUsage(pids []int) (usage, error) {
	var sum usage
	for _, pid := range pids {
		c, err := readCPU(pid)
		if err != nil {
			return usage{}, err
		}
		s, err := readSwitches(pid)
		if err != nil {
			return usage{}, err
		}
		sum.User += c.User
		sum.System += c.System
		sum.switches.Voluntary += s.Voluntary
		sum.switches.Involuntary += s.Involuntary
	}
	return sum, nil
}

// readCPU returns the CPU time of a process, all its threads together, those that have ended included. The sum is exact to a
// tick, which is 0.2 % of a five-second turn; how it is split into user and system is the kernel's estimate.
func readCPU(pid int) (cpuTime, error) {
	text, err := os.ReadFile(procPath(pid, "stat"))
	if err != nil {
		return cpuTime{}, fmt.Errorf("cpu time: %w", err)
	}
	return parseStat(text)
}

// parseStat reads fields 14 and 15 of proc_pid_stat(5). The second field is the program's name in brackets, which may itself
// hold spaces and brackets, so counting starts behind the last closing one.
func parseStat(text []byte) (cpuTime, error) {
	end := bytes.LastIndexByte(text, ')')
	if end < 0 {
		return cpuTime{}, errors.New("cpu time: no program name in stat")
	}
	const utime, stime = 14 - 3, 15 - 3 // the first field behind the name is number 3
	fields := strings.Fields(string(text[end+1:]))
	if len(fields) <= stime {
		return cpuTime{}, fmt.Errorf("cpu time: stat has %d fields behind the name", len(fields))
	}
	user, err := strconv.ParseInt(fields[utime], 10, 64)
	if err != nil {
		return cpuTime{}, fmt.Errorf("cpu time: utime: %w", err)
	}
	system, err := strconv.ParseInt(fields[stime], 10, 64)
	if err != nil {
		return cpuTime{}, fmt.Errorf("cpu time: stime: %w", err)
	}
	return cpuTime{time.Duration(user) * tick, time.Duration(system) * tick}, nil
}

// memory is what a process holds, in bytes.
type memory struct {
	RSS  int64 // all resident pages, those of files included
	Anon int64 // resident pages that are the process's own: heap and stacks
}

// readMemory adds up what several processes hold. Pages that they share count for each.
func readMemory(pids []int) (memory, error) {
	var sum memory
	for _, pid := range pids {
		text, err := os.ReadFile(procPath(pid, "status"))
		if err != nil {
			return memory{}, fmt.Errorf("memory: %w", err)
		}
		m, err := parseStatus(text)
		if err != nil {
			return memory{}, err
		}
		sum.RSS += m.RSS
		sum.Anon += m.Anon
	}
	return sum, nil
}

// switches counts how often a process gave up its CPU: by itself, to wait, or because its time was up.
type switches struct {
	Voluntary   int64
	Involuntary int64
}

func (s switches) sub(o switches) switches {
	return switches{s.Voluntary - o.Voluntary, s.Involuntary - o.Involuntary}
}

// readSwitches adds up the threads that are alive.
func readSwitches(pid int) (switches, error) {
	threads, err := os.ReadDir(procPath(pid, "task"))
	if err != nil {
		return switches{}, fmt.Errorf("context switches: %w", err)
	}
	var sum switches
	for _, thread := range threads {
		text, err := os.ReadFile(procPath(pid, "task/"+thread.Name()+"/status"))
		if err != nil {
			continue // it has ended meanwhile
		}
		voluntary, err := statusNumber(text, "voluntary_ctxt_switches:")
		if err != nil {
			return switches{}, err
		}
		involuntary, err := statusNumber(text, "nonvoluntary_ctxt_switches:")
		if err != nil {
			return switches{}, err
		}
		sum.Voluntary += voluntary
		sum.Involuntary += involuntary
	}
	return sum, nil
}

// parseStatus reads VmRSS and RssAnon of proc_pid_status(5).
func parseStatus(text []byte) (memory, error) {
	rss, err := statusNumber(text, "VmRSS:")
	if err != nil {
		return memory{}, err
	}
	anon, err := statusNumber(text, "RssAnon:")
	if err != nil {
		return memory{}, err
	}
	return memory{RSS: rss << 10, Anon: anon << 10}, nil
}

// statusNumber returns the number behind a name of proc_pid_status(5), in KiB where it is a size.
func statusNumber(text []byte, name string) (int64, error) {
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("status: %s %w", name, err)
		}
		return n, nil
	}
	return 0, fmt.Errorf("status: no %s", name)
}

// childrenOf returns the children of a process, of which there must be n: nginx's workers, below their master.
func childrenOf(pid, n int) ([]int, error) {
	id := strconv.Itoa(pid)
	text, err := os.ReadFile(procPath(pid, "task/"+id+"/children"))
	if err != nil {
		return nil, fmt.Errorf("workers: %w", err)
	}
	var children []int
	for _, word := range strings.Fields(string(text)) {
		child, err := strconv.Atoi(word)
		if err != nil {
			return nil, fmt.Errorf("workers: %w", err)
		}
		children = append(children, child)
	}
	if len(children) != n {
		return nil, fmt.Errorf("workers: process %d has %d children, not %d", pid, len(children), n)
	}
	return children, nil
}

func procPath(pid int, name string) string {
	return "/proc/" + strconv.Itoa(pid) + "/" + name
}
