// Package testnet is what tests of sockets share: waiting for a condition without sleeping a guessed time, and failing on what a test has left behind.
package testnet

import (
	"testing"
	"time"
)

// Patience is how long a test waits for what should be there in a moment. It only decides how late a failing test fails, so it is long enough for a
// machine that is busy with something else.
const Patience = 60 * time.Second

// Await returns once cond is true, and fails the test when that has not happened within [Patience]. what completes "still waiting for …". It is
// for the test's own goroutine.
func Await(t testing.TB, what string, cond func() bool) {
	t.Helper()
	if !until(Patience, cond) {
		t.Fatalf("still waiting for %s", what)
	}
}

// Receive returns the next value of ch, and fails the test when none has come within [Patience].
func Receive[T any](t testing.TB, what string, ch <-chan T) T {
	t.Helper()
	late := time.NewTimer(Patience)
	defer late.Stop()
	select {
	case v := <-ch:
		return v
	case <-late.C:
		t.Fatalf("still waiting for %s", what)
		panic("unreachable")
	}
}

// until asks again and again whether cond is true, and gives up after a while.
func until(patience time.Duration, cond func() bool) bool {
	deadline := time.Now().Add(patience)
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for !cond() {
		if time.Now().After(deadline) {
			return false
		}
		<-again.C
	}
	return true
}
