package event

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// A listening socket is an open file that several processes can hold: connections wait in one queue in the kernel, and whoever accepts first has one.
// As long as one process holds a copy, closing the others refuses nobody.

// Copy returns a second descriptor of the socket, for handing it to another process. It is the caller's to close, and is closed by exec.
func (ln *Listener) Copy() (fd int, err error) {
	if ln.closed {
		return -1, errors.New("event: copy of a listener that is closed")
	}
	fd, err = unix.FcntlInt(uintptr(ln.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("event: copy of a listener: %w", err)
	}
	return fd, nil
}

// Inherit takes a listening socket that another process has opened, and returns the address it listens on; [Loop.Listen] is what follows. It is an error when fd
// is no such socket, which is then left as it is. Any goroutine may call it.
func Inherit(fd int) (netip.AddrPort, error) {
	listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err == nil && listens == 0 {
		err = errors.New("it does not listen")
	}
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("event: inherited descriptor %d: %w", fd, err)
	}
	bound := localAddr(fd)
	if !bound.IsValid() {
		return netip.AddrPort{}, fmt.Errorf("event: inherited descriptor %d: it is no IP socket", fd)
	}
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		return netip.AddrPort{}, fmt.Errorf("event: inherited descriptor %d: %w", fd, err)
	}
	return bound, nil
}

// BindBeside opens n more sockets that listen beside those that [Bind] has opened at addr, in this process or in the one they were inherited from. On failure none
// is open.
func BindBeside(addr netip.AddrPort, n int) (fds []int, err error) {
	for range n {
		fd, err := listenSocket(addr)
		if err != nil {
			CloseSockets(fds)
			return nil, fmt.Errorf("event: listen on %s: %w", addr, err)
		}
		fds = append(fds, fd)
	}
	return fds, nil
}
