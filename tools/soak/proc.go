package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// process is what /proc tells of a process, in bytes.
type process struct {
	rss  int64 // VmRSS: all resident pages of the process; what the kernel holds for its sockets is not among them
	peak int64 // VmHWM: the highest rss since the last resetPeak
	data int64 // VmData: what is mapped for heap and stacks, resident or not
	fds  int   // open descriptors
}

func procPath(pid int, name string) string { return fmt.Sprintf("/proc/%d/%s", pid, name) }

func readProcess(pid int) (process, error) {
	text, err := os.ReadFile(procPath(pid, "status"))
	if err != nil {
		return process{}, err
	}
	p, err := parseStatus(string(text))
	if err != nil {
		return process{}, err
	}
	p.fds, err = countDescriptors(pid)
	return p, err
}

// parseStatus reads proc_pid_status(5).
func parseStatus(text string) (process, error) {
	var p process
	for _, field := range []struct {
		name string
		to   *int64
	}{{"VmRSS", &p.rss}, {"VmHWM", &p.peak}, {"VmData", &p.data}} {
		n, err := kilobytes(text, field.name)
		if err != nil {
			return process{}, err
		}
		*field.to = n
	}
	return p, nil
}

// kilobytes finds a line such as "VmRSS:  123 kB", the form of /proc/<pid>/status and /proc/meminfo, and returns its bytes.
func kilobytes(text, name string) (int64, error) {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("proc: %s: %w", name, err)
			}
			return n << 10, nil
		}
	}
	return 0, fmt.Errorf("proc: no %s", name)
}

func countDescriptors(pid int) (int, error) {
	dir, err := os.Open(procPath(pid, "fd"))
	if err != nil {
		return 0, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	return len(names), err
}

// resetPeak makes the present rss the peak (proc_pid_clear_refs(5)).
func resetPeak(pid int) error { return os.WriteFile(procPath(pid, "clear_refs"), []byte("5"), 0) }

// kernelMemory is what the kernel holds, for all processes of the machine together, in bytes.
type kernelMemory struct {
	buffers int64 // what TCP sockets have sent or received and nobody has taken
	slab    int64 // its own objects: sockets, files, epoll entries, and everything else
}

func (k kernelMemory) sum() int64 { return k.buffers + k.slab }

func readKernelMemory() (kernelMemory, error) {
	info, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return kernelMemory{}, err
	}
	stat, err := os.ReadFile("/proc/net/sockstat")
	if err != nil {
		return kernelMemory{}, err
	}
	slab, err := kilobytes(string(info), "Slab")
	if err != nil {
		return kernelMemory{}, err
	}
	pages, err := tcpPages(string(stat))
	return kernelMemory{buffers: pages * int64(os.Getpagesize()), slab: slab}, err
}

// tcpPages reads "TCP: inuse 5 orphan 0 tw 1 alloc 6 mem 2".
func tcpPages(text string) (int64, error) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) > 1 && fields[0] == "TCP:" && fields[len(fields)-2] == "mem" {
			return strconv.ParseInt(fields[len(fields)-1], 10, 64)
		}
	}
	return 0, errors.New("proc: no memory of TCP in sockstat")
}
