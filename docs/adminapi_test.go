package docs_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"sluice/control"
	"sluice/control/admin"
	"sluice/core/observe"
)

var update = flag.Bool("update", false, "write the pages that are generated")

// generated is the line of a page below which everything is made from the code.
const generated = "<!-- From here on this page is made from the code: go test ./docs -update -->\n"

func TestTheReferenceOfTheAdminAPIIsItsDescription(t *testing.T) {
	server := admin.New(admin.Deps{
		Token: "the-token-of-this-test", Version: "test", Stats: observe.NewRegistry(1), Status: func() *control.Status { return new(control.Status) },
	})
	r := httptest.NewRequest("GET", "/v1/openapi.json", nil)
	r.Header.Set("X-Api-Token", "the-token-of-this-test")
	w := httptest.NewRecorder()
	server.Handler().ServeHTTP(w, r)
	var d apiDescription
	if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	checkGenerated(t, "reference/admin-api.md", d.render())
}

// checkGenerated compares the generated part of a page, or writes it.
func checkGenerated(t *testing.T, path, want string) {
	t.Helper()
	written, below, ok := strings.Cut(read(t, path), generated)
	if !ok {
		t.Fatalf("%s has no line %s", path, generated)
	}
	if below == want {
		return
	}
	if !*update {
		t.Fatalf("%s is not what the code says: run go test ./docs -update", path)
	}
	if err := os.WriteFile(path, []byte(written+generated+want), 0o644); err != nil {
		t.Fatal(err)
	}
}

// apiDescription is as much of OpenAPI as the page shows.
type apiDescription struct {
	Paths      map[string]map[string]apiCall
	Components struct{ Schemas map[string]apiSchema }
}

type apiCall struct {
	OperationID string `json:"operationId"`
	Summary     string
	Description string
	Tags        []string
	Security    *[]map[string][]string
	Parameters  []struct {
		Name, In    string
		Description string
		Schema      apiSchema
	}
	RequestBody *struct {
		Content map[string]struct{ Schema apiSchema }
	}
	Responses map[string]struct {
		Description string
		Content     map[string]struct{ Schema apiSchema }
	}
}

type apiSchema struct {
	Ref                  string `json:"$ref"`
	Type                 any
	Format               string
	Description          string
	Enum                 []any
	Default              any
	Minimum, Maximum     *float64
	Items                *apiSchema
	OneOf, AnyOf         []apiSchema
	Properties           map[string]apiSchema
	Required             []string
	AdditionalProperties any
}

// order of the sections: what an operator needs first.
var sections = []struct{ tag, title string }{
	{"routes", "Routes"}, {"services", "Services"}, {"nodes", "Nodes"}, {"consumers", "Consumers"}, {"certificates", "Certificates"}, {"settings", "Settings"},
	{"apply", "Apply"}, {"history", "History"}, {"gateway", "The gateway"}, {"probes", "Probes and metrics"},
}

func (d *apiDescription) render() string {
	var b strings.Builder
	shown := map[string]bool{}
	section := func(tag, title string) {
		fmt.Fprintf(&b, "\n## %s\n", title)
		for _, path := range slices.Sorted(maps.Keys(d.Paths)) {
			for _, method := range []string{"get", "post", "put", "patch", "delete"} {
				if call, ok := d.Paths[path][method]; ok && len(call.Tags) > 0 && call.Tags[0] == tag {
					call.render(&b, strings.ToUpper(method), path)
					shown[method+path] = true
				}
			}
		}
	}
	known := map[string]bool{}
	for _, s := range sections {
		known[s.tag] = true
		section(s.tag, s.title)
	}
	others := map[string]bool{}
	for _, calls := range d.Paths {
		for _, call := range calls {
			if len(call.Tags) > 0 && !known[call.Tags[0]] {
				others[call.Tags[0]] = true
			}
		}
	}
	for _, tag := range slices.Sorted(maps.Keys(others)) {
		section(tag, strings.ToUpper(tag[:1])+tag[1:])
	}
	b.WriteString("\n## Objects\n")
	for _, name := range slices.Sorted(maps.Keys(d.Components.Schemas)) {
		d.Components.Schemas[name].render(&b, name)
	}
	return b.String()
}

func (c *apiCall) render(b *strings.Builder, method, path string) {
	fmt.Fprintf(b, "\n### %s `%s`\n\n%s.", method, path, c.Summary)
	if c.Description != "" {
		b.WriteString(" " + c.Description)
	}
	if c.Security != nil {
		b.WriteString(" No token is needed.")
	}
	b.WriteString("\n\n")
	for _, p := range c.Parameters {
		fmt.Fprintf(b, "- `%s` (%s): %s%s\n", p.Name, p.In, p.Schema.word(), said(p.Description)+p.Schema.bounds())
	}
	if c.RequestBody != nil {
		for _, kind := range slices.Sorted(maps.Keys(c.RequestBody.Content)) {
			fmt.Fprintf(b, "- body, `%s`: %s\n", kind, c.RequestBody.Content[kind].Schema.word())
		}
	}
	for _, status := range slices.Sorted(maps.Keys(c.Responses)) {
		answer := c.Responses[status]
		if status == "default" {
			continue // the same everywhere: the top of the page has it
		}
		fmt.Fprintf(b, "- %s: %s", status, answer.Description)
		for _, kind := range slices.Sorted(maps.Keys(answer.Content)) {
			if word := answer.Content[kind].Schema.word(); word != "anything" {
				b.WriteString("; " + word)
			}
		}
		b.WriteString("\n")
	}
}

func said(description string) string {
	if description == "" {
		return ""
	}
	return "; " + description
}

// word names a type.
func (s apiSchema) word() string {
	switch {
	case s.Ref != "":
		name := s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]
		return "[" + name + "](#" + strings.ToLower(name) + ")"
	case len(s.OneOf)+len(s.AnyOf) > 0:
		var words []string
		for _, one := range append(s.OneOf, s.AnyOf...) {
			words = append(words, one.word())
		}
		return strings.Join(words, " or ")
	case s.Items != nil:
		return "list of " + s.Items.word()
	}
	switch t := s.Type.(type) {
	case string:
		if s.Format == "date-time" {
			return "time"
		}
		return t
	case []any: // with null
		return fmt.Sprint(t[0])
	}
	return "anything"
}

func (s apiSchema) bounds() string {
	text := ""
	if len(s.Enum) > 0 {
		text += "; one of " + strings.Trim(fmt.Sprint(s.Enum), "[]")
	}
	if s.Minimum != nil && s.Maximum != nil {
		text += fmt.Sprintf("; from %v to %v", *s.Minimum, *s.Maximum)
	}
	if s.Default != nil {
		text += fmt.Sprintf("; default %v", s.Default)
	}
	return text
}

func (s apiSchema) render(b *strings.Builder, name string) {
	fmt.Fprintf(b, "\n### %s\n\n", name)
	if s.Description != "" {
		b.WriteString(s.Description + "\n\n")
	}
	if len(s.Properties) == 0 {
		if word := s.word(); word != "object" {
			b.WriteString(word + "\n")
		}
		return
	}
	b.WriteString("| key | type | |\n|---|---|---|\n")
	for _, key := range slices.Sorted(maps.Keys(s.Properties)) {
		if key == "$schema" {
			continue
		}
		p := s.Properties[key]
		text := strings.TrimPrefix(said(p.Description)+p.bounds(), "; ")
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", key, p.word(), strings.ReplaceAll(text, "|", `\|`))
	}
}
