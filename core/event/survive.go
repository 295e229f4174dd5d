package event

import (
	"fmt"
	"runtime/debug"
)

// failer is a source that can be given up after its handler has panicked.
type failer interface {
	fail(err error)
}

// step runs one step of the turn to its end, whatever the handlers do: one that panics loses its connection, and the step goes on behind it.
func (l *Loop) step(f func()) {
	for !l.survive(f) {
	}
	l.current = nil
}

// survive runs f and reports whether it returned. The cost of the recovery is paid once a step, not once an event.
func (l *Loop) survive(f func()) (returned bool) {
	defer func() {
		if returned {
			return
		}
		p := recover()
		l.opts.Logger.Error("BUG: a handler panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		if l.opts.OnPanic != nil {
			l.opts.OnPanic()
		}
		culprit := l.current
		l.current = nil
		if l.ring != nil && l.ring.prepared > 0 { // before its handler writes to, or closes, a connection for which a call is prepared
			l.makeCalls()
		}
		if c, ok := culprit.(failer); ok {
			// Its handler may be in no state to be called: then it is closed without a word.
			defer func() {
				if recover() != nil {
					if c, ok := culprit.(*Conn); ok {
						c.Close()
					}
				}
			}()
			c.fail(fmt.Errorf("event: handler panicked: %v", p))
		}
	}()
	f()
	return true
}
