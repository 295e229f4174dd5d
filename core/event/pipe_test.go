package event

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"
)

// What becomes of bytes that were to pass where there is no pipe, or a kernel that does not do with it what was asked.

// EMFILE, ENFILE and EPERM of a pipe, and a kernel that does not splice: everything arrives by the ordinary way.
func TestWhatCannotPassIsCopied(t *testing.T) {
	none := func(errno unix.Errno) func(l *Loop) {
		return func(l *Loop) { l.pipes.make = func() (*pipe, error) { return nil, errno } }
	}
	never := func(errno unix.Errno) func(l *Loop) {
		return func(l *Loop) { l.pipes.splice = func(int, int, int) (int, unix.Errno) { return -1, errno } }
	}
	for name, spoil := range map[string]func(l *Loop){
		"EMFILE": none(unix.EMFILE), "ENFILE": none(unix.ENFILE), "EPERM": none(unix.EPERM),
		"EINVAL": never(unix.EINVAL), "ENOSYS": never(unix.ENOSYS), "splice EPERM": never(unix.EPERM), "ENOMEM": never(unix.ENOMEM),
		"used up": func(l *Loop) { l.pipes.open = pipesMost },
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, Options{})
			r.do(func() { spoil(r.Loop) })
			data := long(3 << 20)
			from, _, source, sink := r.passage(int64(len(data)))
			wantWhole(t, source, sink, data)
			r.do(func() {
				if from.moved != 0 || from.reads != int64(len(data)) || r.Passed() != 0 {
					t.Errorf("%d bytes have passed, %d were read", from.moved, from.reads)
				}
			})
		})
	}
}

// spoilDrains has the kernel refuse from now on to take anything out of a pipe.
func spoilDrains(l *Loop, errno unix.Errno) {
	splice := l.pipes.splice
	l.pipes.splice = func(from, to, n int) (int, unix.Errno) {
		if held, err := unix.FcntlInt(uintptr(from), unix.F_GETPIPE_SZ, 0); err == nil && held > 0 {
			return -1, errno
		}
		return splice(from, to, n)
	}
}

// What is in a pipe that the kernel does not take from there is sent as if it had been written: nobody's connection breaks, and all comes in its order.
func TestWhatCannotLeaveItsPipeIsWritten(t *testing.T) {
	for name, errno := range map[string]unix.Errno{"EINVAL": unix.EINVAL, "EPERM": unix.EPERM} {
		t.Run(name, func(t *testing.T) {
			r := start(t, Options{})
			r.do(func() { spoilDrains(r.Loop, errno) })
			data := long(3 << 20)
			from, _, source, sink := r.passage(int64(len(data)))
			wantWhole(t, source, sink, data)
			r.do(func() {
				if from.moved == 0 || from.moved > passSize || from.reads+from.moved != int64(len(data)) {
					t.Errorf("%d bytes have passed, %d were read", from.moved, from.reads)
				}
			})
			r.wantPipes(0)
		})
		t.Run(name+", with more behind it", func(t *testing.T) {
			r := start(t, Options{})
			from, to, _, sink, data := r.fill(16 << 20)
			var passed int
			r.do(func() {
				spoilDrains(r.Loop, errno)
				from.conn.Close()
				from.conn, passed = nil, int(from.moved+from.reads)
				to.conn.Write(long(100_000))
				to.conn.Shutdown()
			})
			if got := hearEnd(t, sink); !bytes.Equal(got, append(bytes.Clone(data[:passed]), long(100_000)...)) {
				t.Errorf("%d bytes have come, want %d, and in their order", len(got), passed+100_000)
			}
		})
	}
}

// A kernel that has refused a pipe is asked again after a while, and not for every read.
func TestPipesAreAskedForAgain(t *testing.T) {
	asked := 0
	ps := pipes{make: func() (*pipe, error) { asked++; return nil, unix.EMFILE }}
	for range 3 {
		if ps.get(1) != nil {
			t.Fatal("a pipe that nobody made")
		}
	}
	if asked != 1 {
		t.Errorf("the kernel was asked %d times in a moment", asked)
	}
	ps.make = newPipe
	p := ps.get(1 + int64(pipesPause))
	if p == nil {
		t.Fatal("no pipe after the pause")
	}
	p.held = 1
	ps.put(p)
	if ps.open != 0 || len(ps.free) != 0 {
		t.Errorf("%d pipes, %d of them free: one that holds something is not to be used again", ps.open, len(ps.free))
	}
}

// There are no more pipes than there may be, and fewer are kept.
func TestPipesAreBounded(t *testing.T) {
	ps := pipes{make: newPipe}
	var out []*pipe
	for p := ps.get(0); p != nil; p = ps.get(0) {
		out = append(out, p)
	}
	if len(out) == 0 || len(out) > pipesMost { // a user may have pages for fewer
		t.Errorf("%d pipes, want %d", len(out), pipesMost)
	}
	for _, p := range out {
		ps.put(p)
	}
	if kept := min(len(out), pipesKept); len(ps.free) != kept || ps.open != kept {
		t.Errorf("%d pipes are kept, %d are open, want %d", len(ps.free), ps.open, kept)
	}
	ps.closeFree()
}

// EINTR and a pipe that takes little at a time change nothing.
func TestAPassThatIsInterruptedGoesOn(t *testing.T) {
	r := start(t, Options{})
	calls := 0
	r.do(func() {
		r.pipes.splice = func(from, to, n int) (int, unix.Errno) {
			if calls++; calls%3 == 0 {
				return -1, unix.EINTR
			}
			return sysSplice(from, to, min(n, 10_007))
		}
	})
	data := long(3 << 20)
	from, to, source, sink := r.passage(int64(len(data)))
	r.do(func() { from.conn.plenty = true })
	to.onDrained = func(*Conn) { from.conn.plenty = true; from.conn.Resume() }
	wantWhole(t, source, sink, data)
	r.do(func() {
		if from.moved == 0 {
			t.Error("nothing has passed")
		}
	})
	r.wantPipes(0)
}
