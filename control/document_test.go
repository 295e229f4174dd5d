package control

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/internal/problem"
)

// The contract's route, to the letter.
const contractRoute = `{"id":"demo1","desc":"","status":1,"priority":0,
 "hosts":["api.example.com","*.example.com"], "prefix":"/openapi/demo1/*", "paths":["/a","/users/:id","/files/*path"],
 "methods":["GET"], "when":"header('x-canary') == '1' && ip in ['10.0.0.0/8']",
 "protocol":"http", "service_name":"demo1",
 "timeout":{"connect":"1s","response":"60s"}, "retry":{"attempts":2},
 "plugins":{"request-id":{},"proxy-rewrite":{"regex_uri":["^/openapi/(.*)/","/openapi/"]}}}`

const contractService = `{"name":"demo1","protocol":"http","balancer":{"type":"roundrobin"},"nodes":[{"upstream":"127.0.0.1:1024","weight":1}],
 "health":{"active":{"type":"tcp","path":"/healthz","interval":"3s","timeout":"1s","healthy":{"successes":1},"unhealthy":{"failures":2}},
           "passive":{"consecutive_failures":5,"ejection":"30s","max_ejected_percent":50}},
 "breaker":{"max_requests":0,"max_pending":0}, "retry":{"attempts":2,"on":["connect","reset","502","503","504"],"budget_percent":20,"min_per_second":3},
 "timeout":{"connect":"3s","response":"60s","idle":"60s"}, "pool":{"max_idle_per_worker":64,"max_per_node":0,"idle_timeout":"60s"}}`

func TestTheContractsRouteIsRead(t *testing.T) {
	r, err := DecodeRoute([]byte(contractRoute))
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, p := range r.Plugins.List {
		names = append(names, p.Name)
	}
	if r.ID != "demo1" || !r.Enabled() || len(r.Hosts) != 2 || r.Prefix != "/openapi/demo1/*" || len(r.Paths) != 3 || r.Methods[0] != "GET" ||
		r.ServiceName != "demo1" || r.Timeout.Connect.Std() != time.Second || r.Retry.Attempts != 2 || !slices.Equal(names, []string{"request-id", "proxy-rewrite"}) {
		t.Errorf("%+v", r)
	}
}

func TestTheContractsServiceIsRead(t *testing.T) {
	s, err := DecodeService([]byte(contractService))
	if err != nil {
		t.Fatal(err)
	}
	if s.Health.Active.Interval.Std() != 3*time.Second || s.Health.Passive.ConsecutiveFailures != 5 || *s.Health.Passive.MaxEjectedPercent != 50 ||
		len(s.Retry.On) != 5 || *s.Pool.MaxIdlePerWorker != 64 || s.Nodes[0].Upstream != "127.0.0.1:1024" {
		t.Errorf("%+v", s)
	}
}

func TestTheContractsNodeIsRead(t *testing.T) {
	n, err := DecodeNode([]byte(`{"service_name":"demo1","upstream":"127.0.0.1:1024","weight":1,"status":1,"metadata":{}}`))
	if err != nil || n.ServiceName != "demo1" || *n.Weight != 1 || *n.Status != 1 {
		t.Errorf("%+v, %v", n, err)
	}
}

// Values as ws-cloud-gateway and its panel write them: a list of plugins, numbers as strings, an empty list as {}, keys of its own.
func TestSeedValuesAreReadUnchanged(t *testing.T) {
	for _, value := range []string{
		`{"key":"/innerapi/hello/*","protocol":"http","remark":"","prefix":"/innerapi/hello/*","service_name":"hello","status":1,
		  "plugins":["discovery","tracing","rewrite"],"props":{"rewrite_url_regex":"^/innerapi/(.*)/","rewrite_replace":"/"},"time":1612345678000}`,
		`{"status":1,"key":"\/api\/p\/*","props":{"rewrite_url_regex":"^\/api\/p\/","rewrite_replace":"\/"},"service_name":"mg","time":1694490078055,
		  "protocol":"http","_rowKey":13,"remark":"PAAS平台","plugins":["discovery","rewrite"],"prefix":"\/api\/p\/*","propsData":{"a":"b"}}`,
		`{"prefix":"/openapi/demo2","status":"1","service_name":"demo2","protocol":"http","plugins":["default","tracing"],"props":{"aa":1}}`,
		`{"prefix":"/hello.GreeterService","status":1,"service_name":"grpc-demo","protocol":"grpc","plugins":{},"props":[]}`,
	} {
		if _, err := DecodeRoute([]byte(value)); err != nil {
			t.Errorf("%s: %v", value, err)
		}
	}
	n, err := DecodeNode([]byte(`{"key":"/hello/127.0.0.1:8080","service_name":"hello","upstream":"127.0.0.1:8080","weight":"3","status":"0","time":1612345678000.5}`))
	if err != nil || *n.Weight != 3 || *n.Status != 0 {
		t.Errorf("%+v, %v", n, err)
	}
}

// The contract: <id> defaults to the md5 of the prefix, in hex; a node's key is the service and the md5 of service and address.
func TestDefaultIDs(t *testing.T) {
	r, err := DecodeRoute([]byte(`{"prefix":"/a","service_name":"s"}`))
	if err != nil || r.ID != "0639767f3e9eaad729b54037a7e2abf5" {
		t.Errorf("%+v, %v", r, err)
	}
	if got := RouteID("/openapi/demo1/*"); got != "968bf1f8890b38d31051ec0a290348c9" {
		t.Error(got)
	}
	if got := NodeID("demo1", "127.0.0.1:1024"); got != "demo1.33f075d48985fe1b26061756cd53593c" {
		t.Error(got)
	}
}

func TestAWrittenRouteReadsAsTheSame(t *testing.T) {
	for _, value := range []string{contractRoute, `{"prefix":"/a","service_name":"s","plugins":["discovery","tracing"],"props":{"x":[1,2]},"time":1}`} {
		r, err := DecodeRoute([]byte(value))
		if err != nil {
			t.Fatal(err)
		}
		out, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		again, err := DecodeRoute(out)
		if err != nil || !reflect.DeepEqual(r, again) {
			t.Errorf("%s\nbecame %s: %v", value, out, err)
		}
	}
}

func TestEverythingWrongWithARouteIsReportedAtOnce(t *testing.T) {
	_, err := DecodeRoute([]byte(`{"id":"a/b","status":2,"priority":5000000000,"hosts":["ok.com","*bad.com","a b"],"prefix":"no-slash","paths":["/ok","/a*b"],
		"methods":["get","GE T","PURGE"],"when":"header('a') ==","protocol":"h2","timeout":{"connect":"25h"},"retry":{"attempts":11},
		"plugins":{"request-id":{"algorithm":"x"},"tracing":{},"no-such":{},"proxy-rewrite":{"regex_uri":["("]}}}`))
	list, ok := err.(problem.Problems)
	if !ok {
		t.Fatal(err)
	}
	want := []string{
		"id: ", "status: ", "priority: ", "hosts[1]: ", "hosts[2]: ", "prefix: ", "paths[1]: ", "methods[0]: ", "methods[1]: ", "protocol: ",
		"service_name: is missing", "timeout.connect: ", "retry.attempts: ", "when: ", "plugins.request-id.algorithm: ",
		`plugins.tracing: "tracing" is the same plugin as "request-id"`, `plugins.no-such: "no-such" is not a plugin`, "plugins.proxy-rewrite.regex_uri: wants pairs",
		"plugins.proxy-rewrite.regex_uri: ",
	}
	for i, p := range list {
		if i >= len(want) || !strings.HasPrefix(p.String(), want[i]) {
			t.Errorf("problem %d is %q", i, p)
		}
	}
	if len(list) != len(want) {
		t.Errorf("%d problems, want %d", len(list), len(want))
	}
}

func TestWrongResourcesAreExplained(t *testing.T) {
	for _, c := range []struct{ key, value, want string }{
		{"routes/a", `{"service_name":"s"}`, `prefix: is missing`},
		{"routes/a", `{"prefix":"/a","service":"s"}`, `service: unknown key; did you mean "service_name"?`},
		{"routes/a", `{"prefix":"/a","service_name":"a/b"}`, `service_name: "a/b" has a slash`},
		{"routes/a", `{"prefix":"/a","service_name":"s","plugins":["tracin"]}`, `plugins[0]: "tracin" is not a plugin; did you mean "tracing"?`},
		{"routes/a", `{"prefix":"/a","service_name":"s","plugins":["rewrite"],"props":{"rewrite_url_regex":"("}}`, `props.rewrite_url_regex: "(" is not a regular expression`},
		{"routes/a", `{"prefix":"/a","service_name":"s","plugins":"tracing"}`, `plugins: wants an object`},
		{"routes/a", `{"prefix":"/a","service_name":"s","plugins":{"tracing":[]}}`, `plugins.tracing: wants an object, not a list`},
		{"routes/a", `[]`, `wants an object, not a list`},
		{"routes/a", `{"prefix":"/a",`, `not valid JSON`},
		{"discovery/a", `{"upstream":"1.2.3.4:5"}`, `service_name: is missing`},
		{"discovery/a", `{"service_name":"s","upstream":"1.2.3.4"}`, `upstream: "1.2.3.4" is not host:port`},
		{"discovery/a", `{"service_name":"s","upstream":"1.2.3:80"}`, `neither an IP address nor a host name`},
		{"discovery/a", `{"service_name":"s","upstream":"h:80","weight":70000}`, `weight: 70000 is out of range`},
		{"discovery/a", `{"service_name":"s","upstream":"h:80","weight":"heavy"}`, `weight: "heavy" is not a whole number`},
		{"services/a", `{"name":"b"}`, `name: "b" is not the "a" of the key`},
		{"services/a", `{"balancer":{"type":"round_robin"}}`, `balancer.type: "round_robin" is none of roundrobin`},
		{"services/a", `{"balancer":{"type":"chash","hash_on":"header"}}`, `balancer.key: is missing`},
		{"services/a", `{"nodes":[{"upstream":"a:1"},{"upstream":"a:1"}]}`, `nodes[1].upstream: "a:1" is also nodes[0]`},
		{"services/a", `{"health":{"active":{"type":"ping","interval":"1ms"}}}`, `health.active.type: "ping" is none of tcp, http, grpc`},
		{"services/a", `{"retry":{"attempts":0,"on":["404"]}}`, `retry.attempts: 0 is out of range`},
		{"users/a", `{}`, `does not keep users`},
		{"elsewhere/a", `{}`, `no resource has the key`},
		{"routes/", `{}`, `no resource has the key`},
	} {
		err := Check(c.key, []byte(c.value))
		if _, ok := err.(problem.Problems); !ok || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: %v, want %q in it", c.key, c.value, err, c.want)
		}
	}
}

// Contract, section 4: every failing field is named, whether its value cannot be read or cannot be meant. What could not be read is not complained about twice.
func TestAValueOfTheWrongTypeHidesNoOtherProblem(t *testing.T) {
	for _, c := range []struct{ key, value, want string }{
		{"routes/zz", `{"prefix":"x","service_name":"","timeout":{"connect":"x"},"plugins":{"request-id":{"algorithm":"z"}}}`,
			"timeout.connect prefix service_name plugins.request-id.algorithm"},
		{"routes/a", `{"paths":"/a","service_name":5,"status":7,"methods":["get",1]}`, "paths service_name methods[1] status methods[0]"},
		{"routes/a", `{"prefx":"/a","service_name":"s"}`, "prefx prefix"},
		{"routes/a", `{"prefix":"/a","service_name":"s","retry":{"attempts":"2"}}`, "retry.attempts"},
		{"discovery/a", `{"service_name":"a b","upstream":"h:80","weight":"x","status":3}`, "weight service_name status"},
		{"services/a", `{"name":"b","retry":{"attempts":true,"on":["404"]},"nodes":[{"upstream":1},{"upstream":"x"}],"timeout":{"connect":5}}`,
			"retry.attempts nodes[0].upstream timeout.connect name nodes[1].upstream retry.on[0]"},
		{"consumers/a", `{"status":"1","credentials":{"key-auth":{"key":""}}}`, "status credentials.key-auth.key"},
		{"certificates/a", `{"snis":["a b"],"cert":1,"key":""}`, "cert key snis[0]"},
		{"settings/limits", `{"body":"x","header_count":-1}`, "body header_count"},
		{"settings/health", `{"active":{"interval":"x","type":"ping"}}`, "active.interval active.type"},
		{"settings/log_level", `{"levl":"info","level":"loud"}`, "levl level"},
		{"settings/log_level", `{"level":5,"x":1}`, "level x"},
		{"settings/path_policy", `{"ambigous":"refuse","ambiguous":"never"}`, "ambigous ambiguous"},
		{"settings/plugins", `{"request-id":5,"proxy-rewrite":{"method":"get"},"grpcweb":{}}`, "request-id proxy-rewrite.method grpcweb"},
		{"routes/a", `{"prefix":"/a","service_name":"s","plugins":{"request-id":{"keep_incoming":"x","algorithm":"z","header_name":"a b"},"grpc-web":1,
			"proxy-rewrite":{"uri":5,"method":"get","host":"a b","regex_uri":["(",1],"headers":{"add":{"X-A":true}}}}}`,
			"plugins.request-id.keep_incoming plugins.request-id.algorithm plugins.request-id.header_name plugins.grpc-web " +
				"plugins.proxy-rewrite.uri plugins.proxy-rewrite.method plugins.proxy-rewrite.host plugins.proxy-rewrite.regex_uri[0] plugins.proxy-rewrite.regex_uri[1] " +
				"plugins.proxy-rewrite.headers.add.X-A"},
		{"routes/a", `{"prefix":"/a","service_name":"s","plugins":{"cors":{"max_age":"5","expose_headers":"**"},"ip-restriction":{"message":1,"response_code":200,"whitelist":["x"]},
			"response-rewrite":{"body":5,"status_code":99,"vars":[]}}}`,
			"plugins.cors.max_age plugins.cors.expose_headers plugins.ip-restriction.message plugins.ip-restriction.response_code plugins.ip-restriction.whitelist[0] " +
				"plugins.response-rewrite.body plugins.response-rewrite.status_code plugins.response-rewrite.vars"},
		{"routes/a", `{"prefix":"/a","service_name":"s","plugins":["rewrite"],"props":{"rewrite_url_regex":"(","rewrite_replace":1}}`, "props.rewrite_replace props.rewrite_url_regex"},
	} {
		var found problem.Problems
		found.Under("", Check(c.key, []byte(c.value)))
		var paths []string
		for _, p := range found {
			paths = append(paths, p.Path)
		}
		if got := strings.Join(paths, " "); !samePlaces(got, c.want) {
			t.Errorf("%s %s:\n got %s\nwant %s\n%v", c.key, c.value, got, c.want, found)
		}
	}
}

// samePlaces compares lists of places in any order.
func samePlaces(a, b string) bool {
	one, other := strings.Fields(a), strings.Fields(b)
	slices.Sort(one)
	slices.Sort(other)
	return slices.Equal(one, other)
}

func TestAServiceMayLeaveItsNameToTheKey(t *testing.T) {
	if err := Check("services/a", []byte(`{}`)); err != nil {
		t.Error(err)
	}
}

func TestKeys(t *testing.T) {
	for _, k := range Kinds {
		got, id, ok := SplitKey(k.Key("x"))
		if !ok || got != k || id != "x" {
			t.Errorf("%s: %v %v %v", k.Key("x"), got, id, ok)
		}
	}
	if k, id, ok := SplitKey("discovery/demo/127.0.0.1:80"); !ok || k != Nodes || id != "demo/127.0.0.1:80" {
		t.Error(k, id, ok)
	}
	for _, bad := range []string{"", "routes", "routes/", "nodes/x", "x/y", "/routes/x"} {
		if k, _, ok := SplitKey(bad); ok {
			t.Errorf("%q is of kind %s", bad, k)
		}
	}
}

func TestIDsThatCannotBeNamedAreRefused(t *testing.T) {
	for _, good := range []string{"a", "demo1", "API v1", "grün", strings.Repeat("x", 255), "a.b*"} {
		if err := Routes.CheckID(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "a/b", "a\n", "\x7f", "\xff", ".", "..", strings.Repeat("x", 256)} {
		if Routes.CheckID(bad) == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	for id, good := range map[string]bool{"demo1/127.0.0.1:1024": true, "a/b/c": true, "": false, "..": false, "a/\n": false} {
		if err := Nodes.CheckID(id); (err == nil) != good { // any key below discovery/
			t.Errorf("node %q: %v", id, err)
		}
	}
}

// Whatever is in the store, reading it does not panic, and what is accepted is accepted again as it is written out.
func FuzzRoute(f *testing.F) {
	f.Add([]byte(contractRoute))
	f.Add([]byte(`{"prefix":"/a","service_name":"s","plugins":["discovery","rewrite"],"props":{"rewrite_url_regex":"a"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := DecodeRoute(data)
		if err != nil {
			return
		}
		out, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeRoute(out); err != nil {
			t.Fatalf("%q became %q: %v", data, out, err)
		}
	})
}
