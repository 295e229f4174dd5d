package control

import (
	"strconv"
	"strings"

	"sluice/internal/strict"
)

// ReadNode reads the node that is stored under an id. It takes what DecodeNode takes, and what ws-cloud-gateway has stored and served beside: see UpdatedNode.
func ReadNode(id string, value []byte) (*Node, error) {
	doc, err := strict.ParseJSON(value)
	if err != nil {
		return nil, err
	}
	return decodeNode(UpdatedNode(id, doc))
}

// UpdatedNode returns the document of a stored node as it would be written today; doc itself where there is nothing to change.
//
//   - The first ws-cloud-gateway had service and address in the key, discovery/<service>/<host:port>, and nothing but the weight in the value.
//   - All of its versions serve a node while its status is 1. Any other number is out.
func UpdatedNode(id string, doc *strict.Node) *strict.Node {
	if doc.Kind == strict.Number || doc.Kind == strict.String {
		service, address, found := strings.Cut(id, "/")
		if _, err := strconv.Atoi(doc.Text); err != nil || !found {
			return doc
		}
		text := func(s string) *strict.Node { return &strict.Node{Kind: strict.String, Text: s} }
		return &strict.Node{Kind: strict.Object, Members: []strict.Member{
			{Key: "service_name", Value: text(service)}, {Key: "upstream", Value: text(address)},
			{Key: "weight", Value: &strict.Node{Kind: strict.Number, Text: doc.Text}},
		}}
	}
	for i, m := range doc.Members {
		if m.Key != "status" || m.Value.Kind != strict.Number && m.Value.Kind != strict.String {
			continue
		}
		if n, err := strconv.Atoi(m.Value.Text); err != nil || n == 0 || n == 1 {
			continue
		}
		out := *doc
		out.Members = append([]strict.Member(nil), doc.Members...)
		out.Members[i].Value = &strict.Node{Kind: strict.Number, Text: "0"}
		return &out
	}
	return doc
}
