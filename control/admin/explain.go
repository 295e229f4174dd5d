package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"sluice/internal/fault"
	"sluice/proxy"
	"sluice/router"
)

// ExplainRequest is a request that POST /v1/explain is asked about.
type ExplainRequest struct {
	Method   string     `json:"method,omitempty" doc:"default GET"`
	URL      string     `json:"url" doc:"http://host/path?query, or a path"`
	Headers  FieldLines `json:"headers,omitempty"`
	ClientIP string     `json:"client_ip,omitempty" doc:"the address of the client; default 127.0.0.1"`
}

// FieldLines are the fields of a request, each as "name: value". In JSON they are a list of such lines, or an object of names and values.
type FieldLines []string

// UnmarshalJSON implements [json.Unmarshaler]. The fields of an object stand in the order of their names.
func (f *FieldLines) UnmarshalJSON(data []byte) error {
	var values map[string]string
	if json.Unmarshal(data, &values) != nil {
		return json.Unmarshal(data, (*[]string)(f))
	}
	*f = nil
	for _, name := range slices.Sorted(maps.Keys(values)) {
		*f = append(*f, name+": "+values[name])
	}
	return nil
}

// Schema implements huma.SchemaProvider.
func (FieldLines) Schema(huma.Registry) *huma.Schema {
	text := &huma.Schema{Type: huma.TypeString}
	return &huma.Schema{
		Description: "fields, each as name: value; Host goes over the URL's",
		OneOf:       []*huma.Schema{{Type: huma.TypeArray, Items: text}, {Type: huma.TypeObject, AdditionalProperties: text}},
	}
}

// Check returns the place of the first line that is no field, and why it is none.
func (f FieldLines) Check() (index int, err error) {
	for i, line := range f {
		if name, _, ok := strings.Cut(line, ":"); !ok || name == "" || strings.ContainsAny(line, "\r\n") {
			return i, fmt.Errorf("%q is no field, such as \"x-canary: 1\"", line)
		}
	}
	return 0, nil
}

// Explanation is what would become of it.
type Explanation struct {
	Revision   int64              `json:"revision" doc:"of the store, that the snapshot in force shows"`
	Path       string             `json:"path,omitempty" doc:"normalized, by which routes are matched"`
	Route      string             `json:"route,omitempty" doc:"that wins; absent where none does"`
	Candidates []ExplainCandidate `json:"candidates" nullable:"false" doc:"routes whose host and path match, best first"`
	More       bool               `json:"more_candidates,omitempty" doc:"there are more than these"`
	Service    string             `json:"service,omitempty"`
	Plugins    []string           `json:"plugins" nullable:"false" doc:"in the order in which they run on the request"`
	Nodes      []string           `json:"nodes" nullable:"false" doc:"of the service, that may be picked"`
	Node       string             `json:"node,omitempty" doc:"that the first worker would ask next"`
	Answer     *ExplainAnswer     `json:"answer,omitempty" doc:"of the gateway itself; absent where plugins and node decide"`
}

// ExplainCandidate is one route and how it stands to the winner.
type ExplainCandidate struct {
	ID       string   `json:"id"`
	Host     string   `json:"host" doc:"of the route, that matches; * is any"`
	Pattern  string   `json:"pattern" doc:"of the route, that matches"`
	Methods  []string `json:"methods,omitempty"`
	When     bool     `json:"when,omitempty" doc:"it has a condition"`
	Priority int      `json:"priority"`
	Reason   string   `json:"reason" enum:"won,host,priority,pattern,methods,when,id,method,condition" doc:"won, or why it lost: method and condition do not match, in the others the winner is better"`
	Text     string   `json:"text" doc:"the same in a sentence"`
}

// ExplainAnswer is an answer of the gateway's own.
type ExplainAnswer struct {
	Status  int      `json:"status"`
	Code    string   `json:"code"`
	Message string   `json:"message"`
	Cause   string   `json:"cause,omitempty"`
	Allow   []string `json:"allow,omitempty" doc:"methods that would match"`
}

type explainInput struct{ Body ExplainRequest }

type explainOutput struct{ Body *Explanation }

// maxHead bounds the head that a question makes: more than the largest that a gateway takes.
const maxHead = 1 << 20

func registerExplain(api huma.API, d Deps) {
	op := huma.Operation{
		OperationID: "explain", Method: http.MethodPost, Path: "/v1/explain", Tags: []string{"gateway"}, Summary: "Ask what would become of a request",
		Description:  "By the code that decides it, in this gateway, now. No plugin runs, no node is asked, and the balancer is left as it is.",
		MaxBodyBytes: maxHead,
	}
	huma.Register(api, op, func(ctx context.Context, in *explainInput) (*explainOutput, error) {
		if d.Explain == nil {
			return nil, huma.NewError(http.StatusNotImplemented, "this gateway does not explain")
		}
		head, from, err := in.Body.head()
		if err != nil {
			return nil, err
		}
		e, err := d.Explain(ctx, head, from)
		if err != nil {
			return nil, huma.NewError(http.StatusServiceUnavailable, "the gateway did not explain: "+err.Error())
		}
		return &explainOutput{explanation(e)}, nil
	})
}

var errNoURL = errors.New("is no URL with a path, such as http://example.com/a")

// head returns the request as a client would send it.
func (q *ExplainRequest) head() (head []byte, from netip.Addr, err error) {
	refuse := func(where string, err error) ([]byte, netip.Addr, error) {
		return nil, netip.Addr{}, huma.NewError(http.StatusUnprocessableEntity, "the question is not valid", &huma.ErrorDetail{Location: "body." + where, Message: err.Error()})
	}
	method, target, host := q.Method, q.URL, "localhost"
	if method == "" {
		method = http.MethodGet
	}
	if !strings.HasPrefix(target, "/") && target != "*" {
		u, err := url.Parse(target)
		if err != nil || u.Host == "" {
			return refuse("url", errNoURL)
		}
		_, rest, _ := strings.Cut(target, "://") // the path as it is written: url.URL would make it another
		host, target = u.Host, "/"
		if at := strings.IndexAny(rest, "/?"); at >= 0 {
			target = rest[at:]
		}
		if target[0] == '?' {
			target = "/" + target
		}
	}
	target, _, _ = strings.Cut(target, "#")
	from = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if q.ClientIP != "" {
		if from, err = netip.ParseAddr(q.ClientIP); err != nil {
			return refuse("client_ip", fmt.Errorf("%q is no IP address", q.ClientIP))
		}
	}
	if i, err := q.Headers.Check(); err != nil {
		return refuse(fmt.Sprintf("headers[%d]", i), err)
	}
	fields := ""
	for _, line := range q.Headers {
		name, value, _ := strings.Cut(line, ":")
		if value = strings.TrimSpace(value); strings.EqualFold(name, "Host") {
			host = value
			continue
		}
		fields += name + ": " + value + "\r\n"
	}
	return []byte(method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\n" + fields + "\r\n"), from, nil
}

// reasons are the words and sentences for a candidate. %s is the winner.
var reasons = map[router.Reason][2]string{
	router.Won:         {"won", "wins"},
	router.WorseHost:   {"host", "the host of %s is more specific"},
	router.WorseLevel:  {"priority", "the priority of %s is higher"},
	router.WorsePath:   {"pattern", "the pattern of %s is more specific"},
	router.NoMethods:   {"methods", "%s names methods, and this one takes any"},
	router.NoCondition: {"when", "%s has a condition, and this one has none"},
	router.LargerID:    {"id", "%s has the smaller id, and nothing else tells them apart"},
	router.OtherMethod: {"method", "takes other methods"},
	router.Unfulfilled: {"condition", "its condition does not hold"},
}

func explanation(e *proxy.Explanation) *Explanation {
	x := &Explanation{Revision: e.Revision, Path: e.Path, More: e.More, Candidates: []ExplainCandidate{}, Plugins: []string{}, Nodes: []string{}}
	if e.Route != nil {
		x.Route, x.Service = e.Route.ID, e.Route.ServiceName
	}
	x.Plugins = append(x.Plugins, e.Plugins...)
	for _, c := range e.Candidates {
		words := reasons[c.Reason]
		one := ExplainCandidate{
			ID: c.Rule.ID, Host: c.Host, Pattern: c.Pattern.String(), Methods: c.Rule.Methods, When: c.Rule.When != nil, Priority: c.Rule.Priority,
			Reason: words[0], Text: strings.Replace(words[1], "%s", x.Route, 1),
		}
		x.Candidates = append(x.Candidates, one)
	}
	if e.Service != nil {
		for _, n := range e.Service.Nodes() {
			x.Nodes = append(x.Nodes, n.Address)
		}
	}
	if e.Node != nil {
		x.Node = e.Node.Address
	}
	if e.Failed != nil {
		x.Answer = explainAnswer(e.Failed, e.Allow)
	}
	return x
}

func explainAnswer(f *fault.Error, allow []string) *ExplainAnswer {
	a := &ExplainAnswer{Status: f.Kind.Status, Code: f.Kind.Code, Message: f.Kind.Text, Allow: allow}
	if f.Cause != nil {
		a.Cause = f.Cause.Error()
	}
	return a
}
