package router

import "strings"

// MaxParams is how many named parts a pattern may have. The longest identifiers of published APIs (Azure's resource paths) have
// fewer than ten; sixteen spans are 128 bytes of every Match.
const MaxParams = 16

// Params are the named parts of a matched path. Values alias the path of the query and are valid as long as it is.
type Params struct {
	names []string // of the pattern
	path  []byte
	spans [MaxParams]span
}

type span struct{ from, to uint32 }

// Len returns how many there are.
func (p *Params) Len() int { return len(p.names) }

// At returns number i, in the order of the pattern.
func (p *Params) At(i int) (name string, value []byte) {
	s := p.spans[:len(p.names)][i]
	return p.names[i], p.path[s.from:s.to:s.to]
}

// Get returns the one with that name and whether there is one. The value of a *name may be empty.
func (p *Params) Get(name string) ([]byte, bool) {
	for i, n := range p.names {
		if n == name {
			_, value := p.At(i)
			return value, true
		}
	}
	return nil, false
}

// capture sets the parameters of a path that is known to match. Doing it afterwards keeps the search free of it, and only the
// winner pays.
func (p *Params) capture(pattern *Pattern, path []byte) {
	p.names, p.path = pattern.names, path
	at, last := 0, len(pattern.runs)-1
	for i, run := range pattern.runs[:last] {
		at += len(run)
		end := at + segment(path[at:])
		p.spans[i] = span{uint32(at), uint32(end)}
		at = end
	}
	if len(pattern.names) > last {
		p.spans[last] = span{uint32(at + len(pattern.runs[last])), uint32(len(path))}
	}
}

func checkName(name string, names []string) error {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
	if strings.Trim(name, letters) != "" {
		return errPatternName
	}
	for _, n := range names {
		if n == name {
			return errPatternTwice
		}
	}
	if len(names) == MaxParams {
		return errPatternParams
	}
	return nil
}
