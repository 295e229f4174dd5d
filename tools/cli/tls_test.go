package cli

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"sluice/internal/testcert"
)

// secureProgram runs the binary with a TLS listener and a certificate for a.test.
func secureProgram(t *testing.T) (*program, *testcert.Authority) {
	t.Helper()
	return secureProgramWith(t, "[{address: \"127.0.0.1:0\", tls: true}]")
}

// secureProgramWith is secureProgram with the listeners of the test, of which the first is the one with TLS.
func secureProgramWith(t *testing.T, listeners string) (*program, *testcert.Authority) {
	t.Helper()
	p, ca := run(t, "workers: 2\nlisteners: "+listeners+"\nadmin: {address: \"127.0.0.1:0\"}\n"), testcert.NewAuthority(t)
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
	p.upgradeTwice(crowds, 64)
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

// originOf starts an origin that speaks one protocol and no other, and returns its address with what its service says of that.
func originOf(t *testing.T, http2, secure bool) (addr, service string) {
	t.Helper()
	o := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }))
	o.Config.Protocols = new(http.Protocols)
	o.Config.Protocols.SetHTTP1(!http2)
	o.Config.Protocols.SetHTTP2(http2 && secure)
	o.Config.Protocols.SetUnencryptedHTTP2(http2 && !secure)
	if o.EnableHTTP2 = http2; secure {
		o.StartTLS()
	} else {
		o.Start()
	}
	t.Cleanup(func() { o.CloseClientConnections(); o.Close() })
	service = fmt.Sprintf(`{"nodes":[{"upstream":%q}],"http2":%v`, o.Listener.Addr(), http2)
	if secure {
		service += `,"tls":{"insecure_skip_verify":true}`
	}
	return o.Listener.Addr().String(), service + "}"
}

// An upgrade under load loses nothing in any pair of protocols, in plain text and over TLS: sixteen crowds at once, of which each has a protocol and an origin of one.
func TestAnUpgradeLosesNothingInAnyPairOfProtocols(t *testing.T) {
	p, ca := secureProgramWith(t, `[{address: "127.0.0.1:0", tls: true}, {address: "127.0.0.1:0"}]`)
	config := &tls.Config{ServerName: "a.test", RootCAs: ca.Pool}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var crowds []*crowd
	for i, o := range []struct{ http2, secure bool }{{false, false}, {false, true}, {true, false}, {true, true}} {
		_, service := originOf(t, o.http2, o.secure)
		name, path := fmt.Sprint("s", i), fmt.Sprintf("/x%d/1", i)
		p.api("PUT", "/v1/services/"+name, service)
		p.api("PUT", "/v1/routes/"+name, fmt.Sprintf(`{"prefix":"/x%d/*","service_name":%q}`, i, name))
		p.await("the route "+path, func() bool {
			resp, err := client.Get("http://" + p.second + path)
			if err != nil {
				return false
			}
			defer resp.Body.Close()
			proto, _ := io.ReadAll(resp.Body)
			return resp.StatusCode == 200 && string(proto) == fmt.Sprintf("HTTP/%d.%d", map[bool]int{false: 1, true: 2}[o.http2], map[bool]int{false: 1, true: 0}[o.http2])
		})
		crowds = append(crowds, gather(p.second, path, 3, nil), gather(p.address, path, 3, config.Clone()), gatherHTTP2(p.second, path, 3, nil), gatherHTTP2(p.address, path, 3, config.Clone()))
	}
	p.upgradeTwice(crowds, 16)
	for _, c := range crowds {
		c.disperse(t)
	}
}
