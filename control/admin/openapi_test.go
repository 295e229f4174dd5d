package admin

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

type described struct {
	OpenAPI    string `json:"openapi"`
	Info       struct{ Title, Version string }
	Security   []map[string][]string
	Paths      map[string]map[string]describedCall
	Components struct {
		Schemas         map[string]describedSchema
		SecuritySchemes map[string]json.RawMessage
	}
}

type describedCall struct {
	OperationID string `json:"operationId"`
	Security    *[]map[string][]string
	Parameters  []struct{ Name, In string }
	RequestBody struct{ Content map[string]json.RawMessage }
	Responses   map[string]json.RawMessage
}

type describedSchema struct {
	Properties map[string]json.RawMessage
	Required   []string
}

// Contract, section 4: GET /v1/openapi.json is OpenAPI 3.1 of all calls.
func TestTheDescriptionHasEveryCall(t *testing.T) {
	g := newGateway(t)
	var d described
	text := g.do("GET", "/v1/openapi.json", "").want(200)
	text.into(&d)
	if !strings.HasPrefix(d.OpenAPI, "3.1.") || d.Info.Version != "1.2.3" || len(d.Security) != 3 || len(d.Components.SecuritySchemes) != 3 {
		t.Errorf("%s %+v %v", d.OpenAPI, d.Info, d.Security)
	}
	want := []string{
		"GET /healthz", "GET /readyz", "GET /metrics", "GET /v1/plugins", "GET /v1/status", "GET /v1/openapi.json", "POST /v1/nodes",
		"POST /v1/apply", "POST /v1/explain", "GET /v1/lint", "GET /v1/history", "GET /v1/history/{revision}", "POST /v1/history/{revision}/rollback",
		"GET /v1/users", "POST /v1/users", "PATCH /v1/users/{name}", "DELETE /v1/users/{name}",
	}
	for _, kind := range []string{"routes", "services", "nodes", "consumers", "certificates", "settings"} {
		want = append(want, "GET /v1/"+kind)
		for _, method := range []string{"GET", "PUT", "PATCH", "DELETE"} {
			want = append(want, method+" /v1/"+kind+"/{id}")
		}
	}
	for _, p := range profiles {
		want = append(want, "GET /debug/pprof/"+p.name)
	}
	for _, call := range append(seedCalls(nil), (*logins)(nil).calls()...) {
		for _, method := range call.methods {
			want = append(want, method+" "+call.path)
		}
	}
	var got []string
	for path, calls := range d.Paths {
		for method, call := range calls {
			got = append(got, strings.ToUpper(method)+" "+path)
			if call.OperationID == "" {
				t.Errorf("%s %s has no operationId", method, path)
			}
			if isOpen := call.Security != nil && len(*call.Security) == 1 && len((*call.Security)[0]) == 0; isOpen != open[path] {
				t.Errorf("%s %s: described as open: %v", method, path, isOpen)
			}
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("described:\n%q\nwant:\n%q", got, want)
	}
}

func TestTheDescriptionHasTheResourcesAsTheyAreDecoded(t *testing.T) {
	g := newGateway(t)
	var d described
	text := g.do("GET", "/v1/openapi.json", "").want(200)
	text.into(&d)
	for name, keys := range map[string][]string{
		"Route":       {"id", "hosts", "prefix", "paths", "methods", "when", "service_name", "plugins", "timeout", "retry", "props"},
		"Service":     {"name", "balancer", "health", "nodes", "retry", "pool"},
		"Node":        {"service_name", "upstream", "weight", "status", "metadata"},
		"Consumer":    {"groups", "credentials"},
		"Certificate": {"cert", "key", "snis"},
		"Problem":     {"title", "status", "detail", "errors"},
	} {
		for _, key := range keys {
			if d.Components.Schemas[name].Properties[key] == nil {
				t.Errorf("%s has no %s", name, key)
			}
		}
	}
	if got := d.Components.Schemas["Service"].Required; len(got) != 0 {
		t.Errorf("a service without %q is valid", got)
	}
	put := d.Paths["/v1/routes/{id}"]["put"]
	if !strings.Contains(string(put.RequestBody.Content["application/json"]), "#/components/schemas/Route") {
		t.Errorf("body of PUT: %s", put.RequestBody.Content)
	}
	for _, status := range []string{"200", "201", "default"} {
		if put.Responses[status] == nil {
			t.Errorf("PUT has no answer %s", status)
		}
	}
	var parameters []string
	for _, p := range put.Parameters {
		parameters = append(parameters, p.In+" "+p.Name)
	}
	for _, want := range []string{"path id", "query dry_run", "header If-Match", "header If-None-Match"} {
		if !slices.Contains(parameters, want) {
			t.Errorf("PUT has no %s, only %q", want, parameters)
		}
	}
	if d.Paths["/v1/routes/{id}"]["patch"].RequestBody.Content["application/merge-patch+json"] == nil {
		t.Error("PATCH takes no merge patch")
	}
	// Every reference leads somewhere.
	for _, part := range strings.Split(text.body, `"$ref":"#/components/schemas/`)[1:] {
		name, _, _ := strings.Cut(part, `"`)
		if _, ok := d.Components.Schemas[name]; !ok {
			t.Errorf("no schema %s", name)
		}
	}
}
