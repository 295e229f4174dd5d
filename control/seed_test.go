package control

import (
	"slices"
	"testing"
)

// A store of ws-cloud-gateway, as its own scripts fill it and as its versions have: md5 keys and keys of prefixes, slashes that Lua escapes, lists that it has made objects of, times in
// either form, plugins by name. It is served as it is.
func TestAStoreOfWsCloudGatewayIsServedAsItIs(t *testing.T) {
	b := newBench(t)
	id := RouteID
	b.resync(
		put("routes/"+id("/openapi/demo1/*"), `{"key":"`+id("/openapi/demo1/*")+`","prefix":"\/openapi\/demo1\/*","status":1,"service_name":"demo1","protocol":"http","plugins":["discovery","tracing","rewrite"],`+
			`"props":{"rewrite_url_regex":"^\/openapi\/(.*)\/","rewrite_replace":"\/openapi\/"},"time":1591234567890}`),
		put("routes/"+id("/innerapi/demo1/*"), `{"prefix":"/innerapi/demo1/*","status":1,"service_name":"demo1","protocol":"http","plugins":["discovery","tracing","rewrite"],`+
			`"props":{"rewrite_url_regex":"^/innerapi/(.*)/","rewrite_replace":"/"},"remark":"","time":1.59123456789e+12}`),
		put("routes/openapi/demo2/*", `{"key":"\/openapi\/demo2\/*","prefix":"\/openapi\/demo2\/*","status":1,"service_name":"demo2","protocol":"http","plugins":["discovery","tracing"],"props":{}}`),
		put("routes/"+id("/grpc.hello.*"), `{"prefix":"/grpc.hello.*","status":1,"service_name":"grpc-demo","protocol":"grpc","plugins":["discovery","tracing"],"props":{}}`),
		put("routes/"+id("/off/*"), `{"prefix":"/off/*","status":0,"service_name":"demo1","protocol":"http","plugins":{},"props":{},"hosts":{}}`),
		put("routes/"+id("/none/*"), `{"prefix":"/none/*","status":1,"service_name":"demo1","protocol":"http","plugins":["default"],"props":[],"propsData":"{}","_rowKey":3}`),
		put("discovery/"+NodeID("demo1", "127.0.0.1:1024"), `{"key":"`+NodeID("demo1", "127.0.0.1:1024")+`","service_name":"demo1","upstream":"127.0.0.1:1024","weight":1,"status":1,"time":1591234567890}`),
		put("discovery/demo1/127.0.0.1:1025", `{"key":"\/demo1\/127.0.0.1:1025","service_name":"demo1","upstream":"127.0.0.1:1025","weight":1,"status":1}`),
		put("discovery/demo2/127.0.0.1:1026", `{"service_name":"demo2","upstream":"127.0.0.1:1026","weight":"1","status":"1"}`),
		put("discovery/"+NodeID("demo2", "127.0.0.1:1027"), `{"service_name":"demo2","upstream":"127.0.0.1:1027","weight":1,"status":0}`),
		put("discovery/"+NodeID("grpc-demo", "127.0.0.1:2021"), `{"service_name":"grpc-demo","upstream":"127.0.0.1:2021","weight":1,"status":1}`),
	)
	b.wantErrors()
	for path, route := range map[string]string{
		"/openapi/demo1/hello": id("/openapi/demo1/*"), "/innerapi/demo1/hello": id("/innerapi/demo1/*"), "/openapi/demo2/hello": "openapi/demo2/*",
		"/grpc.hello.Greeter/SayHello": id("/grpc.hello.*"), "/off/x": "", "/none/x": id("/none/*"), "/other": "",
	} {
		if got := b.match(path); got != route {
			t.Errorf("%s: route %q, want %q", path, got, route)
		}
	}
	for service, want := range map[string][]string{"demo1": {"127.0.0.1:1024", "127.0.0.1:1025"}, "demo2": {"127.0.0.1:1026"}, "grpc-demo": {"127.0.0.1:2021"}} {
		got := b.nodes(service)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", service, got, want)
		}
	}
	// What its panel does: nodes and routes go out and come in by their status, and are deleted.
	b.apply(
		put("discovery/demo1/127.0.0.1:1025", `{"service_name":"demo1","upstream":"127.0.0.1:1025","weight":1,"status":0}`),
		put("discovery/"+NodeID("demo2", "127.0.0.1:1027"), `{"service_name":"demo2","upstream":"127.0.0.1:1027","weight":1,"status":1}`),
		put("routes/"+id("/off/*"), `{"prefix":"/off/*","status":1,"service_name":"demo1","plugins":[]}`), del("routes/openapi/demo2/*"),
	)
	if one, two := b.nodes("demo1"), b.match("/off/x"); !slices.Equal(one, []string{"127.0.0.1:1024"}) || two != id("/off/*") || b.match("/openapi/demo2/hello") != "" {
		t.Errorf("%v %q", one, two)
	}
	// What cannot be done is in error, by name, and takes nothing else with it.
	b.apply(put("routes/"+id("/openapi/demo1/*"), `{"prefix":"/openapi/demo1/*","status":1,"service_name":"demo1","plugins":["rewrite"],"props":{"rewrite_url_regex":"^/(?!admin)","rewrite_replace":"/"}}`),
		put("routes/"+id("/limited/*"), `{"prefix":"/limited/*","status":1,"service_name":"demo1","plugins":["limit-req"]}`))
	b.wantErrors("routes/"+id("/limited/*"), "routes/"+id("/openapi/demo1/*"))
	if b.match("/openapi/demo1/hello") != id("/openapi/demo1/*") {
		t.Error("the good version of a route is gone")
	}
}

// The first version had everything but the weight in the key; all of them serve a node with status 1 and no other. Whoever writes a node today is held to today's form.
func TestNodesOfAllVersionsOfWsCloudGatewayAreServed(t *testing.T) {
	b := newBench(t)
	b.resync(
		put("routes/a", `{"prefix":"/a","service_name":"demo1"}`),
		put("discovery/demo1/127.0.0.1:1024", `1`),
		put("discovery/demo1/127.0.0.1:1025", `"2"`),
		put("discovery/demo1/127.0.0.1:1026", `0`),
		put("discovery/demo1/127.0.0.1:1027", `{"service_name":"demo1","upstream":"127.0.0.1:1027","weight":1,"status":1}`),
		put("discovery/demo1", `1`), put("discovery/demo1/127.0.0.1", `1`), put("discovery/demo1/127.0.0.1:1028", `"heavy"`), put("discovery/demo1/127.0.0.1:1029", `{"status":"x"}`),
	)
	b.wantErrors("discovery/demo1", "discovery/demo1/127.0.0.1", "discovery/demo1/127.0.0.1:1028", "discovery/demo1/127.0.0.1:1029")
	nodes := b.nodes("demo1")
	slices.Sort(nodes)
	if want := []string{"127.0.0.1:1024", "127.0.0.1:1025", "127.0.0.1:1027"}; !slices.Equal(nodes, want) {
		t.Errorf("%v, want %v", nodes, want)
	}
	b.apply(put("discovery/demo1/127.0.0.1:1027", `{"service_name":"demo1","upstream":"127.0.0.1:1027","weight":1,"status":2}`),
		put("discovery/demo1/127.0.0.1:1025", `0`), del("discovery/demo1/127.0.0.1:1024"), put("discovery/demo1/127.0.0.1:1026", `1`))
	if got := b.nodes("demo1"); !slices.Equal(got, []string{"127.0.0.1:1026"}) {
		t.Errorf("after the changes: %v", got)
	}
	if err := Check("discovery/demo1/127.0.0.1:1024", []byte(`1`)); err == nil {
		t.Error("a weight is a node for whoever writes one")
	}
}
