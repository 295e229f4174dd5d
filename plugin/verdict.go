package plugin

import "sluice/internal/fault"

// Action is what happens next with a request.
type Action uint8

// The actions.
const (
	Continue Action = iota // go on with the next plugin
	Respond                // answer with Verdict.Reply; no node is asked
)

// Verdict is what a request filter decides. The zero Verdict lets the request go on.
type Verdict struct {
	Action Action
	Reply  *Reply // for Respond; must not change afterwards
}

// Reply is an answer that a plugin gives instead of a node. It is shared by the exchanges it answers, so it is built once, with the plugin.
type Reply struct {
	Status  int
	Headers []ReplyHeader
	Body    []byte

	fault *fault.Error // of Forbidden
}

// Forbidden returns the answer of the plugin with that name to a request that may not be made: the error "forbidden" as the gateway writes its own, with status, usually 403, a message for
// people, on one line, and the id of the request. A client of gRPC is told in its own way, and the access log has the code.
func Forbidden(name string, status int, message string) *Reply {
	kind := *fault.Forbidden
	kind.Status, kind.Text = status, message
	return &Reply{Status: status, fault: fault.New(name, fault.Downstream, &kind, nil)}
}

// Fault returns the error that the answer is, nil where it is none. It must not be changed.
func (r *Reply) Fault() *fault.Error { return r.fault }

// ReplyHeader is one field of a Reply. Content-Length and Date are added by the gateway.
type ReplyHeader struct{ Name, Value string }
