package control

import (
	"encoding/json"
	"strings"
	"testing"

	"sluice/internal/testcert"
)

// asJSON returns a certificate as it is stored.
func asJSON(t *testing.T, c Certificate) string {
	t.Helper()
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Certificates come into force with the snapshot, and a bad version leaves the good one there.
func TestCertificatesAreInTheSnapshot(t *testing.T) {
	ca, b := testcert.NewAuthority(t), newBench(t)
	one, two := ca.Issue("a.test", "b.test"), ca.Issue("*.c.test")
	b.apply(put("certificates/one", asJSON(t, Certificate{Cert: one.CertPEM, Key: one.KeyPEM})),
		put("certificates/two", asJSON(t, Certificate{Cert: two.CertPEM, Key: two.KeyPEM, Client: &CertificateClient{CA: ca.PEM, Headers: true}})))
	b.wantErrors()
	find := func(name, want string) {
		t.Helper()
		got := ""
		if c := b.now.Certificates.Find(name); c != nil {
			got = c.ID
		}
		if got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	find("b.test", "one")
	find("x.c.test", "two")
	find("y.test", "")
	if p := b.now.Certificates.Find("x.c.test").Client; p == nil || !p.Require || !p.Headers {
		t.Errorf("%+v", p)
	}
	times := b.times
	b.apply(put("routes/x", `{"prefix":"/x","service_name":"s"}`))
	if b.times != times+1 || b.now.Certificates.Find("b.test") == nil {
		t.Error("a change of something else loses the certificates")
	}
	b.apply(put("certificates/one", `{}`))
	b.wantErrors("certificates/one")
	find("a.test", "one")
	b.apply(put("certificates/one", asJSON(t, Certificate{Cert: one.CertPEM, Key: one.KeyPEM, SNIs: []string{"z.test"}})))
	find("a.test", "")
	find("z.test", "one")
	b.apply(del("certificates/one"))
	find("z.test", "")
}

func TestWhatIsAskedOfClientsIsChecked(t *testing.T) {
	ca := testcert.NewAuthority(t)
	pair := ca.Issue("a.test")
	err := Check("certificates/x", []byte(asJSON(t, Certificate{Cert: pair.CertPEM, Key: pair.KeyPEM, Client: &CertificateClient{CA: "x", Mode: "requires"}})))
	for _, want := range []string{`client.mode: "requires" is none of require, optional; did you mean "require"?`, "client.ca: has no certificate"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q in it", err, want)
		}
	}
}

// A service may show its nodes a certificate of the store, and shows the new one when that changes.
func TestAServiceShowsACertificateOfTheStore(t *testing.T) {
	ca, b := testcert.NewAuthority(t), newBench(t)
	pair, next := ca.Issue("client"), ca.Issue("client")
	store := func(p *testcert.Pair) {
		b.apply(put("certificates/c", asJSON(t, Certificate{Cert: p.CertPEM, Key: p.KeyPEM})))
	}
	b.apply(put("services/s", `{"nodes":[{"upstream":"127.0.0.1:1"}],"tls":{"certificate":"c"}}`))
	b.wantErrors()
	for _, p := range []*testcert.Pair{pair, next} {
		times := b.times
		store(p)
		if got := b.services.resolved("s").TLS; got.ClientCert != p.CertPEM || got.ClientKey != p.KeyPEM || b.times != times+1 {
			t.Errorf("%d snapshots, %+v", b.times-times, got)
		}
	}
	if b.services.configs["s"].TLS.ClientCert != "" {
		t.Error("the stored configuration was changed")
	}
}

func TestACertificateOfAnAuthorityIsChecked(t *testing.T) {
	for value, want := range map[string]string{
		`{"snis":["a.test"],"acme":{"terms_agreed":true}}`:                                           "",
		`{"snis":["a.test"],"acme":{}}`:                                                              "acme.terms_agreed",
		`{"acme":{"terms_agreed":true}}`:                                                             "snis: are missing",
		`{"snis":["*.a.test"],"acme":{"terms_agreed":true}}`:                                         "snis[0]: \"*.a.test\": wildcards",
		`{"snis":["a.test"],"acme":{"terms_agreed":true,"challenge":"dns-01"}}`:                      "acme.challenge",
		`{"snis":["a.test"],"acme":{"terms_agreed":true,"directory":"http://a"}}`:                    "acme.directory",
		`{"snis":["a.test"],"acme":{"terms_agreed":true,"ca":"x"}}`:                                  "acme.ca",
		`{"snis":["a.test"],"cert":"x","key":"y","acme":{"terms_agreed":true}}`:                      "acme: stands in the place",
		`{"snis":["a.test"],"acme":{"terms_agreed":true},"client":{"ca":"x","mode":"require"}}`:      "client.ca",
		`{"snis":["a.test"],"acme":{"terms_agreed":true,"directory":"https://acme.a.test/dir/x?y"}}`: "",
	} {
		err := Check("certificates/x", []byte(value))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", value, err, want)
		}
	}
}

// What an authority has issued is in force for the names that ask for it, and its questions while it asks; what else is kept of it is nobody's here.
func TestWhatAuthoritiesIssueAndAskIsInTheSnapshot(t *testing.T) {
	ca, b := testcert.NewAuthority(t), newBench(t)
	pair := ca.Issue("a.test")
	issued, err := json.Marshal(Issued{Cert: pair.CertPEM, Key: pair.KeyPEM})
	if err != nil {
		t.Fatal(err)
	}
	b.apply(put("certificates/x", `{"snis":["A.test","b.test"],"acme":{"terms_agreed":true}}`))
	if b.now.Certificates.Find("a.test") != nil || len(b.ACME()) != 2 || b.ACME()[0].Leaf != nil {
		t.Errorf("before: %+v", b.ACME())
	}
	b.apply(put(IssuedFolder+"a.test", string(issued)), put(ChallengeFolder+"1", `{"token":"t","answer":"t.x"}`))
	b.wantErrors()
	if c := b.now.Certificates.Find("a.test"); c == nil || c.ID != "x" || b.now.Certificates.Find("b.test") != nil || string(b.now.Challenges.Tokens["t"]) != "t.x" {
		t.Errorf("issued: %+v, %+v", c, b.now.Challenges)
	}
	for _, name := range b.ACME() {
		if (name.Leaf != nil) != (name.Name == "a.test") {
			t.Errorf("%+v", name)
		}
	}
	times := b.times
	b.apply(put(ACMEFolder+"lock/x", `{}`), put(ACMEFolder+"storage/x", `1`), put(TicketsKey, `{}`))
	if b.times != times {
		t.Error("a snapshot shows what listeners do not need")
	}
	b.apply(put(IssuedFolder+"a.test", `{}`))
	b.wantErrors(IssuedFolder + "a.test")
	if b.now.Certificates.Find("a.test") == nil {
		t.Error("a bad version has taken the good one's place")
	}
	b.apply(del(IssuedFolder+"a.test"), del(ChallengeFolder+"1"))
	b.wantErrors()
	if b.now.Certificates.Find("a.test") != nil || b.now.Challenges != nil {
		t.Error("what is gone is in force still")
	}
}
