package plugin

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
}

// ReplyHeader is one field of a Reply. Content-Length and Date are added by the gateway.
type ReplyHeader struct{ Name, Value string }
