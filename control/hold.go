package control

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sluice/core/observe"
	"sluice/upstream"
)

// Holder stands between a store and an engine and keeps nodes in force that have not gone, although the store says so.
//
// When etcd is in trouble, or the network to it, the leases of nodes end that are as well as ever: many at once, and perhaps all of a service. A service that loses more
// than half of its nodes within a minute, by the ends of leases, therefore keeps those that its health checks say are well. Each is let go when
//
//	it is not well       its checks say so, or there are none any more
//	it was deleted       its lease lives, so somebody has removed the key alone
//	its lease was alone  two seconds later, if no other lease has ended within that minute and the store is in reach: then whoever renewed it has died, and nothing else has
//	                     happened. It comes back if another lease ends in that minute after all
//	time is up           ten minutes later
//	it is registered     again, and then it is in force anyway
//
// A service without probes loses its nodes with their leases: nobody knows better. A node with weight 0 or status 0 has said that it goes, and goes. So does
// one that is deleted and was under no lease.
type Holder struct {
	options HolderOptions
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex // guards all below, and the engine's Apply; taken before the engine's and the registry's own
	revision int64
	departed map[string]*heldNode // by key: let go lately, by the ends of leases
	ended    map[string]leaseEnd  // by key, lately; whatever has become of the node
	held     map[string]*heldNode // by key
	checking bool                 // a goroutine looks at them

	status atomic.Pointer[[]HeldNode]
}

// HolderOptions is what a [Holder] works with. Engine, Stats and Health are needed.
type HolderOptions struct {
	Engine     *Engine
	Stats      *observe.Registry
	Health     func() []upstream.NodeStatus                                 // what the checks say
	LeaseEnded func(ctx context.Context, lease int64) (ended bool, _ error) // asks the store; nil = it cannot be asked
	StoreLost  func() time.Time                                             // when the store was last out of reach; nil, or zero = it never was
	Log        *slog.Logger                                                 // nil = nobody is told

	period, most, alone, window time.Duration
}

const (
	holdWindow  = time.Minute      // losses within it count together: four leases of 15 s
	holdMost    = 10 * time.Minute // by then somebody has come to look
	holdAlone   = 2 * time.Second  // others follow by then: etcd ends leases twice a second, and those of 15 s are renewed every five, at any time
	holdPeriod  = time.Second      // between two looks
	holdTimeout = time.Second      // of a question to the store
)

// HeldNode is one node that is in force although its key is gone.
type HeldNode struct {
	Key      string
	Service  string
	Upstream string
	Since    time.Time
	Until    time.Time // it is let go by then
}

// heldNode is one node whose key has gone by the end of its lease.
type heldNode struct {
	key     string
	lease   int64
	service string
	spec    upstream.NodeSpec
	at      time.Time // it went
	until   time.Time // it is held so long; the zero value while it is not
	alone   bool      // no other lease has ended lately
	asked   bool      // the store was asked about the lease
}

// NewHolder returns a holder. Close ends it; the engine may be used by nobody else meanwhile.
func NewHolder(o HolderOptions) *Holder {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.period, o.most, o.window = cmp.Or(o.period, holdPeriod), cmp.Or(o.most, holdMost), cmp.Or(o.window, holdWindow)
	o.alone = cmp.Or(o.alone, holdAlone)
	h := &Holder{options: o, departed: make(map[string]*heldNode), ended: make(map[string]leaseEnd), held: make(map[string]*heldNode)}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	h.status.Store(new([]HeldNode))
	return h
}

// Close ends the looking. What is held stays in force.
func (h *Holder) Close() {
	h.cancel()
	h.running.Wait()
}

// Held returns the nodes that are held, by key. Any goroutine may call it.
func (h *Holder) Held() []HeldNode { return *h.status.Load() }

// Apply implements [Sink].
func (h *Holder) Apply(b Batch) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.revision = b.Revision
	if b.Full { // the engine begins anew, and so does this
		clear(h.held)
		clear(h.departed)
		clear(h.ended)
	}
	b.Changes = h.filter(b.Changes)
	h.options.Engine.Apply(b)
	h.tell()
	if len(h.held) > 0 && !h.checking && h.ctx.Err() == nil {
		h.checking = true
		h.running.Go(h.watch)
	}
}

// filter returns the changes without the ends of nodes that are held, and with what brings those back that went a moment before them.
func (h *Holder) filter(changes []Change) []Change {
	losing := h.note(changes)
	if len(losing) == 0 {
		return changes
	}
	alone := h.alone()
	var back []Change
	comesBack := func(n *heldNode) {
		back = append(back, Change{Entry: Entry{Key: n.key, Value: n.value(), ModRevision: h.revision}})
	}
	if !alone { // nor were those before
		h.notAlone(comesBack)
	}
	going := make(map[string]bool)
	for i := range changes {
		if changes[i].Deleted {
			going[changes[i].Key] = true
		}
	}
	health, kept := sync.OnceValue(h.health), make(map[string]bool)
	for service, gone := range h.gone(losing) {
		if 2*len(gone) <= len(gone)+h.left(service, going) {
			continue
		}
		for _, n := range h.hold(service, gone, health(), alone) {
			kept[n.key] = true
			if h.options.Engine.services.nodes[n.key] == nil {
				comesBack(n)
			}
		}
	}
	if len(kept)+len(back) == 0 {
		return changes
	}
	changes = slices.DeleteFunc(slices.Clone(changes), func(c Change) bool { return c.Deleted && kept[c.Key] })
	return append(changes, back...)
}

// note brings departed and held up to date with a batch that is about to be applied, and returns the services that lose nodes by the ends of leases.
func (h *Holder) note(changes []Change) (losing map[string]bool) {
	now := time.Now()
	for key, n := range h.departed {
		if now.Sub(n.at) > h.options.window {
			delete(h.departed, key)
		}
	}
	for key, end := range h.ended {
		if now.Sub(end.at) > h.options.window {
			delete(h.ended, key)
		}
	}
	losing = make(map[string]bool)
	for i := range changes {
		c := &changes[i]
		if kind, _, ok := SplitKey(c.Key); !ok || kind != Nodes {
			continue
		}
		delete(h.departed, c.Key)
		if n := h.held[c.Key]; n != nil {
			delete(h.held, c.Key)
			h.options.Log.Info("node is registered again", "key", c.Key, "held", now.Sub(n.at).Round(time.Millisecond).String())
		}
		if n := h.options.Engine.services.nodes[c.Key]; c.Deleted && c.Lease != 0 && n != nil && n.in && n.spec.Weight > 0 {
			h.departed[c.Key] = &heldNode{key: c.Key, lease: c.Lease, service: n.service, spec: n.spec, at: now}
			h.ended[c.Key] = leaseEnd{c.Lease, now}
			losing[n.service] = true
		}
	}
	return losing
}

// gone returns the nodes of some services that have gone lately.
func (h *Holder) gone(services map[string]bool) map[string][]*heldNode {
	gone := make(map[string][]*heldNode)
	for _, n := range h.departed {
		if services[n.service] {
			gone[n.service] = append(gone[n.service], n)
		}
	}
	for _, nodes := range gone {
		slices.SortFunc(nodes, func(a, b *heldNode) int { return cmp.Compare(a.key, b.key) })
	}
	return gone
}

// left counts the nodes of a service that are in force and not about to go, but for those that are held.
func (h *Holder) left(service string, going map[string]bool) int {
	s, count := &h.options.Engine.services, 0
	stays := func(key string) bool {
		n := s.nodes[key]
		return n.in && n.spec.Weight > 0 && !going[key] && h.held[key] == nil
	}
	if m := s.members[service]; m != nil {
		for _, keys := range m.keys {
			if slices.ContainsFunc(keys, stays) {
				count++
			}
		}
	}
	if config := s.configs[service]; config != nil {
		count += len(config.Nodes)
	}
	return count
}

// keep holds a node.
func (h *Holder) keep(n *heldNode, alone bool) {
	n.alone, n.until = alone, n.at.Add(h.options.most)
	if alone {
		n.until = n.at.Add(h.options.alone)
	}
	h.held[n.key] = n
}

// hold keeps nodes of a service that are well, and returns them: some are about to go; others have gone already and come back, for the checks to look at. Where none of
// the former is known to be well, nothing is kept.
func (h *Holder) hold(service string, nodes []*heldNode, health map[nodeIdentity]string, alone bool) []*heldNode {
	well := func(n *heldNode) bool { return health[n.id()] == healthy }
	inForce := func(n *heldNode) bool { return h.options.Engine.services.nodes[n.key] != nil }
	if !slices.ContainsFunc(nodes, func(n *heldNode) bool { return inForce(n) && well(n) }) {
		return nil
	}
	kept := slices.DeleteFunc(nodes, func(n *heldNode) bool { return inForce(n) && !well(n) })
	for _, n := range kept {
		delete(h.departed, n.key)
		h.keep(n, alone)
	}
	h.options.Stats.CountHold()
	h.options.Log.Warn("most nodes of a service have lost their leases at once: they are kept while they are well", "service", service, "nodes", len(kept),
		"alone", alone)
	return kept
}

// healthy is the word of upstream.NodeStatus for a node that its checks say is well.
const healthy = "healthy"

// health returns what the probes say of each node that has them. One whose name has several addresses is well while one of them is.
func (h *Holder) health() map[nodeIdentity]string {
	words := make(map[nodeIdentity]string)
	for _, s := range h.options.Health() {
		if !s.Probed {
			continue // healthy is then what has had no failed request, and may be dead
		}
		if id := (nodeIdentity{s.Service, s.Upstream}); words[id] != healthy {
			words[id] = s.Health
		}
	}
	return words
}

type nodeIdentity struct{ service, upstream string }

func (n *heldNode) id() nodeIdentity { return nodeIdentity{n.service, n.spec.Upstream} }

// value returns the node as it is stored.
func (n *heldNode) value() []byte {
	value, err := json.Marshal(Node{ServiceName: n.service, Upstream: n.spec.Upstream, Weight: &n.spec.Weight, Metadata: n.spec.Metadata})
	if err != nil {
		panic("BUG: control: a node does not marshal: " + err.Error())
	}
	return value
}

// tell makes known what is held.
func (h *Holder) tell() {
	list := make([]HeldNode, 0, len(h.held))
	for _, n := range h.held {
		list = append(list, HeldNode{Key: n.key, Service: n.service, Upstream: n.spec.Upstream, Since: n.at, Until: n.until})
	}
	slices.SortFunc(list, func(a, b HeldNode) int { return cmp.Compare(a.Key, b.Key) })
	h.status.Store(&list)
	h.options.Stats.SetHeldNodes(len(list))
}

// watch looks at what is held, at once and then again and again, until nothing is.
func (h *Holder) watch() {
	ticker := time.NewTicker(h.options.period)
	defer ticker.Stop()
	for h.look() {
		select {
		case <-ticker.C:
		case <-h.ctx.Done():
			return
		}
	}
}

// look looks at every held node once, lets go of those that are not to be kept, and reports whether any are left.
func (h *Holder) look() bool {
	h.mu.Lock()
	nodes := make([]*heldNode, 0, len(h.held))
	for _, n := range h.held {
		nodes = append(nodes, n)
	}
	h.mu.Unlock()
	health := h.health()
	reasons, asking := make([]string, len(nodes)), h.options.LeaseEnded != nil
	for i, n := range nodes {
		if reasons[i] = unwell(health[n.id()]); reasons[i] != "" || n.asked || !asking {
			continue
		}
		ended, err := h.ask(n)
		if asking = err == nil; asking && !ended { // a store that does not answer is left alone until the next round
			reasons[i] = notEnded
		}
	}
	return h.letGo(nodes, reasons)
}

// letGo lets go of those nodes for which there is a reason, or whose time is over, and reports whether any are held still.
func (h *Holder) letGo(nodes []*heldNode, reasons []string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lost() {
		for _, n := range h.held {
			h.keep(n, false)
		}
		h.tell()
	}
	var changes []Change
	for i, n := range nodes {
		reason := cmp.Or(reasons[i], h.over(n))
		if reason == "" || h.held[n.key] != n || h.ctx.Err() != nil {
			continue // it may have been registered again meanwhile
		}
		delete(h.held, n.key)
		switch reasons[i] {
		case notEnded:
			delete(h.ended, n.key)
		case "":
			h.departed[n.key] = n // for as long as another lease may end beside its own
		}
		changes = append(changes, Change{Entry: Entry{Key: n.key, ModRevision: h.revision}, Deleted: true})
		h.options.Log.Warn("node is let go", "key", n.key, "reason", reason, "held", time.Since(n.at).Round(time.Millisecond).String())
	}
	if len(changes) > 0 {
		h.options.Engine.Apply(Batch{Revision: h.revision, Changes: changes})
		h.tell()
	}
	h.checking = len(h.held) > 0
	return h.checking
}

const notEnded = "its key was deleted, not its lease"

// unwell says why a node of which the checks say health is not to be kept, "" if it is.
func unwell(health string) string {
	switch health {
	case healthy:
		return ""
	case "":
		return "nobody checks whether it is well"
	}
	return "it is " + health
}

// ask asks the store whether the lease of a node has ended. Only the goroutine of watch touches what it notes in n.
func (h *Holder) ask(n *heldNode) (ended bool, err error) {
	ctx, cancel := context.WithTimeout(h.ctx, holdTimeout)
	defer cancel()
	ended, err = h.options.LeaseEnded(ctx, n.lease)
	n.asked = err == nil
	return ended, err
}

var _ Sink = (*Holder)(nil)
