package testnet

import (
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Main runs the tests of a package and exits: with a failure also where all have passed, but a goroutine or a descriptor was left behind. It is called from
// TestMain. ignored names functions of goroutines that libraries offer no way to end.
func Main(m *testing.M, ignored ...string) {
	wakePoller()
	before := here()
	for _, function := range ignored {
		before.ignored = append(before.ignored, goleak.IgnoreAnyFunction(function))
	}
	code := m.Run()
	if code == 0 {
		if err := before.leftBehind(Patience); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// inventory is what the process had at one moment.
type inventory struct {
	files      map[string]string
	goroutines goleak.Option
	ignored    []goleak.Option
}

func here() inventory { return inventory{files: openFiles(), goroutines: goleak.IgnoreCurrent()} }

// leftBehind reports goroutines and descriptors that are there and were not before. What is just about to end is given its time.
func (before inventory) leftBehind(patience time.Duration) error {
	var leak error
	if !until(patience, func() bool { leak = goleak.Find(append(before.ignored, before.goroutines)...); return leak == nil }) {
		return fmt.Errorf("testnet: goroutines were left behind: %w", leak)
	}
	var after map[string]string
	if until(patience, func() bool { after = openFiles(); return len(after) <= len(before.files) }) {
		return nil
	}
	maps.DeleteFunc(after, func(fd, file string) bool { return before.files[fd] == file })
	return fmt.Errorf("testnet: descriptors were left behind: %v", slices.Sorted(maps.Values(after)))
}

// wakePoller makes the runtime open the descriptors that it keeps for itself, so that they are not taken for a leak.
func wakePoller() {
	if l, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		_ = l.Close()
	}
}

// openFiles returns the descriptors of the process with what each refers to. The one that reads the list is among them, every time.
func openFiles() map[string]string {
	const dir = "/proc/self/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		panic(fmt.Sprintf("testnet: %v", err))
	}
	files := make(map[string]string, len(entries))
	for _, e := range entries {
		files[e.Name()], _ = os.Readlink(dir + "/" + e.Name()) // it may have been closed meanwhile
	}
	return files
}
