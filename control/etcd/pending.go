package etcd

import "sluice/control"

// pending collects changes for one batch: of several to one key it keeps the last.
type pending struct {
	changes []pendingChange
	index   map[string]int // place of each key in changes; made when there is more than one
}

type pendingChange struct {
	control.Change
	had bool // the sink has the key
}

// add takes one more change; had tells whether the key was there before it.
func (p *pending) add(c control.Change, had bool) {
	if len(p.changes) == 1 && p.index == nil {
		p.index = map[string]int{p.changes[0].Key: 0}
	}
	if at, ok := p.index[c.Key]; ok {
		p.changes[at].Change = c
		return
	}
	if p.index != nil {
		p.index[c.Key] = len(p.changes)
	}
	p.changes = append(p.changes, pendingChange{c, had})
}

// take returns the changes and begins anew. A key that came and went since the last time is not among them.
func (p *pending) take() []control.Change {
	var out []control.Change
	for _, c := range p.changes {
		if c.had || !c.Deleted {
			out = append(out, c.Change)
		}
	}
	*p = pending{}
	return out
}
