package admin

import (
	"fmt"
	"strings"
	"testing"
)

// Two consumers with the same key cannot be told apart by it: whoever gives one to the second is told so, in a dry run too, and so is who asks for warnings. The key itself is not said.
func TestConsumersWithTheSameCredentialAreWarnedOf(t *testing.T) {
	g := newGateway(t)
	key := func(k string) string { return fmt.Sprintf(`{"credentials":{"key-auth":{"key":%q}}}`, k) }
	if w := g.do("PUT", "/v1/consumers/ann", key("swordfish")).want(201).header.Values(WarningField); len(w) != 0 {
		t.Errorf("the first: %v", w)
	}
	if w := g.do("PUT", "/v1/consumers/bob", key("other")).want(201).header.Values(WarningField); len(w) != 0 {
		t.Errorf("one with another key: %v", w)
	}
	w := g.do("PUT", "/v1/consumers/bob", key("swordfish")).want(200).header.Values(WarningField)
	if len(w) != 1 || !strings.Contains(w[0], "duplicate: credentials.key-auth.key is also that of consumers/ann") || strings.Contains(w[0], "swordfish") {
		t.Errorf("one with the same key: %v", w)
	}
	var l Lint
	g.do("GET", "/v1/lint", "").want(200).into(&l)
	if got := messages(l.Warnings); len(got) != 1 || got[0] != "consumers/bob duplicate" {
		t.Errorf("lint: %v", got)
	}
	g.do("PATCH", "/v1/consumers/ann", `{"status":0}`).want(200) // as if she were not there
	g.do("GET", "/v1/lint", "").want(200).into(&l)
	if len(l.Warnings) != 0 {
		t.Errorf("lint once one is out: %v", l.Warnings)
	}
	// Names that are the ids by default count too: a name may be somebody else's id.
	g.do("PUT", "/v1/consumers/cid", `{"credentials":{"basic-auth":{"password":"p"}}}`).want(201)
	w = g.do("PUT", "/v1/consumers/eve", `{"credentials":{"basic-auth":{"username":"cid","password":"q"}}}`).want(201).header.Values(WarningField)
	if len(w) != 1 || !strings.Contains(w[0], "credentials.basic-auth.username") {
		t.Errorf("the name of another: %v", w)
	}
}
