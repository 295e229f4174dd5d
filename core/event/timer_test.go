package event

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sluice/internal/testnet"
)

// The wheel must do what a list of deadlines would: fire each timer once, never before its deadline, and not more than a tick after it. The model holds
// nothing but the deadlines; whatever is set, stopped and dropped, also by timers that expire, is done to both.
func TestTheWheelDoesWhatAListOfDeadlinesWould(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t, 8)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if rapid.IntRange(0, 2).Draw(t, "step") == 0 {
				m.advance()
			} else {
				m.change()
			}
			m.check()
		}
		// However it went, all that is armed runs out in the end.
		m.quiet = true
		m.move(int64(25 * time.Hour))
		for i, deadline := range m.deadlines {
			if deadline != 0 || m.timers[i].Armed() {
				t.Fatalf("timer %d is armed a day later", i)
			}
		}
		if m.wheel.linked != 0 {
			t.Fatalf("%d timers are linked and none is armed", m.wheel.linked)
		}
	})
}

type model struct {
	*rapid.T
	wheel     *wheel
	now       int64
	timers    []*Timer
	deadlines []int64 // 0 = stopped
	index     map[*Timer]int
	advancing bool
	panicked  bool
	quiet     bool // expiring timers change nothing
}

func newModel(t *rapid.T, timers int) *model {
	m := &model{T: t, wheel: new(wheel), index: map[*Timer]int{}}
	m.now = rapid.Int64Range(1, int64(time.Hour)).Draw(t, "start") // a loop's clock never shows 0: that is a stopped timer
	m.wheel.current = m.now / tick
	for i := range timers {
		timer := &Timer{Owner: m}
		m.timers, m.deadlines = append(m.timers, timer), append(m.deadlines, 0)
		m.index[timer] = i
	}
	return m
}

// someTime favours what is special to the wheel: the same tick, its edges, one round of the wheel, and more than one.
func (m *model) someTime() int64 {
	const round = wheelSlots * tick
	return rapid.OneOf(
		rapid.Int64Range(0, 3*tick),
		rapid.Map(rapid.Int64Range(0, 5), func(n int64) int64 { return n * tick }),
		rapid.Int64Range(0, round+2*tick),
		rapid.Int64Range(round-2*tick, round+2*tick),
		rapid.Int64Range(0, 4*round),
	).Draw(m.T, "time")
}

// change does something to one of the timers.
func (m *model) change() {
	i := rapid.IntRange(0, len(m.timers)-1).Draw(m.T, "timer")
	switch rapid.IntRange(0, 4).Draw(m.T, "change") {
	default:
		m.deadlines[i] = m.now + m.someTime()
		m.wheel.set(m.timers[i], m.deadlines[i])
	case 3:
		m.deadlines[i] = 0
		m.timers[i].deadline = 0 // as Loop.StopTimer does
	case 4:
		m.deadlines[i] = 0
		m.timers[i].deadline = 0
		m.wheel.unlink(m.timers[i]) // as Loop.DropTimer does
	}
}

// advance lets time pass: some, or as much as the loop would sleep.
func (m *model) advance() {
	by := m.someTime()
	if sleep := m.wheel.sleep(m.now); sleep >= 0 && rapid.Bool().Draw(m.T, "as the loop sleeps") {
		by = sleep
	}
	m.move(by)
}

func (m *model) move(by int64) {
	m.now += by
	m.advancing = true
	for {
		m.panicked = false
		m.run()
		if !m.panicked {
			break
		}
	}
	m.advancing = false
}

// run advances the wheel, and survives a timer that panics as the loop does.
func (m *model) run() {
	defer func() {
		if m.panicked {
			_ = recover()
		}
	}()
	m.wheel.advance(m.now)
}

// Expired checks the timer against the model, and may change any other, or panic.
func (m *model) Expired(t *Timer) {
	i := m.index[t]
	switch {
	case !m.advancing:
		m.Fatalf("timer %d fired while no time passed", i)
	case m.deadlines[i] == 0:
		m.Fatalf("timer %d fired though it was stopped or had fired", i)
	case m.deadlines[i] > m.now:
		m.Fatalf("timer %d fired %v early", i, time.Duration(m.deadlines[i]-m.now))
	case t.Armed():
		m.Fatalf("timer %d is armed while it fires", i)
	}
	m.deadlines[i] = 0
	if m.quiet {
		return
	}
	for range rapid.IntRange(0, 2).Draw(m.T, "changes on expiry") {
		m.change()
	}
	if rapid.IntRange(0, 9).Draw(m.T, "panic") == 0 {
		m.panicked = true
		panic("a timer's owner")
	}
}

// check looks for timers that are late, a sleep that is too long, and lists that do not hang together.
func (m *model) check() {
	sleep := m.wheel.sleep(m.now)
	for i, deadline := range m.deadlines {
		if armed := deadline != 0; armed != m.timers[i].Armed() {
			m.Fatalf("timer %d: armed %v, in the model %v", i, !armed, armed)
		}
		if deadline == 0 {
			continue
		}
		if m.now > deadline+tick {
			m.Fatalf("timer %d is %v late", i, time.Duration(m.now-deadline))
		}
		if sleep < 0 || m.now+sleep > deadline+tick {
			m.Fatalf("timer %d is due in %v and the loop would sleep for %v", i, time.Duration(deadline-m.now), time.Duration(sleep))
		}
	}
	if err := m.wheel.verify(); err != nil {
		m.Fatal(err)
	}
}

// verify returns what is wrong with the links of the wheel.
func (w *wheel) verify() error {
	linked := 0
	for i := range int64(wheelSlots) {
		if marked := w.used[i/64]&(1<<(i%64)) != 0; marked != (w.slots[i] != nil) {
			return fmt.Errorf("slot %d: marked %v, empty %v", i, marked, w.slots[i] == nil)
		}
		var before *Timer
		for t := w.slots[i]; t != nil; before, t = t, t.next {
			linked++
			switch {
			case t.prev != before:
				return fmt.Errorf("slot %d: a timer does not know the one before it", i)
			case t.due&(wheelSlots-1) != i:
				return fmt.Errorf("slot %d holds a timer that is due at tick %d", i, t.due)
			case t.due <= w.current:
				return fmt.Errorf("slot %d: tick %d is over, its timer was left", i, t.due)
			}
		}
	}
	if linked != w.linked {
		return fmt.Errorf("%d timers are linked, %d counted", linked, w.linked)
	}
	return nil
}

// expiry is the owner of timers whose expiry is all there is to tell.
type expiry func(t *Timer)

func (e expiry) Expired(t *Timer) { e(t) }

// The loop sleeps until a timer is due: neither past it nor in a busy wait.
func TestALoopWakesForItsTimers(t *testing.T) {
	r := start(t, Options{})
	fired := make(chan time.Duration, 1)
	var set int64 // in the loop's time, which is that of the turn's beginning
	timer := &Timer{}
	timer.Owner = expiry(func(*Timer) { fired <- time.Duration(r.Now() - set) })
	for range 5 {
		r.do(func() {
			set = r.Now()
			r.SetTimer(timer, 20*time.Millisecond)
		})
		if took := testnet.Receive(t, "the timer", fired); took < 20*time.Millisecond {
			t.Errorf("a timer of 20 ms fired after %v", took)
		}
	}
	r.do(func() { r.DropTimer(timer) })
}

// What every request does, push a timer back, is to cost nothing.
func TestSettingAndStoppingATimerAllocatesNothing(t *testing.T) {
	l := &Loop{}
	timer := &Timer{Owner: expiry(func(*Timer) {})}
	if n := testing.AllocsPerRun(1000, func() {
		l.now += int64(time.Millisecond)
		l.SetTimer(timer, time.Second)
		l.StopTimer(timer)
		l.SetTimer(timer, time.Minute)
		l.wheel.advance(l.now)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkPushATimerBack(b *testing.B) {
	l := &Loop{}
	timer := &Timer{Owner: expiry(func(*Timer) {})}
	b.ReportAllocs()
	for range b.N {
		l.now += 1000
		l.SetTimer(timer, time.Minute)
		l.StopTimer(timer)
	}
}
