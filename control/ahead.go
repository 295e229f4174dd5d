package control

import (
	"sync"

	"github.com/cespare/xxhash/v2"

	"sluice/internal/problem"
)

// Most of the time that a full read takes goes into reading and compiling routes, and each of them depends on nothing but its value. A large batch is compiled by
// several goroutines before it is worked in: as many as there are processors beside those of the loops (see GOMAXPROCS in docs/adr).
const (
	compilers    = 2
	aheadAtLeast = 1000 // changes; below, the goroutines are not worth it
)

// compiled is what became of a route.
type compiled struct {
	rule     rule
	enabled  bool
	problems problem.Problems
}

// ahead is the routes of a batch that are compiled already, by key.
type ahead map[string]compiled

// compileAhead compiles the routes among changes whose value is new. Nothing may change the engine meanwhile.
func (e *Engine) compileAhead(changes []Change) ahead {
	if len(changes) < aheadAtLeast {
		return nil
	}
	parts := make([]ahead, compilers)
	var working sync.WaitGroup
	for n := range parts {
		parts[n] = make(ahead)
		working.Go(func() {
			for i := n; i < len(changes); i += compilers {
				e.compileOne(&changes[i], parts[n])
			}
		})
	}
	working.Wait()
	all := parts[0]
	for _, part := range parts[1:] {
		for key, one := range part {
			all[key] = one
		}
	}
	return all
}

func (e *Engine) compileOne(c *Change, into ahead) {
	kind, id, ok := SplitKey(c.Key)
	if !ok || kind != Routes || c.Deleted {
		return
	}
	if before, known := e.documents[c.Key]; known && before.hash == xxhash.Sum64(c.Value) {
		return
	}
	var one compiled
	_, stack := guarded(func() problem.Problems {
		one.rule, one.enabled, one.problems = compileRoute(id, c.Value, e.kinds)
		return nil
	})
	if stack == nil { // else it will panic once more where that is dealt with
		into[c.Key] = one
	}
}

// compile is compileRoute, or what is compiled already.
func (w *work) compile(id string, c *Change) (rule, bool, problem.Problems) {
	if one, ok := w.ahead[c.Key]; ok {
		delete(w.ahead, c.Key)
		return one.rule, one.enabled, one.problems
	}
	return compileRoute(id, c.Value, w.engine.kinds)
}
