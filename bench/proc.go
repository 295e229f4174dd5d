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

func readMemory(pid int) (memory, error) {
	text, err := os.ReadFile(procPath(pid, "status"))
	if err != nil {
		return memory{}, fmt.Errorf("memory: %w", err)
	}
	return parseStatus(text)
}

// parseStatus reads VmRSS and RssAnon of proc_pid_status(5).
func parseStatus(text []byte) (memory, error) {
	rss, err := statusKiB(text, "VmRSS:")
	if err != nil {
		return memory{}, err
	}
	anon, err := statusKiB(text, "RssAnon:")
	if err != nil {
		return memory{}, err
	}
	return memory{RSS: rss << 10, Anon: anon << 10}, nil
}

func statusKiB(text []byte, name string) (int64, error) {
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("memory: %s %w", name, err)
		}
		return n, nil
	}
	return 0, fmt.Errorf("memory: no %s in status", name)
}

// onlyChild returns the one child of a process: nginx's worker, below its master.
func onlyChild(pid int) (int, error) {
	id := strconv.Itoa(pid)
	text, err := os.ReadFile(procPath(pid, "task/"+id+"/children"))
	if err != nil {
		return 0, fmt.Errorf("worker: %w", err)
	}
	children := strings.Fields(string(text))
	if len(children) != 1 {
		return 0, fmt.Errorf("worker: process %d has %d children, not one", pid, len(children))
	}
	return strconv.Atoi(children[0])
}

func procPath(pid int, name string) string {
	return "/proc/" + strconv.Itoa(pid) + "/" + name
}
