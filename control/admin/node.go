package admin

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"sluice/control"
	"sluice/internal/strict"
)

// nodes are running instances. Their id in the API is what follows discovery/ in the key: as a rule <service>.<md5(service+upstream)>, but
// any other counts as well. The member "id" of a value is ws-cloud-gateway's and not compared with it.
var nodes = resource{kind: control.Nodes, singular: "node", value: control.Node{}}

type registerInput struct {
	WriteQuery
	RawBody []byte `contentType:"application/json"`
}

// registerNode is PUT without having to know how ids are made.
func registerNode(api huma.API, s *resources) {
	op := nodes.operation("register", http.MethodPost, "/v1/nodes", "Register a node",
		"The id is made of the service and the address: registering the same node again replaces it. "+inForce)
	op.Responses = nodes.written(api)
	op.RequestBody = &huma.RequestBody{Required: true}
	huma.Register(api, op, func(ctx context.Context, in *registerInput) (*reply, error) {
		doc, err := strict.ParseJSON(in.RawBody)
		if err != nil {
			return nil, unparsable(err)
		}
		n, err := control.DecodeNode(doc.AppendJSON(nil))
		if err != nil {
			return nil, refused("body", err)
		}
		id := control.NodeID(n.ServiceName, n.Upstream)
		answer, err := s.put(ctx, edit{resource: &nodes, id: id, dryRun: in.DryRun}, in.RawBody)
		if err != nil || in.DryRun {
			return answer, err
		}
		answer.Location = location(control.Nodes, id) // also of one that was there: the caller did not know it
		return answer, nil
	})
	op.RequestBody.Content = content(nodes.schema(api))
}
