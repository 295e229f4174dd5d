package event

import (
	"fmt"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A pipe takes bytes from one socket to another without a copy: what splice(2) moves are references to the pages in which the kernel has received them. A connection has one only while
// something is in it; in between it is the loop's, as buffers are.
type pipe struct {
	r, w int // descriptors
	held int // bytes that are in it
}

// The bounds of a loop's pipes. Each is two descriptors, and keeps up to passSize bytes of the kernel's memory that count for no socket any more, where the connection that they are for takes
// them slowly.
const (
	pipeSize   = 256 << 10              // asked for. A segment of the network takes a page's place in it, however little it holds
	pipeLeast  = 64 << 10               // what is worth the calls: that of a pipe for which nothing is asked. Beyond pipe-user-pages-soft one gets two pages
	pipesMost  = 64                     // 128 descriptors, and 16 MiB of the kernel's memory
	pipesKept  = 16                     // of them while nothing is in them
	pipesPause = 100 * time.Millisecond // until the kernel is asked again that has refused one
)

// pipes are the free pipes of a loop, and what the kernel does for them; tests put something else in its place.
type pipes struct {
	loop  *Loop // nil: nothing is trimmed
	free  []*pipe
	idle  int    // the fewest that have been free at once since the last trim
	open  int    // with those that are out
	until int64  // loop time before which the kernel is not asked for another
	off   bool   // the kernel does not splice, or nobody wants it to
	bytes uint64 // that have passed

	make   func() (*pipe, error)
	splice func(from, to, n int) (int, unix.Errno)
}

// get returns an empty pipe, or nil where none can be had: what it was for is copied then.
func (ps *pipes) get(now int64) *pipe {
	if last := len(ps.free) - 1; last >= 0 {
		p := ps.free[last]
		ps.free = ps.free[:last]
		ps.idle = min(ps.idle, last)
		return p
	}
	if ps.open >= pipesMost || now < ps.until {
		return nil
	}
	p, err := ps.make()
	if err != nil { // for want of descriptors or of memory: as good as none
		ps.until = now + int64(pipesPause)
		return nil
	}
	ps.open++
	return p
}

// put takes a pipe back. One that holds something must not be used again.
func (ps *pipes) put(p *pipe) {
	if p.held > 0 || len(ps.free) >= pipesKept {
		ps.open--
		p.close()
		return
	}
	ps.free = append(ps.free, p)
	if ps.loop != nil && !ps.loop.trimming.Armed() {
		ps.loop.SetTimer(&ps.loop.trimming, trimEvery)
	}
}

// trim closes those that nobody has asked for since the last time, and reports whether there may be more to close later: descriptors are for who needs them.
func (ps *pipes) trim() bool {
	for _, p := range ps.free[:min(ps.idle, len(ps.free))] {
		ps.open--
		p.close()
	}
	ps.free = slices.Delete(ps.free, 0, min(ps.idle, len(ps.free)))
	ps.idle = len(ps.free)
	return ps.idle > 0
}

// closeFree closes those that nobody has.
func (ps *pipes) closeFree() {
	for _, p := range ps.free {
		p.close()
	}
	ps.free = nil
}

// newPipe makes a pipe of pipeSize, or of what the kernel gives where the user's pipes have as many pages as they may (pipe-user-pages-soft in pipe(7)).
func newPipe() (*pipe, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("event: pipe: %w", err)
	}
	p := &pipe{r: fds[0], w: fds[1]}
	if _, err := unix.FcntlInt(uintptr(p.w), unix.F_SETPIPE_SZ, pipeSize); err == nil {
		return p, nil
	}
	size, err := unix.FcntlInt(uintptr(p.w), unix.F_GETPIPE_SZ, 0)
	if err == nil && size < pipeLeast {
		err = unix.EPERM
	}
	if err != nil {
		p.close()
		return nil, fmt.Errorf("event: size of a pipe: %w", err)
	}
	return p, nil
}

func (p *pipe) close() {
	_ = unix.Close(p.r)
	_ = unix.Close(p.w)
}

// sysSplice moves up to n bytes between a socket and a pipe. It blocks for neither.
func sysSplice(from, to, n int) (int, unix.Errno) {
	moved, _, errno := syscall.RawSyscall6(unix.SYS_SPLICE, uintptr(from), 0, uintptr(to), 0, uintptr(n), unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
	return int(moved), errno
}

// unspliceable is what splice(2) says where it is not to be had: of sockets of that kind, of this kernel, by a container's rules, or for want of memory. Nothing was moved, and the socket has
// not lost an error by it.
var unspliceable = []unix.Errno{unix.EINVAL, unix.ENOSYS, unix.EPERM, unix.EOPNOTSUPP, unix.ENOMEM}

func cannotSplice(errno unix.Errno) bool { return slices.Contains(unspliceable, errno) }
