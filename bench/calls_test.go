package main

import (
	"errors"
	"io/fs"
	"os"
	"runtime"
	"syscall"
	"testing"
)

// System calls are counted on all threads, those included that begin meanwhile. Where the kernel does not let us, there is an error that says so, and strace counts.
func TestSystemCallsAreCounted(t *testing.T) {
	runtime.LockOSThread() // one that is there when they are looked for
	defer runtime.UnlockOSThread()
	c, err := startCallCounter([]int{os.Getpid()})
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
			t.Error(err)
		}
		return
	}
	const made = 10_000
	for range made {
		syscall.Getppid()
	}
	n, err := c.stop()
	if err != nil || n < made || n > 2*made {
		t.Errorf("%d calls counted of %d: %v", n, made, err)
	}
}

func TestTheCallsOfNobodyAreAnError(t *testing.T) {
	if c, err := startCallCounter([]int{1 << 30}); err == nil {
		t.Errorf("%d events", len(c.events))
	}
}
