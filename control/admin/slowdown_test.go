package admin

import (
	"fmt"
	"testing"
	"time"
)

func TestTheWaitGrowsAndIsBounded(t *testing.T) {
	c := newClock()
	s := slowdown{longest: 30 * time.Second, now: c.Now}
	for i, want := range []time.Duration{0, 0, 0, 1, 2, 4, 8, 16, 30, 30} {
		s.fail("a")
		if got := s.wait("a"); got != want*time.Second {
			t.Errorf("after %d failures: %v, want %v", i+1, got, want*time.Second)
		}
	}
	if s.wait("b") != 0 {
		t.Error("somebody else waits too")
	}
	c.pass(29 * time.Second)
	if got := s.wait("a"); got != time.Second {
		t.Errorf("29 s later: %v", got)
	}
	s.succeed("a")
	if s.wait("a") != 0 || len(s.failed) != 0 {
		t.Error("a success is not the end of it")
	}
	for range 5 {
		s.fail("a")
	}
	c.pass(forgetAfter + time.Second)
	s.fail("a")
	if s.wait("a") != 0 {
		t.Error("old failures still count")
	}
	for i := range 2 * maxSlowed {
		s.fail(fmt.Sprint(i))
	}
	last := fmt.Sprint(2*maxSlowed - 1)
	if n := len(s.failed) + len(s.before); n > maxSlowed || n < maxSlowed/2 || s.of(last).count != 1 {
		t.Errorf("%d are remembered; the last: %+v", n, s.of(last))
	}
	for range freeFailures {
		s.fail(last)
	}
	if s.wait(last) != time.Second {
		t.Errorf("the last waits for %v", s.wait(last))
	}
}
