package control

import (
	"slices"
	"sync"
)

// claims is the consumers in force by what requests name them by. The engine keeps it; any goroutine may ask.
type claims struct {
	mu  sync.RWMutex       // guards ids
	ids map[Claim][]string // in their order
}

// change puts one version of a consumer in the place of another; nil is none.
func (c *claims) change(id string, was, now *Consumer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if was != nil {
		for _, claim := range was.Claims() {
			c.remove(claim, id)
		}
	}
	if now == nil {
		return
	}
	for _, claim := range now.Claims() {
		at, _ := slices.BinarySearch(c.ids[claim], id)
		c.ids[claim] = slices.Insert(c.ids[claim], at, id)
	}
}

func (c *claims) remove(claim Claim, id string) {
	left := c.ids[claim]
	if at, found := slices.BinarySearch(left, id); found {
		left = slices.Delete(left, at, at+1)
	}
	if len(left) == 0 {
		delete(c.ids, claim)
	} else {
		c.ids[claim] = left
	}
}

// Claimants returns the ids of the consumers in force that have a claim, in their order and no more than most of them. Any goroutine may call it.
func (e *Engine) Claimants(claim Claim, most int) []string {
	c := &e.others.claims
	c.mu.RLock()
	defer c.mu.RUnlock()
	ids := c.ids[claim]
	return slices.Clone(ids[:min(len(ids), most)])
}
