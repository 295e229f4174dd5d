package event

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// mailbox takes functions from any goroutine to the loop: a lock-free stack, and an eventfd that is written only while the loop sleeps.
type mailbox struct {
	head     atomic.Pointer[letter]
	sleeping atomic.Bool
	wakers   atomic.Int32 // goroutines that have seen, or may yet see, that the loop sleeps, and use the descriptor
	fd       int
}

type letter struct {
	next *letter
	run  func()
}

func newMailbox() (*mailbox, error) {
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("event: eventfd: %w", err)
	}
	return &mailbox{fd: fd}, nil
}

// put leaves f for the loop and wakes it if it sleeps.
func (m *mailbox) put(f func()) {
	l := &letter{run: f}
	for {
		l.next = m.head.Load()
		if m.head.CompareAndSwap(l.next, l) {
			break
		}
	}
	m.wakers.Add(1)
	if m.sleeping.CompareAndSwap(true, false) {
		var one [8]byte
		binary.NativeEndian.PutUint64(one[:], 1)
		// The counter cannot overflow (one write per sleep), so the write cannot block or fail.
		_, _ = unix.Write(m.fd, one[:])
	}
	m.wakers.Add(-1)
}

// take returns everything that was put, oldest first.
func (m *mailbox) take() *letter {
	if m.head.Load() == nil {
		return nil
	}
	var first *letter
	for l := m.head.Swap(nil); l != nil; {
		l.next, first, l = first, l, l.next
	}
	return first
}

// lieDown announces that the loop is about to block. It returns false if there is something to do: the announcement comes before the look, and
// put looks after it has left its letter, so that one of the two sees the other.
func (m *mailbox) lieDown() bool {
	m.sleeping.Store(true)
	if m.head.Load() != nil {
		m.sleeping.Store(false)
		return false
	}
	return true
}

func (m *mailbox) getUp() {
	m.sleeping.Store(false)
}

// close gives the eventfd back, once nobody can write to it any more: the number may be another's descriptor a moment later. The loop does not
// sleep again, so a waker that comes after the last one was seen to leave finds nothing to do.
func (m *mailbox) close() {
	for m.wakers.Load() > 0 {
		runtime.Gosched()
	}
	_ = unix.Close(m.fd)
}

// drain empties the eventfd.
func (m *mailbox) drain() {
	var buf [8]byte
	_, _ = sysRead(m.fd, buf[:])
}
