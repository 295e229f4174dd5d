package proxy

import (
	"net/netip"
	"strings"
	"testing"

	"sluice/internal/unit"
)

func TestDefaultsAreValid(t *testing.T) {
	var l LimitsConfig
	l.SetDefaults()
	var w TimeoutsConfig
	w.SetDefaults()
	if err := l.Validate(); err != nil {
		t.Error(err)
	}
	if err := w.Validate(); err != nil {
		t.Error(err)
	}
	for _, c := range DefaultListeners() {
		if err := c.Validate(); err != nil {
			t.Error(err)
		}
	}
	if h := l.Heads(); h.RequestLine != 8192 || h.Headers != 32768 || h.HeaderCount != 100 {
		t.Errorf("%+v", h)
	}
}

func TestListenAddresses(t *testing.T) {
	for text, want := range map[string]string{
		"0.0.0.0:10000": "0.0.0.0:10000", "[::1]:80": "[::1]:80", ":80": "[::]:80", "*:80": "[::]:80", "localhost:0": "127.0.0.1:0", "127.0.0.1:65535": "127.0.0.1:65535",
	} {
		if got, err := ParseListenAddress(text); err != nil || got != netip.MustParseAddrPort(want) {
			t.Errorf("%q: %v, %v, want %s", text, got, err, want)
		}
	}
	for _, bad := range []string{"", "80", "a:80", "127.0.0.1", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:http", "::1:80", "[fe80::1%eth0]:80"} {
		if got, err := ParseListenAddress(bad); err == nil {
			t.Errorf("%q is %v", bad, got)
		}
	}
}

// A redirect to where the request already is would go on for ever.
func TestWhatAListenerCannotDoIsRefused(t *testing.T) {
	c := ListenerConfig{Address: "nowhere", TLS: true, RedirectHTTPS: 443}
	err := c.Validate()
	for _, path := range []string{"address: ", "redirect_https: "} {
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%v, want %q in it", err, path)
		}
	}
}

// Every bound is checked at both ends, and 0 only where it has a meaning.
func TestLimitsAndTimeoutsOutOfRangeAreRefused(t *testing.T) {
	for path, change := range map[string]func(*LimitsConfig){
		"request_line": func(c *LimitsConfig) { c.RequestLine = 0 }, "headers": func(c *LimitsConfig) { c.Headers = 1 << 30 },
		"header_count": func(c *LimitsConfig) { c.HeaderCount = 0 }, "connections": func(c *LimitsConfig) { c.Connections = -1 },
		"pipeline": func(c *LimitsConfig) { c.Pipeline = 0 },
	} {
		var c LimitsConfig
		c.SetDefaults()
		change(&c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), path+": ") {
			t.Errorf("%s: %v", path, err)
		}
	}
	for path, change := range map[string]func(*TimeoutsConfig){
		"request_header": func(c *TimeoutsConfig) { c.RequestHeader = 0 }, "request_body": func(c *TimeoutsConfig) { c.RequestBody = 0 },
		"keep_alive": func(c *TimeoutsConfig) { c.KeepAlive = 0 }, "send": func(c *TimeoutsConfig) { c.Send = 0 },
		"connect": func(c *TimeoutsConfig) { c.Connect = 0 }, "response_header": func(c *TimeoutsConfig) { c.ResponseHeader = 0 },
		"response_body": func(c *TimeoutsConfig) { c.ResponseBody = 0 }, "tunnel_idle": func(c *TimeoutsConfig) { c.TunnelIdle = 0 },
		"drain": func(c *TimeoutsConfig) { c.Drain = unit.Duration(maxTimeout + 1) },
	} {
		var c TimeoutsConfig
		c.SetDefaults()
		change(&c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), path+": ") {
			t.Errorf("%s: %v", path, err)
		}
	}
	zero := LimitsConfig{}
	zero.SetDefaults()
	zero.Body, zero.Connections = 0, 0
	wait := TimeoutsConfig{}
	wait.SetDefaults()
	wait.Drain = 0
	if err := zero.Validate(); err != nil {
		t.Error(err)
	}
	if err := wait.Validate(); err != nil {
		t.Error(err)
	}
}

func TestTrustedProxies(t *testing.T) {
	got, err := ParseTrustedProxies([]string{"10.1.2.3/8", "192.0.2.1", "::ffff:192.0.2.2", "fd00::/8"})
	if err != nil || len(got) != 4 || got[0].String() != "10.0.0.0/8" || got[1].String() != "192.0.2.1/32" || got[2].String() != "192.0.2.2/32" {
		t.Errorf("%v, %v", got, err)
	}
	_, err = ParseTrustedProxies([]string{"10.0.0.0/8", "x", "10.0.0.0/33"})
	if err == nil || !strings.HasPrefix(err.Error(), "[1]: ") || !strings.Contains(err.Error(), "; [2]: ") {
		t.Error(err)
	}
}
