package event

import (
	"fmt"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ring is the kernel's io_uring (io_uring(7)), used for one thing only: to make several calls that do not block in one. Every entry carries MSG_DONTWAIT, so
// that the kernel completes it while it is submitted: nothing is under way between two calls of enter, no buffer is lent to the kernel beyond one, and a
// descriptor may be closed at any time in between. It belongs to the thread that made it.
type ring struct {
	fd       int
	memory   []byte // what both queues share with the kernel
	entries  []byte // of the submission queue
	sqes     []submission
	sqTail   *uint32
	sqHead   *uint32
	cqHead   *uint32
	cqTail   *uint32
	cqMask   uint32
	cqes     []completion
	prepared uint32 // entries that enter will hand over
}

// ringSize is how many calls fit into one: the reads of one batch of events, and the writes of the batch before, on two connections for each.
const ringSize = 4 * batchSize

// The parts of the kernel's interface that are used, from include/uapi/linux/io_uring.h.
const (
	setupSubmitAll    = 1 << 7  // go on behind an entry that fails (Linux 5.18)
	setupCoopTaskrun  = 1 << 8  // no interrupts between processors on our account (5.19)
	setupSingleIssuer = 1 << 12 // one thread submits (6.0)
	enterGetEvents    = 1 << 0
	offSQRing         = 0
	offSQEs           = 0x10000000
	featSingleMmap    = 1 << 0
	opSend            = 26
	opRecv            = 27
)

type submission struct {
	opcode, flags    uint8
	priority         uint16
	fd               int32
	offset, addr     uint64
	length, msgFlags uint32
	userData         uint64
	_                [3]uint64
}

type completion struct {
	userData uint64
	result   int32 // bytes, or a negative errno
	flags    uint32
}

type ringParams struct {
	sqEntries, cqEntries, flags, sqThreadCPU, sqThreadIdle, features, wqFD uint32
	_                                                                      [3]uint32
	sq                                                                     struct {
		head, tail, mask, entries, flags, dropped, array, _ uint32
		userAddr                                            uint64
	}
	cq struct {
		head, tail, mask, entries, overflow, cqes, flags, _ uint32
		userAddr                                            uint64
	}
}

// newRing makes a ring for the calling thread. It fails where the kernel is older than 6.0 or does not permit it, as in many containers.
func newRing() (*ring, error) {
	params := ringParams{flags: setupSubmitAll | setupCoopTaskrun | setupSingleIssuer}
	fd, _, errno := syscall.Syscall(unix.SYS_IO_URING_SETUP, ringSize, uintptr(unsafe.Pointer(&params)), 0)
	if errno != 0 {
		return nil, fmt.Errorf("event: io_uring_setup: %w", errno)
	}
	r := &ring{fd: int(fd)}
	if err := r.share(&params); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// share maps the queues.
func (r *ring) share(p *ringParams) (err error) {
	if p.features&featSingleMmap == 0 {
		return fmt.Errorf("event: io_uring: %w", unix.ENOSYS) // no kernel that knows the flags is without it
	}
	size := max(p.sq.array+p.sqEntries*4, p.cq.cqes+p.cqEntries*uint32(unsafe.Sizeof(completion{})))
	if r.memory, err = unix.Mmap(r.fd, offSQRing, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE); err != nil {
		return fmt.Errorf("event: io_uring: mmap: %w", err)
	}
	size = p.sqEntries * uint32(unsafe.Sizeof(submission{}))
	if r.entries, err = unix.Mmap(r.fd, offSQEs, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE); err != nil {
		return fmt.Errorf("event: io_uring: mmap: %w", err)
	}
	word := func(offset uint32) *uint32 { return (*uint32)(unsafe.Pointer(&r.memory[offset])) }
	r.sqHead, r.sqTail = word(p.sq.head), word(p.sq.tail)
	r.cqHead, r.cqTail, r.cqMask = word(p.cq.head), word(p.cq.tail), *word(p.cq.mask)
	r.sqes = unsafe.Slice((*submission)(unsafe.Pointer(&r.entries[0])), p.sqEntries)
	r.cqes = unsafe.Slice((*completion)(unsafe.Pointer(&r.memory[p.cq.cqes])), p.cqEntries)
	array := unsafe.Slice(word(p.sq.array), p.sqEntries)
	for i := range array { // slot i of the queue is entry i, for good
		array[i] = uint32(i)
	}
	return nil
}

func (r *ring) close() {
	if r.entries != nil {
		_ = unix.Munmap(r.entries)
	}
	if r.memory != nil {
		_ = unix.Munmap(r.memory)
	}
	_ = unix.Close(r.fd)
}

// prepare adds a call; there must be room. p is the kernel's until enter has returned, and the caller keeps it alive. The completion carries id.
func (r *ring) prepare(opcode uint8, fd int, p []byte, flags uint32, id uint64) {
	slot := (*r.sqTail + r.prepared) & uint32(len(r.sqes)-1)
	r.sqes[slot] = submission{
		opcode: opcode, fd: int32(fd), addr: uint64(uintptr(unsafe.Pointer(unsafe.SliceData(p)))), length: uint32(len(p)),
		msgFlags: flags | unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL, userData: id,
	}
	r.prepared++
}

// enter makes the calls that were prepared and returns once each is complete. An error means that the ring is of no use any more; calls without a completion
// were not made then.
func (r *ring) enter() error {
	due := r.prepared
	atomic.StoreUint32(r.sqTail, *r.sqTail+due)
	r.prepared = 0
	for {
		left := *r.sqTail - atomic.LoadUint32(r.sqHead)
		if left == 0 && atomic.LoadUint32(r.cqTail)-*r.cqHead >= due {
			return nil
		}
		_, _, errno := syscall.RawSyscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), uintptr(left), uintptr(due), enterGetEvents, 0, 0)
		if errno != 0 && errno != unix.EINTR {
			return fmt.Errorf("event: io_uring_enter: %w", errno)
		}
	}
}

// completed takes the next completion; ok is false when there is none left.
func (r *ring) completed() (id uint64, n int, errno unix.Errno, ok bool) {
	head := *r.cqHead
	if head == atomic.LoadUint32(r.cqTail) {
		return 0, 0, 0, false
	}
	c := &r.cqes[head&r.cqMask]
	id, n = c.userData, int(c.result)
	atomic.StoreUint32(r.cqHead, head+1)
	if n < 0 {
		return id, 0, unix.Errno(-n), true
	}
	return id, n, 0, true
}
