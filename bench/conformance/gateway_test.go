// Package conformance runs the suites of others against the real program: h2spec, and the interoperability tests of gRPC. It is a module of its own, since nothing else needs
// what they need.
package conformance

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what must come; what does come takes no time.
const patience = 30 * time.Second

// gateway is a running program.
type gateway struct {
	admin, token string
	listeners    []string // plain, with TLS
}

// binary returns the program: the one that SLUICE names, or one built now.
func binary(t *testing.T, dir string) string {
	t.Helper()
	if program := os.Getenv("SLUICE"); program != "" {
		return program
	}
	program := filepath.Join(dir, "sluice")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return program
}

// start runs the gateway, and ends it with the test.
func start(t *testing.T) *gateway {
	t.Helper()
	dir := t.TempDir()
	program := binary(t, dir)
	file := filepath.Join(dir, "sluice.yaml")
	text := fmt.Sprintf("workers: 1\ndata_dir: %s\nlisteners: [{address: \"127.0.0.1:0\"}, {address: \"127.0.0.1:0\", tls: true}]\nadmin: {address: \"127.0.0.1:0\"}\naccess_log: {path: \"\"}\n", filepath.Join(dir, "data"))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	run := exec.Command(program, "run", "--config", file)
	said, err := run.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = run.Process.Signal(syscall.SIGTERM)
		_ = run.Process.Signal(syscall.SIGTERM)
		_ = run.Wait()
	})
	g := new(gateway)
	serving := regexp.MustCompile(`listeners="?\[([0-9.:]+) ([0-9.:]+)\]"? admin=([0-9.:]+)`)
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		if m := serving.FindStringSubmatch(lines.Text()); m != nil {
			g.listeners, g.admin = m[1:3], m[3]
			break
		}
	}
	if g.listeners == nil {
		t.Fatal("the gateway does not serve")
	}
	go func() { _, _ = io.Copy(io.Discard, said) }()
	token, err := os.ReadFile(filepath.Join(dir, "data", "admin-token"))
	if err != nil {
		t.Fatal(err)
	}
	g.token = strings.TrimSpace(string(token))
	return g
}

// put stores a resource.
func (g *gateway) put(t *testing.T, path, document string) {
	t.Helper()
	req, _ := http.NewRequest("PUT", "http://"+g.admin+"/v1/"+path, strings.NewReader(document))
	req.Header.Set("Authorization", "Bearer "+g.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode/100 != 2 {
		t.Fatalf("put %s: %s %s", path, resp.Status, body)
	}
}

// await waits until a request to that listener is answered by the node.
func (g *gateway) await(t *testing.T, listener int) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	_, port, _ := net.SplitHostPort(g.listeners[listener])
	for end := time.Now().Add(patience); ; {
		resp, err := client.Get([]string{"http", "https"}[listener] + "://localhost:" + port + "/")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == 200 {
				return
			}
		}
		if time.Now().After(end) {
			t.Fatalf("the route is not in force: %v", err)
		}
	}
}

// certificate returns a certificate for localhost, signed by itself, and its key.
func certificate(t *testing.T) (chain, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
}

// certificateDocument is a certificate as it is stored.
func certificateDocument(chain, key string) string {
	return fmt.Sprintf(`{"cert":%q,"key":%q,"snis":["localhost"]}`, chain, key)
}
