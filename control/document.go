package control

import (
	"encoding/json"

	"sluice/internal/problem"
	"sluice/internal/strict"
	"sluice/internal/unit"
	"sluice/upstream"
)

// Route is one route as it is stored at routes/<id>.
type Route struct {
	ID          string        `json:"id,omitempty"`   // default: RouteID(prefix). The key decides; this is for people who read the value
	Desc        string        `json:"desc,omitempty"` // for people
	Status      *int          `json:"status,omitempty" strict:"text"`
	Priority    int           `json:"priority,omitempty" strict:"text"` // the higher one wins where two routes match
	Hosts       []string      `json:"hosts,omitempty"`                  // exact or "*.example.com"; none = any host
	Prefix      string        `json:"prefix,omitempty"`                 // one pattern
	Paths       []string      `json:"paths,omitempty"`                  // more patterns of the same kind
	Methods     []string      `json:"methods,omitempty"`                // none = any method
	When        string        `json:"when,omitempty"`                   // condition, see internal/when
	Protocol    string        `json:"protocol,omitempty"`               // towards the nodes: "http" (default) or "grpc"
	ServiceName string        `json:"service_name,omitempty"`
	Timeout     *RouteTimeout `json:"timeout,omitempty"`
	Retry       *RouteRetry   `json:"retry,omitempty"`
	Plugins     Plugins       `json:"plugins,omitzero"`

	// What ws-cloud-gateway stores beside; kept, and nothing but the props of listed plugins is read.
	Key       string          `json:"key,omitempty"`
	Remark    string          `json:"remark,omitempty"`
	Props     json.RawMessage `json:"props,omitempty"`     // configuration of the plugins that are listed by name
	Time      json.RawMessage `json:"time,omitempty"`      // milliseconds
	PropsData json.RawMessage `json:"propsData,omitempty"` // written by its panel
	RowKey    json.RawMessage `json:"_rowKey,omitempty"`   // written by its panel
}

// RouteTimeout overrides the service's timeouts for one route. 0 means the service's.
type RouteTimeout struct {
	Connect  unit.Duration `json:"connect,omitempty"`
	Response unit.Duration `json:"response,omitempty"`
	PerTry   unit.Duration `json:"per_try,omitempty"`
	Total    unit.Duration `json:"total,omitempty"`
}

// RouteRetry overrides the service's retries for one route.
type RouteRetry struct {
	Attempts int `json:"attempts,omitempty"` // tries in all, 1 to 10; 0 = the service's
}

// Node is one running instance of a service as it is stored below discovery/.
type Node struct {
	ServiceName string            `json:"service_name"`
	Upstream    string            `json:"upstream"`                       // host:port
	Weight      *int              `json:"weight,omitempty" strict:"text"` // default 1; 0 drains
	Status      *int              `json:"status,omitempty" strict:"text"` // 1 (default) in, 0 out
	Metadata    map[string]string `json:"metadata,omitempty"`

	// What ws-cloud-gateway stores beside; kept, and not read.
	ID     string          `json:"id,omitempty"`
	Key    string          `json:"key,omitempty"`
	Desc   string          `json:"desc,omitempty"`
	Remark string          `json:"remark,omitempty"`
	Time   json.RawMessage `json:"time,omitempty"`
	RowKey json.RawMessage `json:"_rowKey,omitempty"`
}

// Enabled reports whether the route takes part.
func (r *Route) Enabled() bool { return *r.Status == 1 }

// DecodeRoute reads, completes and checks a route. The error is a [problem.Problems] with everything that is wrong, in which case
// the route is nil.
func DecodeRoute(data []byte) (*Route, error) { return decodeRoute(data, standard) }

func decodeRoute(data []byte, kinds kindLookup) (*Route, error) {
	r, problems := readRoute(data)
	problems.Complete(r.validate(kinds).Err(), unreadPaths(problems)...)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return r, nil
}

// unreadPaths returns where a route seems to have no pattern because its list of them could not be read.
func unreadPaths(problems problem.Problems) []string {
	if problems.Touches("paths") {
		return []string{"prefix"}
	}
	return nil
}

// readRoute decodes and completes. A value of the wrong type reads as missing.
func readRoute(data []byte) (*Route, problem.Problems) {
	r := new(Route)
	problems := asProblems(strict.DecodeJSON(data, r))
	r.SetDefaults()
	return r, problems
}

// SetDefaults fills in what is not given.
func (r *Route) SetDefaults() {
	if r.Status == nil {
		r.Status = pointer(1)
	}
	if r.Protocol == "" {
		r.Protocol = "http"
	}
	if r.ID == "" && r.Prefix != "" {
		r.ID = RouteID(r.Prefix)
	}
}

// DecodeNode reads, completes and checks a node. Errors are as in DecodeRoute.
func DecodeNode(data []byte) (*Node, error) {
	doc, err := strict.ParseJSON(data)
	if err != nil {
		return nil, err
	}
	return decodeNode(doc)
}

func decodeNode(doc *strict.Node) (*Node, error) {
	n := new(Node)
	problems := asProblems(strict.DecodeObject(doc, n))
	n.SetDefaults()
	problems.Complete(n.validate().Err())
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return n, nil
}

// SetDefaults fills in what is not given.
func (n *Node) SetDefaults() {
	if n.Weight == nil {
		n.Weight = pointer(upstream.DefaultWeight)
	}
	if n.Status == nil {
		n.Status = pointer(1)
	}
}

// DecodeService reads, completes and checks a service. Errors are as in DecodeRoute.
func DecodeService(data []byte) (*upstream.Config, error) {
	s, problems := readService(data)
	problems.Complete(s.Validate())
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return s, nil
}

func readService(data []byte) (*upstream.Config, problem.Problems) {
	s := new(upstream.Config)
	problems := asProblems(strict.DecodeJSON(data, s))
	s.SetDefaults()
	return s, problems
}

// asProblems returns what err lists, or err itself as the only problem.
func asProblems(err error) (p problem.Problems) {
	p.Under("", err)
	return p
}

func pointer[T any](v T) *T { return &v }
