package observe

// maxScratch is the largest line buffer that is kept for the next line. Lines above it come from targets of tens of kilobytes, all escaped.
const maxScratch = 64 << 10

// lineLog is one worker's end of the access log. All of it but the ring's tail belongs to that worker's loop.
type lineLog struct {
	log     *AccessLog
	ring    *ring
	json    bool
	scratch []byte // the line is made here, in a buffer that stays in the processor's cache, and copied to the ring whole
	clock   stamp
}

func newLineLog(l *AccessLog, json bool, size int) *lineLog {
	return &lineLog{log: l, json: json, ring: newRing(size), scratch: make([]byte, 0, 2<<10)}
}

// write queues the line of rec. It never blocks.
func (l *lineLog) write(rec *Record) {
	line := l.scratch[:0]
	if l.json {
		line = appendJSON(line, rec, &l.clock)
	} else {
		line = appendCombined(line, rec, &l.clock)
	}
	if cap(line) <= maxScratch {
		l.scratch = line
	}
	if l.ring.put(line) {
		l.log.poke()
	}
}

// poke asks the writer to drain the rings now. Once it is asked it is not asked again before it comes, so that this costs a wake-up
// for each half of a ring, and not for each line. Any worker may call it; it does not block.
func (l *AccessLog) poke() {
	if l.poked.Load() || !l.poked.CompareAndSwap(false, true) {
		return
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
}
