package event

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// What runs out on our side is told apart from what a peer does.
func TestWhatRunsOutIsNoFaultOfAPeer(t *testing.T) {
	for errno, want := range map[unix.Errno]bool{
		unix.EMFILE: true, unix.ENFILE: true, unix.ENOBUFS: true, unix.ENOMEM: true, unix.EADDRNOTAVAIL: true,
		unix.ECONNREFUSED: false, unix.ECONNRESET: false, unix.EHOSTUNREACH: false, unix.ETIMEDOUT: false,
	} {
		if got := Exhausted(fmt.Errorf("event: connect: %w", errno)); got != want {
			t.Errorf("%v: %v", errno, got)
		}
	}
	if Exhausted(nil) {
		t.Error("no error is one")
	}
}
