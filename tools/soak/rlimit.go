package main

import (
	"fmt"
	"syscall"
)

// raiseDescriptors gets this process, and the children it starts from now on, as many descriptors as it may have, want at most, and returns how
// many that are. Only a privileged process may go beyond its hard limit.
func raiseDescriptors(want uint64) (uint64, error) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0, fmt.Errorf("RLIMIT_NOFILE: %w", err)
	}
	if l.Cur >= want {
		return l.Cur, nil
	}
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: want, Max: max(want, l.Max)}) == nil {
		return want, nil
	}
	l.Cur = min(want, l.Max)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0, fmt.Errorf("RLIMIT_NOFILE: %w", err)
	}
	return l.Cur, nil
}
