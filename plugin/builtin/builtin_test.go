package builtin

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestNamesAndAliasesAreUniqueAndFindTheirKind(t *testing.T) {
	names := Names()
	if sorted := slices.Compact(slices.Sorted(slices.Values(names))); len(sorted) != len(names) {
		t.Errorf("a name is there twice: %v", names)
	}
	for _, k := range Kinds() {
		for _, name := range append([]string{k.Name}, k.Aliases...) {
			if Find(name) != k {
				t.Errorf("%q does not find %s", name, k.Name)
			}
		}
	}
	if Find("none") != nil {
		t.Error("a plugin was found that there is not")
	}
}

// The contract names these, and those of ws-cloud-gateway.
func TestThePluginsOfTheContractAreThere(t *testing.T) {
	for name, want := range map[string]string{
		"request-id": "request-id", "tracing": "request-id", "proxy-rewrite": "proxy-rewrite", "rewrite": "proxy-rewrite",
	} {
		if k := Find(name); k == nil || k.Name != want {
			t.Errorf("%q is not %s", name, want)
		}
	}
}

func TestEveryPluginIsDocumented(t *testing.T) {
	for _, k := range Kinds() {
		if k.Summary == "" || strings.Contains(k.Summary, "\n") || !json.Valid([]byte(k.Schema)) || k.Build == nil {
			t.Errorf("%s lacks a summary of one line, a schema or Build", k.Name)
		}
	}
}

// Chains run authentication before limits before rewriting; names of equal priority would be ordered by accident.
func TestPrioritiesDiffer(t *testing.T) {
	seen := map[int]string{}
	for _, k := range Kinds() {
		if other, ok := seen[k.Priority]; ok {
			t.Errorf("%s and %s have the same priority", k.Name, other)
		}
		seen[k.Priority] = k.Name
	}
}
