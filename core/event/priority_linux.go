package event

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// behind is how much nicer than the loops every other thread is made: it gets a tenth of a processor that a loop wants too, and all of one that nobody wants.
const behind = 10

// cloneTime is by far longer than the kernel takes to make a thread, some 0.05 ms.
const cloneTime = 5 * time.Millisecond

// foreground is the threads that GiveWay leaves as they are, by id.
var foreground = struct {
	mu      sync.Mutex // guards threads
	threads map[int]bool
}{threads: make(map[int]bool)}

// Foreground ties the calling goroutine to its thread for good, and keeps that thread's priority when GiveWay is called. It is called by goroutines that end with the
// process, or nearly so: those of loops, before Run, and that which writes the access log.
func Foreground() {
	runtime.LockOSThread()
	foreground.mu.Lock()
	defer foreground.mu.Unlock()
	foreground.threads[unix.Gettid()] = true
}

// GiveWay makes every thread of the process nicer (nice(2)), but for those in the foreground: what changes routes, collects garbage and writes logs then waits for the
// loops, and not they for it. It holds for threads to come, which begin with the niceness of the thread that starts them, and a thread that is tied to a goroutine starts
// none. It cannot be undone without a privilege. It is called once, and needs no privilege itself.
func GiveWay() error {
	foreground.mu.Lock()
	defer foreground.mu.Unlock()
	base, err := niceness(os.Getpid())
	if err != nil {
		return err
	}
	nice := min(base+behind, 19)
	// A thread that was starting another one when it was told has given it the old niceness, and that one may be seen only a moment later.
	for quiet := 0; quiet < 2; quiet++ {
		changed, err := tellAll(nice)
		if err != nil {
			return err
		}
		if changed {
			quiet = -1
			continue
		}
		time.Sleep(cloneTime)
	}
	return nil
}

// tellAll makes every thread nice that is not in the foreground, and reports whether there was one that had to be.
func tellAll(nice int) (changed bool, _ error) {
	entries, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return false, fmt.Errorf("event: %w", err)
	}
	for _, e := range entries {
		thread, err := strconv.Atoi(e.Name())
		if err != nil || foreground.threads[thread] {
			continue
		}
		one, err := makeNice(thread, nice)
		if err != nil {
			return false, err
		}
		changed = changed || one
	}
	return changed, nil
}

// makeNice reports whether the thread was not as nice before.
func makeNice(thread, nice int) (bool, error) {
	was, err := niceness(thread)
	if err == nil && was < nice {
		err = unix.Setpriority(unix.PRIO_PROCESS, thread, nice)
	}
	if errors.Is(err, unix.ESRCH) { // it has ended meanwhile
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("event: thread %d: %w", thread, err)
	}
	return was < nice, nil
}

// niceness returns how nice a thread is. The system call returns 20 less that, since a negative number would be an error (getpriority(2)).
func niceness(thread int) (int, error) {
	raw, err := unix.Getpriority(unix.PRIO_PROCESS, thread)
	if err != nil {
		return 0, fmt.Errorf("event: thread %d: %w", thread, err)
	}
	return 20 - raw, nil
}
