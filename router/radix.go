package router

import (
	"math"
	"slices"
	"strings"
	"sync/atomic"
)

// node is a node of a persistent radix tree from strings to *V; nil is the empty tree. A tree has one shape for one content,
// whatever was done to reach it: every node but the root has a value or two children, and children are sorted.
type node[V any] struct {
	prefix string     // of all keys here and below, after the parent's; empty at a root only
	labels labels     // first bytes of the children's prefixes
	value  *V         // of the key that ends here; nil is none
	kids   []*node[V] // one for each label, in order
	bounds bounds     // of all that is here and below
	edit   uint64     // the edit that made this node and may still change it
}

// bounds is what the search needs to know of a subtree before it enters it. Trees of host names and ids have none.
type bounds struct {
	top      int // highest priority
	branches int // most ways that a single path can take; at least 1
}

// get returns the value of key, or nil.
func (n *node[V]) get(key string) *V {
	for n != nil && strings.HasPrefix(key, n.prefix) {
		key = key[len(n.prefix):]
		if key == "" {
			return n.value
		}
		n = n.kid(key[0])
	}
	return nil
}

// kid returns the child whose prefix begins with c, or nil.
func (n *node[V]) kid(c byte) *node[V] {
	if n.labels.has(c) {
		return n.kids[n.labels.rank(c)]
	}
	return nil
}

// each calls visit for all keys and values in the order of the keys, until it returns false. The key is valid during the call.
func (n *node[V]) each(key []byte, visit func(key []byte, v *V) bool) bool {
	if n == nil {
		return true
	}
	key = append(key, n.prefix...)
	if n.value != nil && !visit(key, n.value) {
		return false
	}
	for _, kid := range n.kids {
		if !kid.each(key, visit) {
			return false
		}
	}
	return true
}

// edits counts them, so that no two edits of any tables have the same number.
var edits atomic.Uint64

// editor changes trees for one edit. A node of another edit may be part of a published table: it is copied before it is
// changed. One that this edit made is changed in place, which makes building a large table cheap. An editor is used by one
// goroutine.
type editor[V any] struct {
	edit    uint64
	measure func(*V) bounds // nil for trees that need none
}

// update returns the tree n with the value of key replaced by what change returns for it; nil stands for no value on both sides.
func (e editor[V]) update(n *node[V], key string, change func(*V) *V) *node[V] {
	if n == nil {
		return e.leaf(key, change(nil))
	}
	common := commonPrefix(n.prefix, key)
	if common < len(n.prefix) {
		return e.split(n, common, key, change)
	}
	if key = key[common:]; key != "" {
		return e.descend(n, key, change)
	}
	v := change(n.value)
	if v == n.value {
		return n
	}
	n = e.own(n)
	n.value = v
	return e.settle(n)
}

// leaf returns a tree of one key. The key is copied: it may be a small part of a large document.
func (e editor[V]) leaf(key string, v *V) *node[V] {
	if v == nil {
		return nil
	}
	n := &node[V]{prefix: strings.Clone(key), value: v, edit: e.edit}
	e.sum(n)
	return n
}

// split handles a key that leaves n within its prefix, after common bytes.
func (e editor[V]) split(n *node[V], common int, key string, change func(*V) *V) *node[V] {
	v := change(nil)
	if v == nil {
		return n
	}
	lower := e.own(n)
	upper := &node[V]{prefix: lower.prefix[:common], edit: e.edit}
	lower.prefix = lower.prefix[common:]
	upper.adopt(lower)
	if common == len(key) {
		upper.value = v
	} else {
		upper.adopt(e.leaf(key[common:], v))
	}
	e.sum(upper)
	return upper
}

// descend handles a key that goes on below n; key is what is left of it.
func (e editor[V]) descend(n *node[V], key string, change func(*V) *V) *node[V] {
	i := n.labels.rank(key[0])
	if !n.labels.has(key[0]) {
		kid := e.leaf(key, change(nil))
		if kid == nil {
			return n
		}
		n = e.own(n)
		n.adopt(kid)
		e.sum(n)
		return n
	}
	before, old := n.kids[i], n.kids[i].bounds
	kid := e.update(before, key, change)
	if kid == before && kid.bounds == old {
		return n // unchanged, or changed in place
	}
	n = e.own(n)
	if kid == nil {
		n.labels.flip(key[0])
		n.kids = slices.Delete(n.kids, i, i+1)
		return e.settle(n)
	}
	n.kids[i] = kid
	if kid.bounds != old {
		e.sum(n)
	}
	return n
}

// own returns n where this edit made it, and otherwise a copy that this edit may change.
func (e editor[V]) own(n *node[V]) *node[V] {
	if n.edit == e.edit {
		return n
	}
	c := *n
	c.kids = slices.Clone(n.kids)
	c.edit = e.edit
	return &c
}

// adopt adds a child that has no sibling with the same first byte. The list grows by one exactly: a table lives longer than it
// is edited.
func (n *node[V]) adopt(kid *node[V]) {
	i := n.labels.rank(kid.prefix[0])
	n.labels.flip(kid.prefix[0])
	kids := make([]*node[V], len(n.kids)+1)
	copy(kids, n.kids[:i])
	kids[i] = kid
	copy(kids[i+1:], n.kids[i:])
	n.kids = kids
}

// settle brings n, which is owned and may have lost a value or child, back into shape.
func (e editor[V]) settle(n *node[V]) *node[V] {
	if n.value == nil {
		switch len(n.kids) {
		case 0:
			return nil
		case 1:
			kid := e.own(n.kids[0])
			kid.prefix = n.prefix + kid.prefix
			return kid
		}
	}
	e.sum(n)
	return n
}

// sum works out the bounds of n from its value and children, of which there are at most 256.
func (e editor[V]) sum(n *node[V]) {
	if e.measure == nil {
		return
	}
	b := bounds{top: math.MinInt}
	for _, kid := range n.kids {
		b.top = max(b.top, kid.bounds.top)
		b.branches = max(b.branches, kid.bounds.branches)
	}
	if n.value != nil {
		v := e.measure(n.value)
		b.top = max(b.top, v.top)
		b.branches += v.branches
	}
	b.branches = max(b.branches, 1)
	n.bounds = b
}

func commonPrefix(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
