package control

import "time"

// A lease that ends alone tells of who renewed it; several tell of the store.

// leaseEnd is the end of the lease of a node.
type leaseEnd struct {
	lease int64
	at    time.Time
}

// alone reports whether there is only one lease that has ended lately, and nothing else that speaks for trouble with the store.
func (h *Holder) alone() bool {
	lease := int64(0)
	for _, end := range h.ended {
		if lease != 0 && end.lease != lease {
			return false
		}
		lease = end.lease
	}
	return !h.lost()
}

// lost reports whether the store was out of reach lately.
func (h *Holder) lost() bool {
	lost := h.options.StoreLost
	return lost != nil && time.Since(lost()) <= h.options.window
}

// notAlone has what was taken for a lease that ended alone held as others are: what is held already, and what was let go and comes back.
func (h *Holder) notAlone(comesBack func(*heldNode)) {
	for _, n := range h.held {
		h.keep(n, false)
	}
	for key, n := range h.departed {
		if n.alone {
			delete(h.departed, key)
			h.keep(n, false)
			comesBack(n)
			h.options.Log.Warn("node comes back: its lease was not the only one that has ended", "key", key)
		}
	}
}

// over says why a node is held no longer, "" while it is. Only the goroutine of watch calls it.
func (h *Holder) over(n *heldNode) string {
	switch {
	case time.Now().Before(n.until):
		return ""
	case !n.alone || time.Since(n.at) > h.options.most:
		return "time is up"
	case !n.asked && h.options.LeaseEnded != nil: // the store is out of reach, and nobody knows what else has ended
		return ""
	}
	return "its lease alone has ended"
}
