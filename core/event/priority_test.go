package event

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/testnet"
)

// giveWayChild makes the process one whose threads give way: niceness cannot be taken back, so the tests' own process is not.
const giveWayChild = "EVENT_TEST_GIVE_WAY"

// A burst of writes through the admin API, or the collector, must not keep a processor from a loop that has requests to answer.
func TestEveryThreadButThoseInTheForegroundGivesWay(t *testing.T) {
	if os.Getenv(giveWayChild) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), giveWayChild+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	base, err := niceness(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	tied, end := make(chan int), make(chan struct{})
	defer close(end)
	for range 2 {
		go func() {
			Foreground()
			tied <- unix.Gettid()
			<-end
		}()
	}
	loops := map[int]bool{testnet.Receive(t, "a thread", tied): true, testnet.Receive(t, "a thread", tied): true}
	if err := GiveWay(); err != nil {
		t.Fatal(err)
	}
	const blocked = 20
	threads := len(tasks(t))
	for range blocked { // each needs a thread while it waits
		var pipe [2]int
		if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		defer unix.Close(pipe[0])
		defer unix.Close(pipe[1])
		go unix.Read(pipe[0], make([]byte, 1)) // until the other end is closed
	}
	for end := time.Now().Add(testnet.Patience); len(tasks(t)) < threads+blocked/2; {
		if time.Now().After(end) {
			t.Fatal("there are no new threads")
		}
		time.Sleep(time.Millisecond)
	}
	for _, thread := range tasks(t) {
		nice, err := niceness(thread)
		want := min(base+behind, 19)
		if loops[thread] {
			want = base
		}
		if err == nil && nice != want {
			t.Errorf("thread %d has %d, not %d", thread, nice, want)
		}
	}
}

// tasks lists the threads of the process.
func tasks(t *testing.T) (threads []int) {
	t.Helper()
	paths, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		thread, err := strconv.Atoi(filepath.Base(path))
		if err != nil {
			t.Fatal(err)
		}
		threads = append(threads, thread)
	}
	return threads
}
