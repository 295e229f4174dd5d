// Package seed reads what ws-cloud-gateway has stored and says it in Sluice's own words.
//
// A gateway serves such a store as it is. This package is for those who want to leave it: the ids of all versions become the ones of today, plugins that are
// listed by name become objects with what they took from props, and what only its panel needed stays behind.
package seed

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sluice/control"
	"sluice/internal/problem"
	"sluice/internal/strict"
)

// Prefix is what the keys of such a store begin with, unless somebody has changed that.
const Prefix = "/my/cloud/"

// Item is what becomes of one key of the store.
type Item struct {
	From    string   // the key as it was, below its prefix
	Key     string   // and as it is to be
	Value   []byte   // what is to stand there; nil: it is not taken, for the reasons in Problems
	Changes []string // what is different, for people
	Skipped bool     // it is left out for good reason, which is in Changes

	Problems problem.Problems
	revision int64
}

// Options say what to do about what can be seen in two ways.
type Options struct {
	Leased bool // take nodes that are under a lease; without one they stay for ever
}

// Convert returns what becomes of every entry, nodes first, each kind in the order of keys. Of several keys that become one, that which was written last counts.
func Convert(entries []control.Entry, o Options) []Item {
	items := make([]Item, 0, len(entries))
	latest := make(map[string]int) // items by key
	for _, e := range entries {
		item := convert(e, o)
		item.From, item.revision = e.Key, e.ModRevision
		if item.Value != nil {
			if other, taken := latest[item.Key]; taken {
				loser := &items[other]
				if loser.revision > item.revision {
					loser = &item
				} else {
					latest[item.Key] = len(items)
				}
				loser.Value, loser.Skipped, loser.Changes = nil, true, []string{"another key has the same, written later"}
			} else {
				latest[item.Key] = len(items)
			}
		}
		items = append(items, item)
	}
	slices.SortStableFunc(items, func(a, b Item) int { return cmp.Compare(order(a.From), order(b.From)) })
	return items
}

// order puts what is pointed to before what points there.
func order(key string) int {
	kind, _, _ := control.SplitKey(key)
	return slices.Index([]control.Kind{control.Nodes, control.Services, control.Routes}, kind)
}

// convert turns one entry into an item.
func convert(e control.Entry, o Options) Item {
	kind, id, ok := control.SplitKey(e.Key)
	switch {
	case !ok:
		return Item{Skipped: true, Changes: []string{"not a resource"}}
	case kind != control.Routes && kind != control.Nodes:
		return asItIs(e, kind)
	case kind == control.Nodes && e.Leased && !o.Leased:
		return Item{Skipped: true, Changes: []string{"under a lease: whoever registers it must do so below the new prefix"}}
	}
	doc, err := strict.ParseJSON(e.Value)
	was := doc
	if err == nil && kind == control.Nodes {
		doc = control.UpdatedNode(id, doc)
	}
	if err == nil && doc.Kind != strict.Object {
		err = fmt.Errorf("wants an object, not %v", doc.Kind)
	}
	if err != nil {
		var item Item
		item.Problems.Under("", asProblem(err))
		return item
	}
	c := conversion{id: id, members: make(map[string]*strict.Node)}
	switch {
	case was == doc:
	case was.Kind == strict.Object:
		c.say("its status, which is neither 1 nor 0, is 0")
	default:
		c.say("service and address are in the value, which was the weight alone")
	}
	for _, m := range doc.Members {
		if _, twice := c.members[m.Key]; twice {
			c.problems.Add(m.Key, "given twice")
		}
		c.members[m.Key] = m.Value
		c.order = append(c.order, m.Key)
	}
	if kind == control.Routes {
		return c.route()
	}
	return c.node()
}

// asItIs takes a resource that ws-cloud-gateway knows nothing of, from a store that Sluice has served.
func asItIs(e control.Entry, kind control.Kind) Item {
	item := Item{Key: e.Key, Value: e.Value}
	if kind == control.Users {
		return Item{Skipped: true, Changes: []string{"accounts are made anew, with sluice user add"}}
	}
	if err := control.Check(e.Key, e.Value); err != nil {
		item.Value = nil
		item.Problems.Under("", err)
	}
	return item
}

func asProblem(err error) error { return problem.Problems{{Text: err.Error()}} }

// conversion is one document on its way.
type conversion struct {
	id       string
	members  map[string]*strict.Node
	order    []string // of the members
	changes  []string
	problems problem.Problems
}

func (c *conversion) say(format string, args ...any) {
	c.changes = append(c.changes, fmt.Sprintf(format, args...))
}

// text returns a member that is text, without white space around it.
func (c *conversion) text(key string) string {
	if n := c.members[key]; n != nil && n.Kind == strict.String {
		return strings.TrimSpace(n.Text)
	}
	return ""
}

// drop leaves members out that only ws-cloud-gateway and its panel use, and empty lists and objects.
func (c *conversion) drop(keys ...string) {
	var gone []string
	for _, key := range c.order {
		n := c.members[key]
		empty := n != nil && (n.Kind == strict.Null || n.Kind == strict.String && n.Text == "" || (n.Kind == strict.Object || n.Kind == strict.Array) && len(n.Members)+len(n.Items) == 0)
		if slices.Contains(keys, key) || empty {
			gone = append(gone, key)
			delete(c.members, key)
		}
	}
	if len(gone) > 0 {
		c.say("left out: %s", strings.Join(gone, ", "))
	}
}

// describe makes a remark the description, if there is none yet.
func (c *conversion) describe() {
	remark := c.text("remark")
	if remark == "" || c.text("desc") != "" {
		return
	}
	c.put("desc", &strict.Node{Kind: strict.String, Text: remark})
	delete(c.members, "remark")
	c.say("remark is desc")
}

// put sets a member.
func (c *conversion) put(key string, n *strict.Node) {
	if _, there := c.members[key]; !there {
		c.order = append(c.order, key)
	}
	c.members[key] = n
}

// trim takes white space off a member that is text.
func (c *conversion) trim(key string) {
	if n := c.members[key]; n != nil && n.Kind == strict.String && strings.TrimSpace(n.Text) != n.Text {
		c.members[key] = &strict.Node{Kind: strict.String, Text: strings.TrimSpace(n.Text)}
		c.say("white space around %s is gone", key)
	}
}

// done checks the document and returns the item.
func (c *conversion) done(kind control.Kind, id string) Item {
	if id != c.id {
		c.say("the id is %s", id)
	}
	doc := &strict.Node{Kind: strict.Object}
	for _, key := range c.order {
		if n := c.members[key]; n != nil {
			doc.Members = append(doc.Members, strict.Member{Key: key, Value: n})
			delete(c.members, key) // a member that was given twice comes once
		}
	}
	item := Item{Key: kind.Key(id), Value: doc.AppendJSON(nil), Changes: c.changes, Problems: c.problems}
	item.Problems.Under("", control.Check(item.Key, item.Value))
	if len(item.Problems) > 0 {
		item.Value = nil
	}
	return item
}

// node converts a node.
func (c *conversion) node() Item {
	c.trim("service_name")
	c.trim("upstream")
	c.describe()
	c.drop("id", "key", "time", "_rowKey")
	return c.done(control.Nodes, control.NodeID(c.text("service_name"), c.text("upstream")))
}

// route converts a route. An id that somebody has chosen stays.
func (c *conversion) route() Item {
	prefix := c.text("prefix")
	c.trim("prefix")
	c.trim("service_name")
	c.describe()
	c.plugins()
	c.drop("key", "time", "_rowKey", "propsData")
	id := c.id
	if control.Routes.CheckID(id) != nil {
		id = control.RouteID(prefix)
	}
	if c.members["id"] != nil {
		c.put("id", &strict.Node{Kind: strict.String, Text: id})
	}
	return c.done(control.Routes, id)
}

// plugins makes an object of a list of names, with what the plugins took from props.
func (c *conversion) plugins() {
	list, props := c.members["plugins"], c.members["props"]
	if list == nil || list.Kind != strict.Array || len(list.Items) == 0 {
		return
	}
	made := &strict.Node{Kind: strict.Object}
	used := make(map[string]bool)
	for i, item := range list.Items {
		if item.Kind != strict.String {
			c.problems.Add(problem.Index("plugins", i), "wants the name of a plugin, not %v", item.Kind)
			continue
		}
		name, config := named(item.Text, props, used)
		if name != "" && made.Get(name) == nil {
			made.Members = append(made.Members, strict.Member{Key: name, Value: config})
		}
	}
	delete(c.members, "props")
	c.put("plugins", made)
	c.say("plugins: %s is %s", list.AppendJSON(nil), made.AppendJSON(nil))
	if left := unused(props, used); len(left) > 0 {
		c.say("left out, since no plugin reads them: %s", strings.Join(left, ", "))
	}
}

// named returns what a plugin of ws-cloud-gateway is called here, and its configuration; "" for what every route does anyway. used gets the props that were read. A
// name that is unknown stays, and is complained about when the route is checked.
func named(name string, props *strict.Node, used map[string]bool) (string, *strict.Node) {
	switch name {
	case "discovery", "default":
		return "", nil
	case "tracing":
		return "request-id", object("header_name", "X-Trace-Id")
	case "rewrite":
		regex, replace := prop(props, "rewrite_url_regex", used), prop(props, "rewrite_replace", used)
		if regex == "" {
			return "", nil // it does nothing then
		}
		if once(regex) {
			pair := &strict.Node{Kind: strict.Array, Items: []*strict.Node{{Kind: strict.String, Text: regex}, {Kind: strict.String, Text: replace}}}
			return "proxy-rewrite", &strict.Node{Kind: strict.Object, Members: []strict.Member{{Key: "regex_uri", Value: pair}}}
		}
		return "rewrite", object("rewrite_url_regex", regex, "rewrite_replace", replace)
	}
	return name, &strict.Node{Kind: strict.Object}
}

// object returns an object of texts.
func object(pairs ...string) *strict.Node {
	n := &strict.Node{Kind: strict.Object}
	for i := 0; i < len(pairs); i += 2 {
		n.Members = append(n.Members, strict.Member{Key: pairs[i], Value: &strict.Node{Kind: strict.String, Text: pairs[i+1]}})
	}
	return n
}

// prop returns a text of the props.
func prop(props *strict.Node, key string, used map[string]bool) string {
	used[key] = true
	if props == nil {
		return ""
	}
	if n := props.Get(key); n != nil && n.Kind == strict.String {
		return n.Text
	}
	return ""
}

// unused lists the props that no plugin has read.
func unused(props *strict.Node, used map[string]bool) []string {
	left := make(map[string]bool)
	if props != nil {
		for _, m := range props.Members {
			if !used[m.Key] {
				value, _ := json.Marshal(m.Key)
				left[string(value)+":"+string(m.Value.AppendJSON(nil))] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(left))
}
