//go:build !race

// The race detector makes sync.Pool forget at random, and so regexp and the evaluator allocate.

package when

import (
	"testing"
)

// The package comment: the usual comparisons allocate nothing.
func TestUsualConditionsAllocateNothing(t *testing.T) {
	v := &fixed{[]byte("value")}
	for _, source := range []string{
		`header('x-canary') == 'value' && ip in ['10.0.0.0/8']`,
		`method in ['GET', 'value'] and not (path startsWith '/a') and host != 'b' and ip != '10.0.0.1'`,
		`query('a') contains 'al' && cookie('b') endsWith 'e' && path matches '^v.*e$'`,
	} {
		p, err := Compile(source)
		if err != nil {
			t.Fatal(err)
		}
		if !p.Match(v) {
			t.Fatalf("%s is false", source)
		}
		if n := testing.AllocsPerRun(100, func() { p.Match(v) }); n != 0 {
			t.Errorf("%s: %v allocations", source, n)
		}
	}
}
