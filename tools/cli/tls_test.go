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

// What holds for upgrades in plain text does over TLS, where a connection ends with an answer, and over HTTP/2, where it ends with GOAWAY.
func TestUpgradesLoseNothingOverTLSAndHTTP2(t *testing.T) {
	p, ca := secureProgram(t)
	p.api("PUT", "/v1/services/s", `{"nodes":[{"upstream":"`+startOrigin(t, "a").Addr()+`"}]}`)
	p.api("PUT", "/v1/routes/x", `{"prefix":"/x/*","service_name":"s"}`)
	config := &tls.Config{ServerName: "a.test", RootCAs: ca.Pool}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: config.Clone(), DisableKeepAlives: true}}
	p.await("the route", func() bool {
		resp, err := client.Get("https://" + p.address + "/x/1")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == 200
	})
	crowds := []*crowd{gather(p.address, "/x/1", 16, config.Clone()), gatherHTTP2(p.address, "/x/1", 8, config.Clone()), gatherHTTP2(p.address, "/x/1", 8, config.Clone())}
	for n := range 2 {
		before := make([]int64, len(crowds))
		for i, c := range crowds {
			before[i] = c.asked.Load()
		}
		p.upgrade()
		for i, c := range crowds {
			p.await("requests to go on", func() bool { return c.asked.Load() > before[i]+64 })
		}
		p.exited(p.pids[n], 0) // every connection has left it, and nobody has stopped asking
	}
	for _, c := range crowds {
		c.disperse(t)
	}
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
