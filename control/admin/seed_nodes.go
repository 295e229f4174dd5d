package admin

import (
	"encoding/json"
	"errors"
	"net/http"

	"sluice/control"
	"sluice/internal/problem"
	"sluice/internal/strict"
)

// seedNode is a node as ws-cloud-gateway shows and stores it.
type seedNode struct {
	Key         string            `json:"key"`
	ServiceName string            `json:"service_name"`
	Upstream    string            `json:"upstream"`
	Weight      *int              `json:"weight,omitempty"`
	Status      *int              `json:"status,omitempty"`
	Metadata    map[string]string `json:"metadata,omitempty"` // ours
	Time        json.RawMessage   `json:"time,omitempty"`
}

// listNodes answers with every node. The key of each is the one by which the other calls know it.
func (s *seedStore) listNodes(w http.ResponseWriter, r *http.Request) {
	entries, _, err := s.store.List(r.Context(), control.Nodes.Folder(), "", 0)
	if err != nil {
		seedFailed(w, err)
		return
	}
	list := make([]seedNode, 0, len(entries))
	for _, e := range entries {
		_, id, _ := control.SplitKey(e.Key)
		n, err := control.ReadNode(id, e.Value)
		if err != nil {
			continue // GET /v1/status names it
		}
		list = append(list, seedNode{Key: id, ServiceName: n.ServiceName, Upstream: n.Upstream, Weight: n.Weight, Status: n.Status, Metadata: n.Metadata, Time: n.Time})
	}
	seedShow(w, list)
}

// saveNode stores a node. Its id is made of its service and its address, so a node of which these change moves.
func (s *seedStore) saveNode(w http.ResponseWriter, r *http.Request) {
	doc := seedBody(w, r, http.StatusInternalServerError)
	if doc == nil {
		return
	}
	key := seedText(doc, "key")
	n := seedNode{ServiceName: seedText(doc, "service_name"), Upstream: seedText(doc, "upstream"), Time: json.RawMessage(s.millis())}
	n.Key = control.NodeID(n.ServiceName, n.Upstream)
	move := seedMove{kind: control.Nodes, old: seedIDs(key)}
	if key == "" {
		move.old = []string{n.Key}
	}
	move.next = func(was *control.Entry) (string, []byte, error) {
		if key == "" && was != nil {
			return "", nil, errSeedExists
		}
		value, err := n.value(doc, was)
		return n.Key, value, err
	}
	err := s.move(r.Context(), move)
	switch {
	case err == nil:
		seedSay(w, http.StatusOK, seedOK)
	case errors.Is(err, errSeedExists):
		seedSay(w, http.StatusInternalServerError, seedNodeExists)
	case isProblem(err):
		seedSay(w, http.StatusInternalServerError, seedNodeKept+err.Error())
	default:
		seedFailed(w, err)
	}
}

// value returns what is stored: what ws-cloud-gateway stores of what was sent, and what else the node had.
func (n seedNode) value(sent *strict.Node, was *control.Entry) ([]byte, error) {
	picked := &strict.Node{Kind: strict.Object}
	for _, member := range []string{"weight", "status"} {
		if v := sent.Get(member); v != nil {
			picked = with(picked, member, v)
		}
	}
	picked = with(with(picked, "service_name", textNode(n.ServiceName)), "upstream", textNode(n.Upstream))
	checked, err := control.DecodeNode(picked.AppendJSON(nil))
	if err != nil {
		return nil, err
	}
	n.Weight, n.Status = checked.Weight, checked.Status
	if was != nil {
		if old, err := control.DecodeNode(was.Value); err == nil {
			n.Metadata = old.Metadata
		}
	}
	return json.Marshal(n)
}

// removeNode deletes a node by its key, or by its service and address. One that is not there is no error.
func (s *seedStore) removeNode(w http.ResponseWriter, r *http.Request) {
	doc := seedBody(w, r, http.StatusInternalServerError)
	if doc == nil {
		return
	}
	ids := seedIDs(seedText(doc, "key"))
	if service, upstream := seedText(doc, "service_name"), seedText(doc, "upstream"); len(ids) == 0 && service != "" && upstream != "" {
		ids = []string{control.NodeID(service, upstream), service + "/" + upstream}
	}
	s.removeAll(w, r, control.Nodes, ids)
}

// isProblem reports whether an error is about what was sent.
func isProblem(err error) bool {
	var problems problem.Problems
	return errors.As(err, &problems)
}
