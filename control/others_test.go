package control

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"sluice/core/observe"
	"sluice/internal/testnet"
	"sluice/internal/unit"
	"sluice/proxy"
	"sluice/upstream"
)

func certificateJSON(t *testing.T, cert, key string, snis ...string) string {
	t.Helper()
	value, err := json.Marshal(Certificate{Cert: cert, Key: key, SNIs: snis})
	if err != nil {
		t.Fatal(err)
	}
	return string(value)
}

// A chain and a key that are not one another's, or names that nobody can ask for, would only be found out by clients.
func TestACertificateMustHaveItsOwnKeyAndNames(t *testing.T) {
	cert, key := testnet.Certificate(t, 48*time.Hour, "a.example.com", "*.b.example.com")
	_, other := testnet.Certificate(t, 48*time.Hour, "a.example.com")
	nameless, itsKey := testnet.Certificate(t, 48*time.Hour)
	for _, c := range []struct{ value, want string }{
		{`{}`, "cert: is missing; key: is missing"},
		{certificateJSON(t, "x", key), "cert: has no certificate in PEM in it"},
		{certificateJSON(t, "x", "y"), "cert: has no certificate in PEM in it; key: has no private key in PEM in it"},
		{certificateJSON(t, cert, "y"), "key: tls: failed to find any PEM data"},
		{certificateJSON(t, cert, cert), "key: tls: found a certificate rather than a key"},
		{certificateJSON(t, cert, "y", "a b"), "snis[0]: \"a b\""},
		{certificateJSON(t, cert, "y", "a b"), "key: tls"},
		{certificateJSON(t, cert, other), "key: tls: private key does not match public key"},
		{certificateJSON(t, cert, key, "a b"), "snis[0]: \"a b\""},
		{certificateJSON(t, nameless, itsKey), "snis: are missing"},
		{strings.Replace(certificateJSON(t, cert, key), "{", `{"id":"other",`, 1), `id: "other" is not the "main" of the key`},
		{certificateJSON(t, strings.Repeat("x", maxChain+1), key), "cert: is longer than"},
	} {
		if err := Check("certificates/main", []byte(c.value)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60s: %v, want %q in it", c.value, err, c.want)
		}
	}
	c, err := DecodeCertificate("main", []byte(certificateJSON(t, cert, key)))
	if err != nil || c.ID != "main" || strings.Join(c.SNIs, " ") != "a.example.com *.b.example.com" || c.TLS().PrivateKey == nil {
		t.Fatalf("%+v, %v", c, err)
	}
}

func TestACertificateWarnsOfWhatAClientWouldRefuse(t *testing.T) {
	cert, key := testnet.Certificate(t, 30*24*time.Hour, "a.example.com", "*.b.example.com")
	c, err := DecodeCertificate("main", []byte(certificateJSON(t, cert, key, "a.example.com", "*.b.example.com", "c.example.com", "*")))
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range []struct {
		when time.Duration
		want string
	}{{0, ""}, {-48 * time.Hour, "cert: is not valid before"}, {25 * 24 * time.Hour, "cert: expires at"}, {40 * 24 * time.Hour, "cert: expired at"}} {
		warnings := c.Warnings(time.Now().Add(one.when)).Error()
		if !strings.Contains(warnings, one.want) || !strings.Contains(warnings, `snis[2]: the certificate is not made out for "c.example.com"`) ||
			strings.Count(warnings, "snis") != 1 {
			t.Errorf("in %v: %s", one.when, warnings)
		}
	}
}

func TestAConsumersCredentialsAreChecked(t *testing.T) {
	for _, c := range []struct{ value, want string }{
		{`{"groups":["a","a","b/c"]}`, `groups[1]: "a" is given twice; groups[2]: "b/c" has a slash`},
		{`{"status":2}`, "status: 2 is neither"},
		{`{"credentials":{"key-auth":{}}}`, "credentials.key-auth.key: is missing"},
		{`{"credentials":{"key-auth":{"key":"a\nb"}}}`, "credentials.key-auth.key: has a control character"},
		{`{"credentials":{"basic-auth":{"username":"a:b","password":"x"}}}`, "has a colon"},
		{`{"credentials":{"basic-auth":{}}}`, "credentials.basic-auth.password: is missing"},
		{`{"credentials":{"jwt-auth":{"algorithm":"none"}}}`, `credentials.jwt-auth.algorithm: "none" is none of`},
		{`{"credentials":{"jwt-auth":{}}}`, "credentials.jwt-auth.secret: is missing"},
		{`{"credentials":{"jwt-auth":{"algorithm":"RS256","secret":"x"}}}`, "secret: has no use with RS256"},
		{`{"credentials":{"hmac-auth":{}}}`, "credentials.hmac-auth.secret: is missing"},
		{`{"credentials":{"keyauth":{}}}`, `unknown key; did you mean "key-auth"`},
	} {
		if err := Check("consumers/a", []byte(c.value)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q in it", c.value, err, c.want)
		}
	}
	c, err := DecodeConsumer("jack", []byte(`{"credentials":{"basic-auth":{"password":"p"},"jwt-auth":{"secret":"s"},"hmac-auth":{"secret":"s"}}}`))
	if err != nil || c.Credentials.BasicAuth.Username != "jack" || c.Credentials.JWTAuth.Key != "jack" || c.Credentials.HMACAuth.KeyID != "jack" {
		t.Errorf("%+v, %v", c, err)
	}
}

// Settings are what the contract calls the live configuration of all gateways: each has an effect or is refused.
func TestSettingsAreHandedOverWhenTheyChange(t *testing.T) {
	var got []LiveSettings
	stats := observe.NewRegistry(1)
	registry := upstream.NewRegistry(nil, stats)
	defer registry.Close()
	e := NewEngine(Options{Upstream: registry, Stats: stats, Publish: func(*proxy.Snapshot) {}, Configure: func(s LiveSettings) { got = append(got, s) }})
	revision := int64(0)
	apply := func(changes ...Change) {
		revision++
		for i := range changes {
			changes[i].ModRevision = revision
		}
		e.Apply(Batch{Revision: revision, Changes: changes})
	}
	apply(put("routes/a", route("/a", "a")))
	if len(got) != 0 {
		t.Fatalf("told of settings that are not there: %+v", got)
	}
	apply(put("settings/limits", `{"body":"1KiB"}`), put("settings/log_level", `{"level":"debug"}`))
	if len(got) != 1 || got[0].Limits == nil || *got[0].LogLevel != slog.LevelDebug || got[0].Timeouts != nil {
		t.Fatalf("%+v", got)
	}
	limits := proxy.LimitsConfig{HeaderCount: 7, Body: 5}
	got[0].Limits(&limits)
	if limits.Body != unit.Size(1<<10) || limits.HeaderCount != 7 {
		t.Errorf("what is stored goes over the file, and nothing else: %+v", limits)
	}
	apply(put("settings/limits", `{"body":"1KiB","pipeline":0}`)) // bad: what was good stays
	apply(put("settings/nothing", `{}`))
	apply(put("settings/path_policy", `{"ambiguous":"guess"}`))
	apply(del("settings/path_policy"))
	if len(got) != 1 || len(e.Status().Errors) != 2 || !e.Status().Errors[0].Previous || e.Status().Errors[1].Previous || e.Status().Settings != 2 {
		t.Errorf("%d, %+v", len(got), e.Status().Errors)
	}
	apply(put("settings/health", `{"active":{"type":"http","path":"/up"},"passive":{}}`))
	if h := got[len(got)-1].Health; len(got) != 2 || h == nil || h.Active.Path != "/up" || h.Active.Interval.Std() != 3*time.Second || h.Passive.ConsecutiveFailures != 5 {
		t.Errorf("%+v", got[len(got)-1].Health)
	}
	apply(put("settings/health", `{"active":{"type":"none"}}`)) // the half that is left out stays what it is without the setting
	if h := got[len(got)-1].Health; len(got) != 3 || h.Active.Type != "none" || h.Passive == nil || h.Passive.ConsecutiveFailures != 5 {
		t.Errorf("%+v", h)
	}
	apply(put("settings/health", `{"active":{"type":"smtp"}}`))
	if len(got) != 3 || len(e.Status().Errors) != 3 {
		t.Errorf("%d, %+v", len(got), e.Status().Errors)
	}
	apply(del("settings/health"))
	if len(got) != 4 || got[3].Health != nil {
		t.Errorf("%+v", got[len(got)-1])
	}
	apply(del("settings/limits"), del("settings/nothing"))
	if len(got) != 5 || got[4].Limits != nil || got[4].LogLevel == nil || len(e.Status().Errors) != 0 {
		t.Errorf("%+v, %+v", got, e.Status().Errors)
	}
}

func TestConsumersAndCertificatesKeepTheirLastGoodVersion(t *testing.T) {
	b := newBench(t)
	cert, key := testnet.Certificate(t, 48*time.Hour, "a.example.com")
	b.apply(put("consumers/a", `{"credentials":{"key-auth":{"key":"k"}}}`), put("certificates/a", certificateJSON(t, cert, key)))
	b.wantErrors()
	b.apply(put("consumers/a", `{"groups":1}`), put("certificates/a", `{}`), put("consumers/b", `1`))
	b.wantErrors("certificates/a", "consumers/a", "consumers/b")
	if s := b.Status(); s.Consumers != 1 || s.Certificates != 1 || !s.Errors[0].Previous || !s.Errors[1].Previous || s.Errors[2].Previous {
		t.Errorf("%+v", s)
	}
	b.apply(del("consumers/a"), del("certificates/a"), del("consumers/b"))
	b.wantErrors()
	if s := b.Status(); s.Consumers != 0 || s.Certificates != 0 {
		t.Errorf("%+v", s)
	}
}

// settings/plugins are plugins of every route: a change costs nothing of the routes.
func TestPluginsOfEveryRouteAreOnTheSnapshot(t *testing.T) {
	b := newBench(t)
	b.apply(put("routes/a", route("/a", "a")))
	if b.now.Plugins != nil {
		t.Fatal("plugins that nobody wants")
	}
	table := b.now.Routes
	b.apply(put("settings/plugins", `{"request-id":{},"proxy-rewrite":{"uri":"/x"}}`))
	if b.now.Plugins == nil || strings.Join(b.now.Plugins.Names(), " ") != "request-id proxy-rewrite" || b.now.Routes != table {
		t.Errorf("%+v", b.now)
	}
	times, chain := b.times, b.now.Plugins
	b.apply(put("settings/limits", `{"body":"1KiB"}`))
	b.apply(put("settings/plugins", `{"request-id":{"nothing":1}}`)) // bad: what was good stays
	if b.times != times || b.now.Plugins != chain {
		t.Errorf("%d snapshots more", b.times-times)
	}
	b.wantErrors("settings/plugins")
	b.apply(del("settings/plugins"))
	if b.now.Plugins != nil {
		t.Error("they are still there")
	}
	for value, want := range map[string]string{
		`{"nothing":{}}`: `nothing: "nothing" is not a plugin`, `{"request-id":1}`: "request-id: wants an object", `[]`: "wants an object",
		`{"proxy-rewrite":{"regex_uri":["("]}}`: "proxy-rewrite.regex_uri",
	} {
		if err := Check("settings/plugins", []byte(value)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", value, err, want)
		}
	}
}
