package control

import (
	"errors"
	"slices"
	"strings"
	"time"

	"sluice/internal/problem"
	"sluice/internal/strict"
	"sluice/internal/unit"
	"sluice/internal/when"
	"sluice/plugin"
	"sluice/router"
	"sluice/upstream"
)

// Check reports everything that is wrong with a value that is to be stored under key, as a [problem.Problems]. It is what the admin API
// asks before a write, and the same code that later decides whether the stored value comes into force. A value may still be
// refused then for what stands beside it: see router.ErrTooManyBranches.
func Check(key string, value []byte) error {
	kind, id, ok := SplitKey(key)
	if !ok {
		return problem.Problems{{Text: "no resource has the key " + key}}
	}
	var err error
	switch kind {
	case Routes:
		_, err = DecodeRoute(value)
	case Nodes:
		_, err = DecodeNode(value)
	case Services:
		_, err = decodeServiceAt(id, value)
	case Consumers:
		_, err = DecodeConsumer(id, value)
	case Certificates:
		_, err = DecodeCertificate(id, value)
	case Settings:
		err = new(LiveSettings).DecodeSetting(id, value)
	default:
		return problem.Problems{{Text: "this version does not keep " + string(kind)}}
	}
	return err
}

// CheckWrite is Check for what somebody writes in the place of before, which is nil where there was nothing. A zero that a default replaces is refused as well. What is stored is in force with the
// default, and may be written as it is.
func CheckWrite(key string, before, value []byte) error {
	problems := asProblems(Check(key, value))
	old := zeros(key, before)
	for _, zero := range zeros(key, value) {
		if !slices.ContainsFunc(old, func(p problem.Problem) bool { return p.Path == zero.Path }) {
			problems = append(problems, zero)
		}
	}
	return problems.Err()
}

// zeros lists the zeros in a value in the place of which defaults are in force.
func zeros(key string, value []byte) problem.Problems {
	n, err := strict.ParseJSON(value)
	if err != nil || n.Kind != strict.Object {
		return nil
	}
	switch kind, id, _ := SplitKey(key); {
	case kind == Services:
		return strict.Zeros(n, new(upstream.Config))
	case kind == Settings && id == "health":
		return strict.Zeros(n, new(upstream.HealthConfig))
	}
	return nil
}

// decodeServiceAt is DecodeService for the value of a key, whose name the value may leave out but not contradict: nodes and routes find the
// service by it.
func decodeServiceAt(name string, value []byte) (*upstream.Config, error) {
	s, problems := readService(value)
	if s.Name == "" {
		s.Name = name
	}
	found := asProblems(s.Validate())
	if s.Name != name {
		found.Add("name", "%q is not the %q of the key", s.Name, name)
	}
	problems.Complete(found.Err())
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return s, nil
}

// validate reports everything that is wrong with a route, after SetDefaults. Plugins are built for it and closed again.
func (r *Route) validate(kinds kindLookup) (p problem.Problems) {
	r.check(&p)
	if r.When != "" {
		if _, err := when.Compile(r.When); err != nil {
			p.Add("when", "%v", err)
		}
	}
	made, problems := r.instances(kinds)
	plugin.NewChain(made).Close()
	return append(p, problems...)
}

// check notes what is wrong with the parts of a route that need no building.
func (r *Route) check(p *problem.Problems) {
	if r.ID != "" {
		checkID(p, "id", r.ID)
	}
	checkStatus(p, *r.Status)
	if r.Priority < -1<<31 || r.Priority >= 1<<31 {
		p.Add("priority", "%d is out of range: 32 bits", r.Priority)
	}
	r.checkMatching(p)
	if r.Protocol != "http" && r.Protocol != "grpc" {
		p.Add("protocol", "%q is none of http, grpc", r.Protocol)
	}
	upstream.CheckName(p, "service_name", r.ServiceName)
	if t := r.Timeout; t != nil {
		checkTimeout(p, "timeout.connect", t.Connect)
		checkTimeout(p, "timeout.response", t.Response)
		checkTimeout(p, "timeout.per_try", t.PerTry)
		checkTimeout(p, "timeout.total", t.Total)
	}
	if r.Retry != nil && (r.Retry.Attempts < 0 || r.Retry.Attempts > 10) {
		p.Add("retry.attempts", "%d is out of range: from 1 to 10, or 0 for the service's", r.Retry.Attempts)
	}
}

func (r *Route) checkMatching(p *problem.Problems) {
	for i, host := range r.Hosts {
		checkHost(p, problem.Index("hosts", i), host)
	}
	if r.Prefix == "" && len(r.Paths) == 0 {
		p.Add("prefix", "is missing: write a pattern here or in paths, such as \"/openapi/*\"")
	}
	if r.Prefix != "" {
		checkPattern(p, "prefix", r.Prefix)
	}
	for i, pattern := range r.Paths {
		checkPattern(p, problem.Index("paths", i), pattern)
	}
	for i, m := range r.Methods {
		switch upper := strings.ToUpper(m); {
		case !plugin.ValidToken(m) || len(m) > 32:
			p.Add(problem.Index("methods", i), "%q is not a method, such as \"GET\"", m)
		case m != upper:
			p.Add(problem.Index("methods", i), "%q is not a method: they are compared with case; did you mean %q?", m, upper)
		}
	}
}

func checkStatus(p *problem.Problems, s int) {
	if s != 0 && s != 1 {
		p.Add("status", "%d is neither 1 (in force) nor 0 (out)", s)
	}
}

func checkHost(p *problem.Problems, path, host string) {
	one := router.Rule[struct{}]{ID: "x", Hosts: []string{host}, Paths: []string{"/"}}
	if _, err := router.Build([]router.Rule[struct{}]{one}); err != nil {
		p.Add(path, "%q: %v", host, reason(err))
	}
}

// maxPattern bounds a pattern: a request line of the default limit holds no longer path.
const maxPattern = 8 << 10

func checkPattern(p *problem.Problems, path, pattern string) {
	if len(pattern) > maxPattern {
		p.Add(path, "is longer than %d bytes", maxPattern)
		return
	}
	if _, err := router.ParsePattern(pattern); err != nil {
		p.Add(path, "%q: %v", pattern, errors.Unwrap(err))
	}
}

// reason strips what the router says about the rule from its error.
func reason(err error) error {
	var refused *router.RuleError
	if errors.As(err, &refused) {
		return refused.Err
	}
	return err
}

func checkTimeout(p *problem.Problems, path string, d unit.Duration) {
	if d.Std() > 24*time.Hour {
		p.Add(path, "%v is out of range: at most 24h", d)
	}
}

// validate reports everything that is wrong with a node, after SetDefaults.
func (n *Node) validate() (p problem.Problems) {
	upstream.CheckName(&p, "service_name", n.ServiceName)
	p.Under("", (&upstream.NodeConfig{Upstream: n.Upstream, Weight: n.Weight, Status: n.Status, Metadata: n.Metadata}).Validate())
	return p
}
