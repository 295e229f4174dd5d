package cli

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"testing"

	"sluice/internal/testcert"
)

// secureProgram runs the binary with a TLS listener and a certificate for a.test.
func secureProgram(t *testing.T) (*program, *testcert.Authority) {
	t.Helper()
	p, ca := run(t, "workers: 2\nlisteners: [{address: \"127.0.0.1:0\", tls: true}]\nadmin: {address: \"127.0.0.1:0\"}\n"), testcert.NewAuthority(t)
	pair := ca.Issue("a.test")
	document, err := json.Marshal(map[string]string{"cert": pair.CertPEM, "key": pair.KeyPEM})
	if err != nil {
		t.Fatal(err)
	}
	if status, body := p.api("PUT", "/v1/certificates/a", string(document)); status != 201 {
		t.Fatalf("%d %s", status, body)
	}
	p.await("the certificate to be in force", func() bool {
		c, err := tls.Dial("tcp", p.address, &tls.Config{ServerName: "a.test", RootCAs: ca.Pool})
		if err != nil {
			return false
		}
		c.Close()
		return true
	})
	return p, ca
}

// A certificate of the store serves HTTPS a moment after it was written, and sessions outlive the process that they began in.
func TestTLSSessionsSurviveAnUpgrade(t *testing.T) {
	p, ca := secureProgram(t)
	p.api("PUT", "/v1/services/s", `{"nodes":[{"upstream":"`+startOrigin(t, "a").Addr()+`"}]}`)
	p.api("PUT", "/v1/routes/x", `{"prefix":"/x/*","service_name":"s"}`)
	config := &tls.Config{ServerName: "a.test", RootCAs: ca.Pool, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	get := func() (status int, resumed bool) {
		client := http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
		resp, err := client.Get("https://" + p.address + "/x/1")
		if err != nil {
			t.Log(err)
			return 0, false
		}
		resp.Body.Close()
		return resp.StatusCode, resp.TLS.DidResume
	}
	p.await("the route", func() bool { status, _ := get(); return status == 200 })
	if _, resumed := get(); !resumed {
		t.Error("the session is not resumed by the process that began it")
	}
	p.upgrade()
	p.awaitLog("upgraded: the new process serves", 1)
	for range 4 { // some may still be accepted by the old process
		if status, resumed := get(); status != 200 || !resumed {
			t.Errorf("after the upgrade: %d, resumed %v", status, resumed)
		}
	}
}
