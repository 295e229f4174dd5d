package seed

import (
	"strings"
	"testing"

	"sluice/control"
)

// one converts a single entry.
func one(key, value string) Item {
	return Convert([]control.Entry{{Key: key, Value: []byte(value), ModRevision: 1}}, Options{})[0]
}

// What ws-cloud-gateway's versions have stored, with what Lua's JSON writes: escaped slashes, empty lists as objects, numbers in other forms.
func TestWhatBecomesOfStoredResources(t *testing.T) {
	id := control.RouteID("/openapi/demo1/*")
	for name, tc := range map[string]struct{ key, value, wantKey, want, says string }{
		"a route of the latest version": {
			"routes/" + id, `{"key":"` + id + `","prefix":"\/openapi\/demo1\/*","status":1,"service_name":"demo1","protocol":"http","plugins":["discovery","tracing","rewrite"],` +
				`"props":{"rewrite_url_regex":"^\/openapi\/(.*)\/","rewrite_replace":"\/openapi\/"},"remark":"","time":1591234567890}`,
			"routes/" + id, `{"prefix":"/openapi/demo1/*","status":1,"service_name":"demo1","protocol":"http",` +
				`"plugins":{"request-id":{"header_name":"X-Trace-Id"},"proxy-rewrite":{"regex_uri":["^/openapi/(.*)/","/openapi/"]}}}`, "left out: key, remark, time",
		},
		"a route of an early version": {
			"routes/openapi/demo1/*", `{"key":"/openapi/demo1/*","prefix":"/openapi/demo1/*","status":0,"service_name":"demo1","protocol":"http","plugins":{},"props":{},"remark":"the first","time":1.59123456789e+12}`,
			"routes/" + id, `{"prefix":"/openapi/demo1/*","status":0,"service_name":"demo1","protocol":"http","desc":"the first"}`, "the id is " + id,
		},
		"every match is replaced": {
			"routes/a", `{"prefix":"/a/*","service_name":"s","plugins":["rewrite"],"props":{"rewrite_url_regex":"/v[0-9]+","rewrite_replace":""}}`,
			"routes/a", `{"prefix":"/a/*","service_name":"s","plugins":{"rewrite":{"rewrite_url_regex":"/v[0-9]+","rewrite_replace":""}}}`, "plugins: ",
		},
		"props that nobody reads": {
			"routes/a", `{"prefix":"/a/*","service_name":"s","plugins":["discovery"],"props":{"aa":1}}`,
			"routes/a", `{"prefix":"/a/*","service_name":"s"}`, `left out, since no plugin reads them: "aa":1`,
		},
		"a gRPC route": {
			"routes/a", `{"prefix":"/grpc.hello.*","status":1,"service_name":"grpc-demo","protocol":"grpc","plugins":["discovery","tracing"],"props":{}}`,
			"routes/a", `{"prefix":"/grpc.hello.*","status":1,"service_name":"grpc-demo","protocol":"grpc","plugins":{"request-id":{"header_name":"X-Trace-Id"}}}`, "",
		},
		"a node of the latest version": {
			"discovery/" + control.NodeID("demo1", "127.0.0.1:1024"), `{"key":"x","service_name":"demo1","upstream":"127.0.0.1:1024","weight":1,"status":1,"time":1591234567890}`,
			"discovery/" + control.NodeID("demo1", "127.0.0.1:1024"), `{"service_name":"demo1","upstream":"127.0.0.1:1024","weight":1,"status":1}`, "left out: key, time",
		},
		"a node of an early version": {
			"discovery/demo1/127.0.0.1:1024", `{"key":"/demo1/127.0.0.1:1024","service_name":" demo1","upstream":"127.0.0.1:1024 ","weight":2,"status":0}`,
			"discovery/" + control.NodeID("demo1", "127.0.0.1:1024"), `{"service_name":"demo1","upstream":"127.0.0.1:1024","weight":2,"status":0}`, "white space around upstream is gone",
		},
		"a node of the first version": {
			"discovery/demo1/127.0.0.1:1024", `3`,
			"discovery/" + control.NodeID("demo1", "127.0.0.1:1024"), `{"service_name":"demo1","upstream":"127.0.0.1:1024","weight":3}`, "which was the weight alone",
		},
		"a node that is neither in nor out": {
			"discovery/demo1/127.0.0.1:1024", `{"service_name":"demo1","upstream":"127.0.0.1:1024","weight":2,"status":2}`,
			"discovery/" + control.NodeID("demo1", "127.0.0.1:1024"), `{"service_name":"demo1","upstream":"127.0.0.1:1024","weight":2,"status":0}`, "neither 1 nor 0",
		},
	} {
		got := one(tc.key, tc.value)
		if got.Key != tc.wantKey || string(got.Value) != tc.want || !strings.Contains(strings.Join(got.Changes, "\n"), tc.says) {
			t.Errorf("%s:\n%s %s\n%v\n%v\nwant\n%s %s", name, got.Key, got.Value, got.Changes, got.Problems, tc.wantKey, tc.want)
		}
	}
}

// What cannot be taken is named, with the reason, and takes nothing else with it.
func TestWhatCannotBeTakenIsNamed(t *testing.T) {
	for value, want := range map[string]string{
		`{`:   "JSON",
		`[]`:  "wants an object",
		`"x"`: "wants an object",
		`{"prefix":"/a","service_name":"s","plugins":["limit-req"]}`:                                                          `"limit-req" is not a plugin`,
		`{"prefix":"/a","service_name":"s","plugins":["rewrite"],"props":{"rewrite_url_regex":"(?=a)","rewrite_replace":""}}`: "a lookahead",
		`{"prefix":"/a","service_name":"s","hosts":["a b"]}`:                                                                  "hosts[0]",
		`{"prefix":"/a","service_name":"s","acl":true}`:                                                                       "unknown key",
		`{"prefix":"/a","prefix":"/b","service_name":"s"}`:                                                                    "given twice",
		`{"prefix":"/a","service_name":"s","plugins":[7]}`:                                                                    "wants the name of a plugin",
	} {
		got := one("routes/a", value)
		if got.Value != nil || got.Skipped || !strings.Contains(got.Problems.Error(), want) {
			t.Errorf("%s: %s, problems %v, want %q", value, got.Value, got.Problems, want)
		}
	}
}

func TestSeveralKeysOfOneResource(t *testing.T) {
	id := control.RouteID("/a/*")
	older, newer := `{"prefix":"/a/*","service_name":"old"}`, `{"prefix":"/a/*","service_name":"new"}`
	for _, entries := range [][]control.Entry{
		{{Key: "routes/" + id, Value: []byte(older), ModRevision: 1}, {Key: "routes/a/*", Value: []byte(newer), ModRevision: 2}},
		{{Key: "routes/a/*", Value: []byte(newer), ModRevision: 2}, {Key: "routes/" + id, Value: []byte(older), ModRevision: 1}},
	} {
		taken := 0
		for _, item := range Convert(entries, Options{}) {
			switch {
			case item.Value != nil && strings.Contains(string(item.Value), "new"):
				taken++
			case item.Value != nil || !item.Skipped:
				t.Errorf("%+v", item)
			}
		}
		if taken != 1 {
			t.Errorf("%d taken", taken)
		}
	}
}

// A copy of a node that is kept alive by its lease would outlive it; accounts hold for one store; what is no resource is not looked at.
func TestWhatStaysBehind(t *testing.T) {
	node := control.Entry{Key: "discovery/x", Value: []byte(`{"service_name":"s","upstream":"127.0.0.1:1"}`), Leased: true}
	if got := Convert([]control.Entry{node}, Options{}); !got[0].Skipped || got[0].Value != nil {
		t.Errorf("%+v", got[0])
	}
	if got := Convert([]control.Entry{node}, Options{Leased: true}); got[0].Value == nil {
		t.Errorf("%+v", got[0])
	}
	for _, key := range []string{"users/alice", "secrets/sessions", "history/1", "lock", "routes/"} {
		if got := one(key, "{}"); !got.Skipped || got.Value != nil {
			t.Errorf("%s: %+v", key, got)
		}
	}
	if got := one("services/s", `{"nodes":[]}`); string(got.Value) != `{"nodes":[]}` {
		t.Errorf("%+v", got)
	}
}

// Nodes come before the routes that need them.
func TestTheOrderIsThatOfNeed(t *testing.T) {
	items := Convert([]control.Entry{
		{Key: "routes/a", Value: []byte(`{"prefix":"/a","service_name":"s"}`)}, {Key: "services/s", Value: []byte(`{}`)},
		{Key: "discovery/x", Value: []byte(`{"service_name":"s","upstream":"127.0.0.1:1"}`)},
	}, Options{})
	var keys []string
	for _, item := range items {
		keys = append(keys, item.From)
	}
	if got := strings.Join(keys, " "); got != "discovery/x services/s routes/a" {
		t.Error(got)
	}
}
