package event

import (
	"math/bits"
	"time"
)

// The wheel has one slot per tick. A tick of 8 ms keeps the shortest sensible timeout (250 ms) within 4 %, and 8192 slots reach 65 s, which
// covers every default but the tunnel's: a timer beyond that stays in its slot for another round.
const (
	tick       = int64(8 * time.Millisecond)
	wheelSlots = 8192 // a power of two
)

// Expirer is told that a timer has run out. It is called on the loop that owns the timer.
type Expirer interface {
	Expired(t *Timer)
}

// Timer is one deadline. It is embedded in what it guards, belongs to one loop and costs no allocation and no system call to set or
// stop. The zero value is stopped; Owner is set once, before the first [Loop.SetTimer]. What embeds a timer calls
// [Loop.DropTimer] before it is given up, since a timer that was set and stopped may still be linked into the wheel.
type Timer struct {
	Owner    Expirer
	deadline int64 // loop time at which it expires; 0 = stopped
	due      int64 // tick of the slot it is linked in; 0 = not linked
	next     *Timer
	prev     *Timer
}

// Armed reports whether t will expire.
func (t *Timer) Armed() bool { return t.deadline != 0 }

// Over reports whether the time of t has come, which the wheel tells up to a tick later.
func (t *Timer) Over(now int64) bool { return t.deadline != 0 && now >= t.deadline }

// wheel is a hashed timer wheel. A timer that is pushed back or stopped, as happens with every request on a kept-alive connection, stays
// linked where it is and is looked at again when that slot comes round: so both are one store, and touch no neighbour's memory.
type wheel struct {
	slots   [wheelSlots]*Timer
	used    [wheelSlots / 64]uint64 // a bit for each slot that is not empty
	current int64                   // the last tick that has been run
	cursor  *Timer                  // the next timer of the slot that is being run
	linked  int
}

// set arms t for the moment at.
func (w *wheel) set(t *Timer, at int64) {
	t.deadline = max(at, 1)
	if t.due != 0 && t.deadline >= t.due*tick {
		return
	}
	w.unlink(t)
	w.link(t)
}

func (w *wheel) link(t *Timer) {
	t.due = max((t.deadline+tick-1)/tick, w.current+1)
	i := t.due & (wheelSlots - 1)
	t.prev, t.next = nil, w.slots[i]
	if t.next != nil {
		t.next.prev = t
	}
	w.slots[i] = t
	w.used[i/64] |= 1 << (i % 64)
	w.linked++
}

func (w *wheel) unlink(t *Timer) {
	if t.due == 0 {
		return
	}
	if w.cursor == t {
		w.cursor = t.next
	}
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		i := t.due & (wheelSlots - 1)
		w.slots[i] = t.next
		if t.next == nil {
			w.used[i/64] &^= 1 << (i % 64)
		}
	}
	if t.next != nil {
		t.next.prev = t.prev
	}
	t.next, t.prev, t.due = nil, nil, 0
	w.linked--
}

// advance runs every tick up to now and calls each timer that is due. Any timer may be set, stopped or dropped by any of them. If one
// panics, the next call goes on behind it.
func (w *wheel) advance(now int64) {
	w.runRest(now)
	last := now / tick
	if w.linked == 0 {
		w.current = max(w.current, last)
		return
	}
	if last-w.current > wheelSlots { // the machine was asleep: one round sees every slot
		w.current = last - wheelSlots
	}
	for w.current < last {
		w.current++
		w.cursor = w.slots[w.current&(wheelSlots-1)]
		w.runRest(now)
	}
}

// runRest goes through what is left of the current slot. Timers that are linked anew meanwhile go to the head of a slot, behind the cursor.
func (w *wheel) runRest(now int64) {
	for w.cursor != nil {
		t := w.cursor
		w.cursor = t.next
		switch {
		case t.deadline == 0:
			w.unlink(t)
		case t.deadline <= now:
			w.unlink(t)
			t.deadline = 0
			t.Owner.Expired(t)
		case t.due <= w.current: // it was pushed back
			w.unlink(t)
			w.link(t)
		}
	}
}

// sleep returns how many nanoseconds from now nothing can be due, or -1 when no timer is linked.
func (w *wheel) sleep(now int64) int64 {
	if w.linked == 0 {
		return -1
	}
	start := (w.current + 1) & (wheelSlots - 1)
	for n := range int64(len(w.used) + 1) {
		word := (start/64 + n) % int64(len(w.used))
		set := w.used[word]
		if n == 0 {
			set &= ^uint64(0) << (start % 64)
		}
		if set == 0 {
			continue
		}
		ahead := (word*64 + int64(bits.TrailingZeros64(set)) - start) & (wheelSlots - 1)
		return max(0, (w.current+1+ahead)*tick-now)
	}
	return 0
}
