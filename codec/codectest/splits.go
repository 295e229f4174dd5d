// Package codectest runs a parser over an input that arrives in pieces, in every way it can be cut in two and in small steps, to show that
// the cuts change nothing. For tests of the codecs.
package codectest

import "testing"

// Run is one run of a parser. It is called with longer and longer beginnings of the input, each in memory of its own that ends where the
// beginning does, so that a look beyond it panics. It returns what came out so far, and done when more input cannot
// change that.
type Run func(buf []byte) (outcome string, done bool)

// Splits runs a parser over in: whole, in steps of one, two and three bytes, and cut in two at every point. start begins a new run. It returns the outcome of the whole, and fails the
// test where another one differs.
func Splits(tb testing.TB, in []byte, start func() Run) string {
	tb.Helper()
	want, _ := start()(exact(in))

	for step := 1; step <= 3; step++ {
		for first := range step {
			if got := inSteps(in, first, step, start()); got != want {
				tb.Errorf("steps of %d from %d: %s\nwhole: %s\ninput: %q", step, first, got, want, in)
			}
		}
	}
	for cut := 1; cut < len(in); cut++ {
		run := start()
		got, done := run(exact(in[:cut]))
		if !done {
			got, _ = run(exact(in))
		}
		if got != want {
			tb.Errorf("cut at %d: %s\nwhole: %s\ninput: %q", cut, got, want, in)
		}
	}
	return want
}

// inSteps runs over in as it grows by step bytes at a time, beginning with first bytes.
func inSteps(in []byte, first, step int, run Run) (outcome string) {
	for n := min(first, len(in)); ; n = min(n+step, len(in)) {
		var done bool
		if outcome, done = run(exact(in[:n])); done || n == len(in) {
			return outcome
		}
	}
}

// exact returns a copy of b with no spare capacity.
func exact(b []byte) []byte {
	c := make([]byte, len(b))
	copy(c, b)
	return c[:len(c):len(c)]
}
