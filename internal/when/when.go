// Package when evaluates the conditions of routes, such as
//
//	header('x-canary') == '1' && ip in ['10.0.0.0/8']
//
// # The language
//
// It is the language of expr-lang/expr, kept to what a condition needs:
//
//	method, host, path, ip          strings: the method as sent, the host in lower case without its port, the normalized path,
//	                                the client's address
//	header('n') query('n') cookie('n')   the first value with that name, "" where there is none
//	==  !=  <  <=  >  >=            comparison
//	in  not in                      a list of literals; for ip, a list of addresses and CIDRs
//	contains  startsWith  endsWith  on strings
//	matches                         a regular expression (RE2), a literal
//	and && or || not ! ?:           logic
//	+ - * / %                       numbers; + also on strings
//	len lower upper trim int string    functions
//
// A condition is checked when it is compiled: types, addresses, regular expressions, its size. What can still fail when a request is
// matched, such as int('x'), makes the condition false.
//
// # Cost
//
// The usual comparisons, a field on the left and a literal on the right, are compiled to functions on bytes: they allocate nothing. What else
// the language allows works on strings, which are made for it.
package when

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"
)

// View is what a condition sees of a request. Slices are only looked at, before Match returns. QueryValue and CookieValue help to
// implement it.
type View interface {
	Method() []byte
	Host() []byte              // as in the request; its port and the case do not count
	Path() []byte              // normalized, without the query
	Header(name string) []byte // the first value, name in any case; nil where there is none
	Query(name string) []byte  // the first value, decoded; nil where there is none
	Cookie(name string) []byte // the first value; nil where there is none
	IP() netip.Addr            // of the client
}

// Program is a compiled condition. It may be used by many goroutines at once.
type Program struct {
	program *vm.Program
}

// A condition is bounded in its text, and in the nodes of its tree, so that what is evaluated for a request costs microseconds: there are no
// loops in the language, so no node is visited twice. A list of a few hundred networks fits.
const (
	maxSource = 8 << 10
	maxNodes  = 1024
)

// Compile compiles a condition. Its errors name the column.
func Compile(source string) (*Program, error) {
	if len(source) > maxSource {
		return nil, fmt.Errorf("longer than %d bytes", maxSource)
	}
	tree, err := parser.Parse(source)
	if err != nil {
		return nil, readable(err)
	}
	if err := checkLanguage(tree.Node); err != nil {
		return nil, err
	}
	p := newPatcher()
	program, err := expr.Compile(source, expr.Env(struct{}{}), expr.AsBool(), expr.WarnOnAny(), expr.MaxNodes(maxNodes),
		expr.DisableAllBuiltins(), enableBuiltins, expr.Patch(p))
	if p.err != nil {
		return nil, p.err
	}
	if err != nil {
		return nil, readable(err)
	}
	return &Program{program: program}, nil
}

// machines are evaluators at rest. They hold no request: Match clears them.
var machines = sync.Pool{New: func() any { return &vm.VM{Stack: make([]any, 0, 8)} }}

// Match reports whether the condition holds for a request. An evaluation that fails or panics is false.
func (p *Program) Match(v View) (holds bool) {
	machine := machines.Get().(*vm.VM)
	defer func() {
		// The machine recovers panics of its own run; this is for those of v. It is not used again, since it may be half-way.
		if recover() != nil {
			holds = false
		}
	}()
	result, err := machine.Run(p.program, v)
	clear(machine.Stack[:cap(machine.Stack)])
	machines.Put(machine)
	holds, ok := result.(bool)
	return err == nil && ok && holds
}

// readable turns an error of the expr library, which draws the source over several lines, into one line.
func readable(err error) error {
	var at *file.Error
	if errors.As(err, &at) {
		return fmt.Errorf("column %d: %s", at.Column+1, at.Message)
	}
	return err
}
