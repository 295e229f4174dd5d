package observe

import (
	"bytes"
	"log/slog"
	"time"

	"sluice/core/event"
)

// drainEvery is how long a line waits in its ring at most, while the file takes what it is given.
const drainEvery = 100 * time.Millisecond

// maxWrite bounds one write, so that a slow file gives room in the ring back piece by piece.
const maxWrite = 256 << 10

// run is the writer: the one goroutine that touches the file. It has the precedence of the loops: at 60,000 lines a second a ring is full after 60 ms, and what comes then is lost.
func (l *AccessLog) run() {
	event.Foreground()
	defer close(l.done)
	tick := time.NewTicker(drainEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.drain()
		case <-l.wake:
			l.drain()
		case req := <-l.swap:
			l.drain()
			l.closeFile()
			l.out, l.torn = req.file, false
			close(req.done)
		case <-l.quit:
			l.drain()
			l.closeFile()
			return
		}
	}
}

// drain writes what is in the rings now, each worker's lines in their order. What arrives meanwhile waits for the next time.
func (l *AccessLog) drain() {
	l.poked.Store(false)
	for _, line := range l.lines {
		r := line.ring
		for end := r.head.Load(); r.tail.Load() < end; {
			b := r.peek(end)
			n, err := l.write(b[:min(len(b), maxWrite)])
			r.free(n)
			if err != nil {
				l.fail(err)
				l.discard(r, end)
			}
		}
	}
}

// write appends b to the file and returns how much of it the file took. A line that an earlier failure has cut is ended first, so
// that it spoils no other.
func (l *AccessLog) write(b []byte) (int, error) {
	if l.torn {
		if _, err := l.out.Write([]byte{'\n'}); err != nil {
			return 0, err
		}
		l.torn = false
	}
	n, err := l.out.Write(b)
	if err != nil {
		l.torn = n > 0 && b[n-1] != '\n'
		return n, err
	}
	l.failing = false
	return n, nil
}

// discard gives up the bytes of r before end and counts their lines as lost, the one that was cut among them.
func (l *AccessLog) discard(r *ring, end uint64) {
	for r.tail.Load() < end {
		b := r.peek(end)
		l.lost.Add(uint64(bytes.Count(b, []byte{'\n'})))
		r.free(len(b))
	}
}

// fail counts a failed write, and tells of the first of a row.
func (l *AccessLog) fail(err error) {
	l.failures.Add(1)
	if !l.failing {
		l.failing = true
		slog.Error("access log: lines are lost until it can be written again", "path", l.path, "error", err)
	}
}

func (l *AccessLog) closeFile() {
	if err := l.out.Close(); err != nil {
		l.fail(err)
	}
}
