package etcd

import "sluice/control"

// pending collects changes for one batch: of several to one key it keeps the last.
type pending struct {
	changes []control.Change
	index   map[string]int // place of each key in changes; made when there is more than one
}

// add takes one more change.
func (p *pending) add(c control.Change) {
	if len(p.changes) == 1 && p.index == nil {
		p.index = map[string]int{p.changes[0].Key: 0}
	}
	if at, ok := p.index[c.Key]; ok {
		p.changes[at] = c
		return
	}
	if p.index != nil {
		p.index[c.Key] = len(p.changes)
	}
	p.changes = append(p.changes, c)
}

// take returns the changes, which belong to the caller from then on, and begins anew.
func (p *pending) take() []control.Change {
	out := p.changes
	*p = pending{}
	return out
}
