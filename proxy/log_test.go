package proxy

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/core/observe"
	"sluice/internal/testnet"
)

// logLine is what the tests look at of a line of the access log.
type logLine struct {
	TLS        string `json:"tls"`
	ClientCert string `json:"client_cert"`
	Client     string `json:"client"`
	Method     string `json:"method"`
	Host       string `json:"host"`
	Target     string `json:"target"`
	Protocol   string `json:"protocol"`
	Status     int    `json:"status"`
	BytesIn    int    `json:"bytes_in"`
	BytesOut   int    `json:"bytes_out"`
	Route      string `json:"route"`
	Service    string `json:"service"`
	Node       string `json:"node"`
	Retries    int    `json:"retries"`
	Flag       string `json:"flag"`
	Code       string `json:"code"`
	Reason     string `json:"reason"`
	Agent      string `json:"user_agent"`

	Duration  float64 `json:"duration_ms"`
	Head      float64 `json:"head_ms"`
	FirstByte float64 `json:"first_byte_ms"`
}

func (g *gateway) openLog(t testing.TB) {
	t.Helper()
	g.logPath = filepath.Join(t.TempDir(), "access.log")
	log, err := observe.OpenAccessLog(observe.AccessLogConfig{Path: g.logPath}, len(g.Loops()))
	if err != nil {
		t.Fatal(err)
	}
	g.stats.SetAccessLog(log)
	t.Cleanup(func() { _ = log.Close() })
}

// logged returns the lines of the access log once there are n of them, and fails the test where there are more.
func (g *gateway) logged(t testing.TB, n int) []logLine {
	t.Helper()
	var text string
	testnet.Await(t, "lines of the access log", func() bool {
		b, _ := os.ReadFile(g.logPath)
		text = string(b)
		return strings.Count(text, "\n") >= n
	})
	lines := make([]logLine, 0, n)
	for line := range strings.Lines(text) {
		var l logLine
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		l.Node = nodeOf(l.Node)
		lines = append(lines, l)
	}
	if len(lines) != n {
		t.Fatalf("%d lines, want %d: %+v", len(lines), n, lines)
	}
	return lines
}
