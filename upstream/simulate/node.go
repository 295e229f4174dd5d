package simulate

import "time"

// condition is how a node is at a moment.
type condition uint8

const (
	well    condition = iota
	dead              // nobody listens: connecting is refused
	frozen            // connecting works, since the kernel does that, and nothing else happens
	failing           // every answer is a 500, and comes at once
)

// node is a queue in front of a number of servers.
type node struct {
	loop      *loop
	condition condition
	mean      time.Duration // of the time that one request takes
	slowness  float64       // by which that is multiplied
	servers   int

	busy    int
	waiting []*request // for a server
	stuck   []*request // that it had when it froze
	asked   int        // requests that have reached it
}

// request is one try as the node sees it.
type request struct {
	done  func(outcome)
	given bool // whoever asked has given up
}

// outcome is how a try ends.
type outcome uint8

const (
	answered outcome = iota
	refused
	reset
	erred // a 500
)

// overhead is what the network takes, there and back.
const overhead = 200 * time.Microsecond

// ask sends a request; done hears of its end, at once where nobody listens.
func (n *node) ask(r *request) {
	if n.condition == dead {
		n.loop.after(overhead, func() { r.end(refused) })
		return
	}
	n.asked++
	switch n.condition {
	case frozen:
		n.stuck = append(n.stuck, r)
	case failing:
		n.loop.after(overhead, func() { r.end(erred) })
	default:
		n.waiting = append(n.waiting, r)
		n.serve()
	}
}

func (r *request) end(o outcome) {
	if !r.given {
		r.given = true
		r.done(o)
	}
}

// serve gives the servers that are free what waits.
func (n *node) serve() {
	for n.condition == well && n.busy < n.servers && len(n.waiting) > 0 {
		r := n.waiting[0]
		n.waiting = n.waiting[1:]
		if r.given {
			continue
		}
		n.busy++
		took := time.Duration(float64(n.mean)*n.slowness/2) + n.loop.exponential(time.Duration(float64(n.mean)*n.slowness/2))
		n.loop.after(overhead+took, func() {
			n.busy--
			if n.condition == frozen {
				n.stuck = append(n.stuck, r)
				return
			}
			r.end(answered)
			n.serve()
		})
	}
}

// become changes how the node is. One that dies takes what it had with it; one that thaws goes on with it.
func (n *node) become(c condition) {
	n.condition = c
	had := append(n.stuck, n.waiting...)
	n.stuck = nil
	switch c {
	case dead:
		n.waiting = nil
		for _, r := range had {
			r.end(reset)
		}
	case frozen:
		n.stuck, n.waiting = had, nil
	default:
		n.waiting = had
		n.serve()
	}
}
