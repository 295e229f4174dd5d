package event

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const (
	backlog        = 4096                   // of a listening socket; the kernel cuts it to net.core.somaxconn
	acceptsPerTurn = 64                     // so that a storm of connections does not starve those that are there
	acceptPause    = 100 * time.Millisecond // after the process has run out of descriptors or memory
)

// Listener accepts connections on one loop.
type Listener struct {
	loop   *Loop
	fd     int
	slot   token
	accept Accept
	take   func(fd int) (int, netip.AddrPort, unix.Errno) // sysAccept, but for tests of what the kernel may say
	timer  Timer
	closed bool
	asleep bool // taken out of epoll until the timer runs
}

// Accept is told of a new connection and returns its owner; nil refuses it. It may set up c, but not wait. With c == nil it is
// told why none could be accepted: the listener then waits for 100 ms before it tries again.
type Accept func(c *Conn, err error) Handler

// Bind opens n sockets that listen on the same address side by side (SO_REUSEPORT): the kernel spreads new connections over them. Port 0 takes a free port. It
// fails where somebody else listens on the address already. It belongs to no loop and may be called by any goroutine; each socket is then handed
// to one loop with [Loop.Listen].
func Bind(addr netip.AddrPort, n int) (fds []int, bound netip.AddrPort, err error) {
	defer func() {
		if err != nil {
			CloseSockets(fds)
			fds = nil
		}
	}()
	if err := checkFree(addr); err != nil {
		return nil, addr, fmt.Errorf("event: listen on %s: %w", addr, err)
	}
	bound = addr
	for range n {
		fd, err := listenSocket(bound)
		if err != nil {
			return fds, bound, fmt.Errorf("event: listen on %s: %w", addr, err)
		}
		fds = append(fds, fd)
		if bound.Port() == 0 {
			bound = localAddr(fd)
		}
	}
	return fds, bound, nil
}

// CloseSockets closes sockets that Bind has opened and no loop has taken.
func CloseSockets(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}

// checkFree finds out whether an address is free. SO_REUSEPORT would let a second gateway share it without a word.
func checkFree(addr netip.AddrPort) error {
	if addr.Port() == 0 {
		return nil
	}
	sa, family := sockaddr(addr)
	fd, err := newSocket(family)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return err
	}
	return unix.Bind(fd, sa)
}

func listenSocket(addr netip.AddrPort) (int, error) {
	sa, family := sockaddr(addr)
	fd, err := newSocket(family) // accepted connections inherit TCP_NODELAY
	if err != nil {
		return -1, err
	}
	for _, option := range []int{unix.SO_REUSEADDR, unix.SO_REUSEPORT} {
		if err == nil {
			err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, 1)
		}
	}
	if err == nil {
		err = unix.Bind(fd, sa)
	}
	if err == nil {
		err = unix.Listen(fd, backlog)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// localAddr returns the address a socket is bound to, or the zero value.
func localAddr(fd int) netip.AddrPort {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

// Listen accepts connections from a socket that Bind has opened. The loop owns the socket from now on.
func (l *Loop) Listen(fd int, accept Accept) (*Listener, error) {
	ln := &Listener{loop: l, fd: fd, accept: accept, take: sysAccept}
	ln.timer.Owner = ln
	var err error
	// Level-triggered: what one turn leaves behind is reported again.
	if ln.slot, err = l.register(fd, unix.EPOLLIN, ln); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return ln, nil
}

// Close stops listening. Connections that the kernel has completed and nobody has accepted are reset.
func (ln *Listener) Close() {
	if ln.closed {
		return
	}
	ln.closed = true
	ln.loop.release(ln.slot)
	ln.loop.DropTimer(&ln.timer)
	ln.loop.poller.del(ln.fd) // closing does not, where another process has a copy of the socket: see Copy
	_ = unix.Close(ln.fd)
}

// AcceptRest accepts what has already connected and closes the listener, so that a drain refuses nobody whom the kernel has greeted.
func (ln *Listener) AcceptRest() {
	for range backlog {
		if ln.closed || !ln.acceptOne() {
			break
		}
	}
	ln.Close()
}

func (ln *Listener) event(uint32) {
	for range acceptsPerTurn {
		if ln.closed || ln.asleep || !ln.acceptOne() {
			return
		}
	}
}

// lost is what accept says where the one connection is gone and others may wait: an error that its network had before it was accepted, or a rule of the firewall (accept(2)).
var lost = []unix.Errno{
	unix.ECONNABORTED, unix.EPROTO, unix.EPERM, unix.ENETDOWN, unix.ENOPROTOOPT, unix.EHOSTDOWN, unix.ENONET, unix.EHOSTUNREACH, unix.EOPNOTSUPP, unix.ENETUNREACH,
}

// acceptOne takes one connection and reports whether there may be more.
func (ln *Listener) acceptOne() bool {
	fd, remote, errno := ln.take(ln.fd)
	switch errno {
	case 0:
		if err := ln.loop.adopt(fd, remote, ln.accept); err != nil {
			ln.rest(err)
			return false
		}
		return true
	case unix.EAGAIN:
		return false
	case unix.EINTR:
		return true
	}
	if slices.Contains(lost, errno) {
		return true
	}
	ln.rest(fmt.Errorf("event: accept: %w", errno))
	return false
}

// rest stops accepting for a while: what is missing will not be there a moment later, and the socket stays ready. It tells the owner last, who may
// close the listener.
func (ln *Listener) rest(err error) {
	if !ln.asleep {
		ln.asleep = true
		ln.loop.poller.del(ln.fd)
	}
	ln.loop.SetTimer(&ln.timer, acceptPause)
	ln.accept(nil, err)
}

// Expired ends the pause after a failure to accept.
func (ln *Listener) Expired(*Timer) {
	if err := ln.loop.poller.add(ln.fd, unix.EPOLLIN, ln.slot); err != nil {
		ln.loop.SetTimer(&ln.timer, acceptPause)
		return
	}
	ln.asleep = false
}

// adopt makes a connection of an accepted descriptor.
func (l *Loop) adopt(fd int, remote netip.AddrPort, accept Accept) error {
	c := &Conn{loop: l, fd: fd, remote: remote}
	var err error
	if c.slot, err = l.register(fd, connEvents, c); err != nil {
		_ = unix.Close(fd)
		return err
	}
	l.conns++
	listener := l.current
	l.current = c // where accept panics, this connection is lost: nobody would ever close it
	c.handler = accept(c, nil)
	l.current = listener
	if c.handler == nil {
		c.Close()
	}
	return nil
}

// Dial begins to connect to addr and returns at once. h hears Opened or Closed later in this turn or in another; what is written before is sent
// once the connection is there. There is no timeout but the caller's.
func (l *Loop) Dial(addr netip.AddrPort, h Handler) (*Conn, error) {
	sa, family := sockaddr(addr)
	fd, err := newSocket(family)
	if err != nil {
		return nil, fmt.Errorf("event: connect %s: %w", addr, err)
	}
	if err := l.opts.Connect(fd, sa); err != nil && err != unix.EINPROGRESS {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("event: connect %s: %w", addr, err)
	}
	remote := netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	c := &Conn{loop: l, fd: fd, remote: remote, handler: h, connecting: true, full: true}
	if c.slot, err = l.register(fd, connEvents, c); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	l.conns++
	return c, nil
}
