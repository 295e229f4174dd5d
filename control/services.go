package control

import (
	"cmp"
	"slices"

	"sluice/upstream"
)

// services is the services that are named: by a route, or by a configuration of their own. Nodes of others are kept for the day that they are. Each
// named service has an index into the snapshot's list for as long as it is named.
type services struct {
	registry *upstream.Registry
	list     []*upstream.Service // by index; nil where the index is free
	shared   bool                // a snapshot has list: copy it before the next change
	free     []int               // indices that may be given again
	index    map[string]int      // by name
	routes   map[string]int      // by name: how many routes lead there
	configs  map[string]*upstream.Config
	nodes    map[string]*node       // by key
	members  map[string]*membership // by name
	dirty    map[string]bool        // names to bring up to date

	certificates map[string]*Certificate // of the store, by id; not written here
}

// node is one registered node.
type node struct {
	service  string
	revision int64
	in       bool // status 1
	spec     upstream.NodeSpec
}

// membership is where the nodes of one service are.
type membership struct {
	keys  map[string][]string // by address: of the nodes there, of which there is one but for a moment
	order []string            // the addresses, sorted: thousands of them are not sorted again because one has changed
}

func (m *membership) add(address, key string) {
	if m.keys[address] == nil {
		at, _ := slices.BinarySearch(m.order, address)
		m.order = slices.Insert(m.order, at, address)
	}
	m.keys[address] = append(m.keys[address], key)
}

func (m *membership) remove(address, key string) {
	keys := slices.DeleteFunc(m.keys[address], func(k string) bool { return k == key })
	if m.keys[address] = keys; len(keys) > 0 {
		return
	}
	delete(m.keys, address)
	if at, found := slices.BinarySearch(m.order, address); found {
		m.order = slices.Delete(m.order, at, at+1)
	}
}

// at returns the keys of the nodes at an address. m may be nil.
func (m *membership) at(address string) []string {
	if m == nil {
		return nil
	}
	return m.keys[address]
}

func newServices(registry *upstream.Registry) services {
	return services{
		registry: registry,
		index:    make(map[string]int),
		routes:   make(map[string]int),
		configs:  make(map[string]*upstream.Config),
		nodes:    make(map[string]*node),
		members:  make(map[string]*membership),
		dirty:    make(map[string]bool),
	}
}

// use notes one more route to a service and returns its index.
func (s *services) use(name string) int {
	s.routes[name]++
	return s.place(name)
}

// release notes one route less.
func (s *services) release(name string) {
	if s.routes[name]--; s.routes[name] == 0 {
		delete(s.routes, name)
		s.dirty[name] = true
	}
}

// place returns the index of a service that is named now.
func (s *services) place(name string) int {
	i, ok := s.index[name]
	if ok {
		return i
	}
	if n := len(s.free); n > 0 {
		i, s.free = s.free[n-1], s.free[:n-1]
	} else {
		s.own()
		i = len(s.list)
		s.list = append(s.list, nil)
	}
	s.index[name] = i
	s.dirty[name] = true
	return i
}

// configure replaces the configuration of a service; nil takes it away.
func (s *services) configure(name string, config *upstream.Config) {
	s.dirty[name] = true
	if config == nil {
		delete(s.configs, name)
		return
	}
	s.configs[name] = config
	s.place(name)
}

// register adds or replaces the node of a key.
func (s *services) register(key string, revision int64, n *Node) {
	now := &node{n.ServiceName, revision, *n.Status == 1, upstream.NodeSpec{Upstream: n.Upstream, Weight: *n.Weight, Metadata: n.Metadata}}
	if was := s.nodes[key]; was != nil && was.service == now.service && was.spec.Upstream == now.spec.Upstream {
		s.nodes[key] = now
		s.touch(now.service)
		return
	}
	s.unregister(key)
	s.nodes[key] = now
	m := s.members[now.service]
	if m == nil {
		m = &membership{keys: make(map[string][]string)}
		s.members[now.service] = m
	}
	m.add(now.spec.Upstream, key)
	s.touch(now.service)
}

// renew notes that the value of a node was written again. That makes a difference only to which of two keys with the same address counts.
func (s *services) renew(key string, revision int64) {
	n := s.nodes[key]
	if n == nil || n.revision == revision {
		return
	}
	n.revision = revision
	if len(s.members[n.service].at(n.spec.Upstream)) > 1 {
		s.touch(n.service)
	}
}

// unregister removes the node of a key.
func (s *services) unregister(key string) {
	was := s.nodes[key]
	if was == nil {
		return
	}
	delete(s.nodes, key)
	m := s.members[was.service]
	if m.remove(was.spec.Upstream, key); len(m.order) == 0 {
		delete(s.members, was.service)
	}
	s.touch(was.service)
}

// touch marks a service whose nodes have changed. One that nobody names is not in any snapshot, and so not different.
func (s *services) touch(name string) {
	if _, named := s.index[name]; named {
		s.dirty[name] = true
	}
}

// update makes the view of a service anew, or forgets one that nobody names any more. It reports whether there was anything to do.
func (s *services) update(name string) bool {
	i, placed := s.index[name]
	if !placed {
		return false
	}
	s.own()
	if s.routes[name] == 0 && s.configs[name] == nil {
		s.registry.Remove(name)
		s.list[i] = nil
		s.free = append(s.free, i)
		delete(s.index, name)
		return true
	}
	s.list[i] = s.registry.Update(name, s.resolved(name), s.discovered(name))
	return true
}

// resolved returns the configuration of a service with the certificate that it names, nil where it has none. Where that certificate is missing, nodes are shown none.
func (s *services) resolved(name string) *upstream.Config {
	config := s.configs[name]
	if config == nil || config.TLS == nil || config.TLS.Certificate == "" {
		return config
	}
	full, secure := *config, *config.TLS
	if c := s.certificates[secure.Certificate]; c != nil {
		secure.ClientCert, secure.ClientKey = c.Cert, c.Key
	}
	full.TLS = &secure
	return &full
}

// touchCertificate marks the services that show a certificate to their nodes.
func (s *services) touchCertificate(id string) {
	for name, config := range s.configs {
		if config.TLS != nil && config.TLS.Certificate == id {
			s.dirty[name] = true
		}
	}
}

// discovered lists the nodes of a service in the order of their addresses. Where several keys have the same address, the one written last counts, so that a node which registers
// again under another key is not there twice.
func (s *services) discovered(name string) []upstream.NodeSpec {
	m := s.members[name]
	if m == nil {
		return nil
	}
	specs := make([]upstream.NodeSpec, 0, len(m.order))
	for _, address := range m.order {
		keys := m.keys[address]
		latest := s.nodes[keys[0]]
		if len(keys) > 1 {
			latest = s.nodes[slices.MaxFunc(keys, s.compareAge)]
		}
		switch {
		case latest.in:
			specs = append(specs, latest.spec)
		case s.static(name, address):
			// Discovery's word counts: without one, the configuration would bring the node back in.
			specs = append(specs, upstream.NodeSpec{Upstream: address})
		}
	}
	return specs
}

// compareAge puts the key that was written later behind the other.
func (s *services) compareAge(a, b string) int {
	return cmp.Or(cmp.Compare(s.nodes[a].revision, s.nodes[b].revision), cmp.Compare(a, b))
}

// static reports whether the configuration of a service names the address.
func (s *services) static(name, address string) bool {
	config := s.configs[name]
	return config != nil && slices.ContainsFunc(config.Nodes, func(n upstream.NodeConfig) bool { return n.Upstream == address })
}

// view returns the list for a snapshot.
func (s *services) view() []*upstream.Service {
	s.shared = true
	return s.list
}

// own makes the list ours to change again.
func (s *services) own() {
	if s.shared {
		s.list = slices.Clone(s.list)
		s.shared = false
	}
}

func (s *services) len() int { return len(s.index) }
