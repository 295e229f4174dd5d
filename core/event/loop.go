// Package event moves bytes: event loops on epoll, one goroutine and one thread each, and the connections, listeners and timers they own.
//
// A [Loop] owns its sockets outright and runs to completion: it waits for events, lets the handlers of the connections do all that can be done
// without waiting, and waits again. There is no lock and no channel on that path. Other goroutines reach a loop by [Loop.Post] alone; every
// other method of the package may be called on the loop's own goroutine only, or before it runs.
//
// One turn of the loop:
//
//	wait ──► dispatch ──► runHandshakes ──► runReady ──► runPosted ──► runTimers ──► flushGathered ──┐
//	  ▲        events       of layers,        put off      from          the           of conns      │
//	  │        of epoll     a few a turn      or brought   other         wheel         that carry    │
//	  │                                       about        goroutines                  many messages │
//	  └──────────────────────────────────────────────────────────────────────────────────────────────┘
//
// What handlers write is sent at the end of the step in which it was written, or of the turn where the connection gathers. Where the kernel has io_uring,
// dispatch goes by batches of events: what one batch reads, and what the one before has written, is a single system call (batch.go). Bytes that nobody wants to see may pass from
// connection to connection without being read (pass.go).
package event

import (
	"log/slog"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Options are the settings of a loop. The zero value is ready for use.
type Options struct {
	CPU     int          // the thread is pinned to CPU-1; 0 = not pinned
	Logger  *slog.Logger // for panics; nil = the default logger
	OnPanic func()       // called after a panic in a handler was survived, to count it
	AtEnd   func()       // called last before Run gives everything back, whatever has begun until then; nil = nothing
	NoPass  bool         // what may pass from socket to socket is read and written all the same
	NoRing  bool         // every read and write is a system call of its own, also where io_uring could gather them
	Now     func() int64 // nanoseconds of a monotonic clock; nil = the runtime's. For tests

	Connect Connect // nil = the kernel's. For tests
}

// Connect is connect(2).
type Connect func(fd int, to unix.Sockaddr) error

// source is what a slot of the loop holds: a connection, a listener or the mailbox.
type source interface {
	event(events uint32)
}

type slot struct {
	gen    uint32
	source source
}

// Loop is one event loop. Make it with [NewLoop].
type Loop struct {
	opts   Options
	poller *poller
	ring   *ring // nil while it does not run, or where there is none
	mail   *mailbox
	wheel  wheel
	now    int64 // loop time of this turn, in nanoseconds

	// Registrations.
	slots []slot
	free  []uint32
	conns int

	// Work of this turn.
	pending  int       // events that epoll reported
	cursor   int       // the next of them
	ready    []*Conn   // connections with work that was put off
	working  []*Conn   // the part of ready that is being worked on
	dirty    []*Conn   // connections with bytes to flush at the end of the step
	shaking  []*Conn   // connections whose handshake can go on, oldest first
	batchEnd int       // the events before it have been read for
	calls    []batched // that the ring makes, or has made
	settled  int       // so many of calls are done with
	letters  *letter   // posted functions that are being run
	current  source    // whose handler is running
	stopped  bool      // Run returns after this turn

	gathering []*Conn // connections with bytes to flush at the end of the turn

	// Memory shared by the connections.
	buffers  buffers
	trimmed  []interface{ trim() bool } // all lists of what waits to be used again
	trimming Timer                      // armed while one of them is long
	pipes    pipes
	nodes    [iovMax][]byte
	iov      [iovMax]unix.Iovec
}

// NewLoop returns a loop that is ready to listen and dial, and to Run.
func NewLoop(opts Options) (*Loop, error) {
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if opts.Now == nil {
		start := time.Now()
		opts.Now = func() int64 { return int64(time.Since(start)) + int64(time.Second) }
	}
	if opts.Connect == nil {
		opts.Connect = unix.Connect
	}
	p, err := newPoller()
	if err != nil {
		return nil, err
	}
	m, err := newMailbox()
	if err != nil {
		p.close()
		return nil, err
	}
	l := &Loop{opts: opts, poller: p, mail: m}
	l.trimming.Owner = (*trimmer)(l)
	l.buffers.join(l)
	l.pipes = pipes{loop: l, make: newPipe, splice: sysSplice, off: opts.NoPass}
	l.trimmed = append(l.trimmed, &l.pipes)
	l.now = opts.Now()
	l.wheel.current = l.now / tick
	if _, err := l.register(m.fd, unix.EPOLLIN|1<<31, (*mailSource)(m)); err != nil {
		l.giveUp()
		return nil, err
	}
	return l, nil
}

// noRing lets the first loop of the process say so, for all of them.
var noRing sync.Once

// Run works until Stop and returns nil, or until epoll fails. It keeps the goroutine on one thread for good. Connections and listeners that are
// still there at the end are closed without a word to their handlers.
func (l *Loop) Run() error {
	runtime.LockOSThread()
	defer l.closeAll()
	if l.opts.CPU > 0 {
		if err := pin(l.opts.CPU - 1); err != nil {
			return err
		}
	}
	if !l.opts.NoRing {
		var err error
		if l.ring, err = newRing(); err != nil {
			noRing.Do(func() { l.opts.Logger.Info("event: every read and write is a system call of its own", "reason", err) })
		}
	}
	steps := [...]func(){l.dispatch, l.runHandshakes, l.runReady, l.runPosted, l.runTimers, l.flushGathered}
	for !l.stopped {
		if err := l.wait(); err != nil {
			return err
		}
		l.now = l.opts.Now()
		for _, step := range steps {
			l.step(step)
		}
	}
	return nil
}

// wait gathers events. It looks before it sleeps, and sleeps only when no work is left over.
func (l *Loop) wait() (err error) {
	l.cursor, l.batchEnd = 0, 0
	l.pending = l.poller.poll()
	if l.pending > 0 || len(l.ready) > 0 || len(l.shaking) > 0 || !l.mail.lieDown() {
		return nil
	}
	ms := -1
	if ns := l.wheel.sleep(l.opts.Now()); ns >= 0 {
		ms = int((ns + int64(time.Millisecond) - 1) / int64(time.Millisecond))
	}
	l.pending, err = l.poller.wait(ms)
	l.mail.getUp()
	return err
}

// dispatch hands each event to its source, unless that has gone meanwhile.
func (l *Loop) dispatch() {
	l.endBatch()
	if l.ring != nil {
		l.dispatchBatches()
		return
	}
	for l.cursor < l.pending {
		l.dispatchNext()
		l.flush()
	}
}

// dispatchNext hands over one event.
func (l *Loop) dispatchNext() {
	events, t := l.poller.event(l.cursor)
	l.cursor++
	if s := &l.slots[t.index]; s.gen == t.gen && s.source != nil {
		l.current = s.source
		s.source.event(events)
	}
}

// runReady gives every connection that has work left its share. What they put off again waits for the next turn.
func (l *Loop) runReady() {
	if len(l.working) == 0 {
		l.working, l.ready = l.ready, l.working
	}
	for len(l.working) > 0 {
		last := len(l.working) - 1
		c := l.working[last]
		l.working[last] = nil
		l.working = l.working[:last]
		c.onReady = false
		if c.closed {
			continue
		}
		l.current = c
		c.proceed()
		l.flush()
	}
}

// runPosted runs what other goroutines have posted.
func (l *Loop) runPosted() {
	if l.letters == nil {
		l.letters = l.mail.take()
	}
	for l.letters != nil {
		letter := l.letters
		l.letters = letter.next
		letter.run()
		l.flush()
	}
}

// runTimers calls the timers that are due.
func (l *Loop) runTimers() {
	l.wheel.advance(l.now)
	l.flush()
}

// flush sends what was written since the last time. One that a panic has cut short left nil where it had been.
func (l *Loop) flush() {
	for i := 0; i < len(l.dirty); i++ {
		c := l.dirty[i]
		if c == nil {
			continue
		}
		l.dirty[i] = nil
		c.dirty = false
		if !c.closed {
			l.current = c
			c.flush()
		}
	}
	l.dirty = l.dirty[:0]
}

// flushGathered sends what the connections that gather have written in this turn. What follows from it is flushed as ever, and may make one of them dirty again.
func (l *Loop) flushGathered() {
	l.endBatch()
	for l.ring != nil && len(l.gathering)+len(l.dirty) > 0 {
		l.dirty = append(l.dirty, l.gathering...)
		clear(l.gathering)
		l.gathering = l.gathering[:0]
		l.batch()
	}
	for len(l.gathering) > 0 {
		last := len(l.gathering) - 1
		c := l.gathering[last]
		l.gathering[last] = nil
		l.gathering = l.gathering[:last]
		c.dirty = false
		if !c.closed {
			l.current = c
			c.flush()
			l.flush()
		}
	}
	l.flush() // where the ring has just broken
}

// Post runs f on the loop, soon. Any goroutine may call it. After Stop, f may never run.
func (l *Loop) Post(f func()) { l.mail.put(f) }

// Stop makes Run return after the current turn. Any goroutine may call it, more than once.
func (l *Loop) Stop() { l.Post(func() { l.stopped = true }) }

// Now returns the loop's time: nanoseconds of a monotonic clock, read once a turn.
func (l *Loop) Now() int64 { return l.now }

// Conns returns the number of open connections, both accepted and dialed.
func (l *Loop) Conns() int { return l.conns }

// SetTimer makes t expire after d; a timer that is running is set anew.
func (l *Loop) SetTimer(t *Timer, d time.Duration) { l.wheel.set(t, l.now+int64(d)) }

// StopTimer keeps t from expiring. It may stay linked into the wheel: see [Timer].
func (l *Loop) StopTimer(t *Timer) { t.deadline = 0 }

// DropTimer stops t and takes it out of the wheel, so that what it is embedded in can be given up.
func (l *Loop) DropTimer(t *Timer) {
	t.deadline = 0
	l.wheel.unlink(t)
}

// Borrow returns a buffer of at least n bytes; its contents are arbitrary. Give it back with Return.
func (l *Loop) Borrow(n int) []byte { return l.buffers.get(n) }

// Return takes a borrowed buffer back, at its full capacity. nil is fine.
func (l *Loop) Return(b []byte) { l.buffers.put(b) }

// Lent returns how many buffers are out: borrowed, or with a connection that has bytes to be looked at. 0 is what a loop without work comes back to.
func (l *Loop) Lent() int { return l.buffers.lent }

func (l *Loop) markReady(c *Conn) {
	if !c.onReady {
		c.onReady = true
		l.ready = append(l.ready, c)
	}
}

// register gives s a slot and tells epoll of its descriptor.
func (l *Loop) register(fd int, events uint32, s source) (token, error) {
	if len(l.free) == 0 {
		l.slots = append(l.slots, slot{})
		l.free = append(l.free, uint32(len(l.slots)-1))
	}
	i := l.free[len(l.free)-1]
	l.free = l.free[:len(l.free)-1]
	l.slots[i].source = s
	t := token{index: i, gen: l.slots[i].gen}
	if err := l.poller.add(fd, events, t); err != nil {
		l.release(t)
		return token{}, err
	}
	return t, nil
}

// release frees a slot. Its generation moves on, so that events already reported for it find nobody.
func (l *Loop) release(t token) {
	l.slots[t.index].source = nil
	l.slots[t.index].gen++
	l.free = append(l.free, t.index)
}

// closeAll gives back what the kernel has lent.
func (l *Loop) closeAll() {
	if l.opts.AtEnd != nil {
		l.survive(l.opts.AtEnd)
	}
	l.step(l.flush)
	l.step(l.flushGathered)
	for i := range l.slots {
		switch s := l.slots[i].source.(type) {
		case *Conn:
			s.Close()
		case *Listener:
			s.Close()
		}
	}
	l.giveUp()
}

// giveUp closes the loop's own descriptors.
func (l *Loop) giveUp() {
	if l.ring != nil {
		l.ring.close()
	}
	l.pipes.closeFree()
	l.mail.close()
	l.poller.close()
}

// mailSource is the mailbox as epoll sees it; the letters themselves are taken in runPosted.
type mailSource mailbox

func (m *mailSource) event(uint32) { (*mailbox)(m).drain() }
