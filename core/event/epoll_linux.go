package event

import (
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What every connection is registered for, once and for its whole life. Edge-triggered, so that no call is needed to stop and
// start listening for writability; the edge for EPOLLOUT comes only after a write found the socket full.
const connEvents = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | 1<<31 // EPOLLET, which x/sys has as a negative number

// maxEvents bounds one turn: at 10 µs an event, a turn of 256 keeps a timer at most 2.6 ms late.
const maxEvents = 256

// poller is the kernel's epoll and nothing else: it knows descriptors and tokens.
type poller struct {
	fd     int
	events [maxEvents]unix.EpollEvent
}

// token names a registration: the index of a slot and the generation it had, so that an event for a descriptor that was closed
// and opened again within one batch is told apart.
type token struct {
	index uint32
	gen   uint32
}

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("event: epoll_create1: %w", err)
	}
	return &poller{fd: fd}, nil
}

func (p *poller) add(fd int, events uint32, t token) error {
	ev := unix.EpollEvent{Events: events, Fd: int32(t.index), Pad: int32(t.gen)}
	if err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return fmt.Errorf("event: epoll_ctl: %w", err)
	}
	return nil
}

func (p *poller) del(fd int) {
	// The only failure is a descriptor that is not registered, which is what del is to achieve.
	_ = unix.EpollCtl(p.fd, unix.EPOLL_CTL_DEL, fd, nil)
}

// poll returns the number of events that are there now. It never blocks, so the runtime need not hear of it.
func (p *poller) poll() int {
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(unsafe.Pointer(&p.events[0])), maxEvents, 0, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

// wait blocks until there are events or ms milliseconds have passed; -1 waits without end. The runtime may use the processor meanwhile.
func (p *poller) wait(ms int) (int, error) {
	n, _, errno := syscall.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(unsafe.Pointer(&p.events[0])), maxEvents, uintptr(ms), 0, 0)
	switch errno {
	case 0:
		return int(n), nil
	case unix.EINTR:
		return 0, nil
	}
	return 0, fmt.Errorf("event: epoll_wait: %w", errno)
}

func (p *poller) event(i int) (events uint32, t token) {
	ev := &p.events[i]
	return ev.Events, token{index: uint32(ev.Fd), gen: uint32(ev.Pad)}
}

func (p *poller) close() { _ = unix.Close(p.fd) }
