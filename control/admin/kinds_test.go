package admin

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/control"
	"sluice/internal/testnet"
)

// Contract, section 4: consumers, certificates and settings have the calls that routes have.
func TestEveryKindIsCreatedReadListedAndDeleted(t *testing.T) {
	g := newGateway(t)
	cert, key := testnet.Certificate(t, 48*time.Hour, "a.example.com")
	certificate, err := json.Marshal(map[string]string{"cert": cert, "key": key})
	if err != nil {
		t.Fatal(err)
	}
	for path, body := range map[string]string{
		"/v1/consumers/jack":     `{"groups":["staff"]}`,
		"/v1/certificates/main":  string(certificate),
		"/v1/settings/limits":    `{"body":"1MiB"}`,
		"/v1/settings/log_level": `{"level":"debug"}`,
		"/v1/settings/timeouts":  `{"drain":"1s"}`,
	} {
		g.do("PUT", path, body).want(201)
		g.do("GET", path, "").want(200)
		var page Page
		kind := path[:strings.LastIndexByte(path, '/')]
		g.do("GET", kind, "").want(200).into(&page)
		if len(page.Items) != 1 {
			t.Errorf("%s: %+v", kind, page)
		}
		g.do("DELETE", path, "").want(204)
	}
	g.do("PUT", "/v1/settings/limit", `{}`).want(422)
	g.do("PUT", "/v1/settings/limits", `{"bodies":1}`).want(422)
}

// Secrets never leave through any call: not in answers, lists, searches, plans or refusals.
func TestSecretsAreNeverShown(t *testing.T) {
	g := newGateway(t)
	const secret = "hunter2hunter2"
	body := `{"credentials":{"key-auth":{"key":"` + secret + `"},"basic-auth":{"password":"` + secret + `"},"hmac-auth":{"secret":"` + secret + `"}}}`
	hidden := func(a *answer) *answer {
		t.Helper()
		if strings.Contains(a.body, "hunter2") {
			t.Errorf("shown: %s", a.body)
		}
		return a
	}
	hidden(g.do("PUT", "/v1/consumers/jack?dry_run=1", body).want(200))
	hidden(g.do("PUT", "/v1/consumers/jack", body).want(201))
	hidden(g.do("PUT", "/v1/consumers/jack", body).want(200))
	read := hidden(g.do("GET", "/v1/consumers/jack", "").want(200))
	hidden(g.do("GET", "/v1/consumers", "").want(200))
	if found := hidden(g.do("GET", "/v1/consumers?q=hunter", "").want(200)); strings.Contains(found.body, "jack") {
		t.Errorf("a secret can be searched for: %s", found.body)
	}
	hidden(g.do("PATCH", "/v1/consumers/jack", `{"groups":["a"]}`).want(200))
	plan := hidden(g.do("PATCH", "/v1/consumers/jack?dry_run=1", `{"credentials":{"key-auth":{"key":"other"}}}`).want(200))
	if !strings.Contains(plan.body, `{"path":"credentials.key-auth.key","before":"redacted","after":"redacted"}`) {
		t.Errorf("that a secret would change is not said: %s", plan.body)
	}
	hidden(g.do("DELETE", "/v1/consumers/jack?dry_run=1", "").want(200))

	// What was read can be written back, and keeps the secrets.
	before := g.store.value("consumers/jack")
	g.do("PUT", "/v1/consumers/jack", strings.Replace(read.body, "{", `{"groups":["a"],`, 1)).want(200)
	if got := g.store.value("consumers/jack"); strings.Count(got, secret) != 3 || strings.Contains(got, control.Redacted) {
		t.Errorf("stored: %s, before: %s", got, before)
	}
	_, at := g.do("PUT", "/v1/consumers/new", `{"credentials":{"key-auth":{"key":"redacted"}}}`).want(422).problems()
	if !slices.Equal(at, []string{"body.credentials.key-auth.key"}) {
		t.Errorf("%q", at)
	}
	g.store.set("consumers/broken", `{"credentials":{"key-auth":{"key":"`+secret)
	hidden(g.do("GET", "/v1/consumers/broken", "").want(200))
	hidden(g.do("GET", "/v1/consumers", "").want(200))
	hidden(g.do("DELETE", "/v1/consumers/broken?dry_run=1", "").want(200))
}

// In what was written past the API a secret may be where none belongs. Such a value is not shown at all.
func TestAValueThatIsNotValidIsNotShownWhereItMayHoldSecrets(t *testing.T) {
	const secret = "hunter2hunter2"
	for key, value := range map[string]string{
		"consumers/text":    `"` + secret + `"`,
		"consumers/list":    `{"credentials":["` + secret + `"]}`,
		"consumers/short":   `{"credentials":{"key-auth":"` + secret + `"}}`,
		"consumers/named":   `{"credentials":{"key-auth":{"Key":"` + secret + `"}}}`,
		"certificates/case": `{"snis":["a.b"],"cert":"","Key":"` + secret + `"}`,
		"services/case":     `{"tls":{"clientKey":"` + secret + `"}}`,
	} {
		g := newGateway(t)
		g.store.set(key, value)
		kind, _, _ := strings.Cut(key, "/")
		one := g.do("GET", "/v1/"+key, "").want(200)
		if one.body != control.Redacted || !strings.HasPrefix(one.header.Get("Content-Type"), "text/plain") {
			t.Errorf("%s: %q %q", key, one.header.Get("Content-Type"), one.body)
		}
		answers := []*answer{
			g.do("GET", "/v1/"+kind, "").want(200), g.do("GET", "/v1/"+kind+"?q=hunter2", "").want(200), g.do("DELETE", "/v1/"+key+"?dry_run=1", "").want(200),
		}
		g.do("DELETE", "/v1/"+key, "").want(204)
		var page HistoryPage
		g.do("GET", "/v1/history", "").want(200).into(&page)
		answers = append(answers, g.do("GET", fmt.Sprint("/v1/history/", page.Items[0].Revision), "").want(200))
		for _, a := range answers {
			if strings.Contains(a.body, secret) {
				t.Errorf("%s is shown: %s", key, a.body)
			}
		}
		if last := answers[len(answers)-1].body; !strings.Contains(last, `"before":"redacted"`) {
			t.Errorf("%s: that it is gone is not said: %s", key, last)
		}
	}
}
