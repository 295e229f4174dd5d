package observe

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"
)

func inZone(t *testing.T, zone *time.Location) {
	old := time.Local
	time.Local = zone
	t.Cleanup(func() { time.Local = old })
}

// The fields, their order and their units are a promise to whoever parses the log.
func TestJSONLineHasTheDocumentedFields(t *testing.T) {
	r := NewRegistry(1)
	rec := typical(r)
	for name, c := range map[string]struct {
		change func()
		want   string
	}{
		"typical": {func() {},
			`{"time":"2026-02-03T04:05:06.789Z","request_id":"0af7651916cd43dd8448eb211c80319c","client":"203.0.113.7","client_port":54321,` +
				`"method":"GET","host":"api.example.com","target":"/openapi/demo1/users/42?fields=name,mail","protocol":"HTTP/1.1",` +
				`"status":200,"bytes_in":0,"bytes_out":612,"duration_ms":1.234,"first_byte_ms":1.100,` +
				`"route":"demo1","service":"demo","node":"10.1.2.3:8080",` +
				`"user_agent":"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}` + "\n"},
		"nothing known": {func() { *rec = Record{Start: rec.Start} },
			`{"time":"2026-02-03T04:05:06.789Z","client":"","method":"","host":"","target":"","protocol":"",` +
				`"status":0,"bytes_in":0,"bytes_out":0,"duration_ms":0.000}` + "\n"},
		"everything": {func() {
			*rec = Record{
				Start: rec.Start, Duration: 12_003_004_999, ReadTime: 20_000, ConnectTime: 500_000, HeadTime: 999, Method: []byte("POST"), Target: []byte("*"),
				Host: []byte("h"), UserAgent: []byte("u"), Referer: []byte("r"), RequestID: []byte("i"), Protocol: "HTTP/2.0",
				ClientIP: netip.MustParseAddr("::ffff:192.0.2.1"), Route: r.Route("r", "of the route"), Service: r.Service("chosen"),
				Node: "n:1", Status: 502, BytesIn: 7, BytesOut: 8, Retries: 2, Flag: "UF", Code: "upstream_connect", Reason: "connection refused",
			}
		},
			`{"time":"2026-02-03T04:05:06.789Z","request_id":"i","client":"192.0.2.1","method":"POST","host":"h","target":"*","protocol":"HTTP/2.0",` +
				`"status":502,"bytes_in":7,"bytes_out":8,"duration_ms":12003.004,"head_ms":0.020,"connect_ms":0.500,"first_byte_ms":0.000,` +
				`"route":"r","service":"chosen","node":"n:1","retries":2,"flag":"UF","code":"upstream_connect","reason":"connection refused","user_agent":"u","referer":"r"}` + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			rec = typical(r)
			c.change()
			got := string(appendJSON(nil, rec, new(stamp)))
			if got != c.want {
				t.Errorf("got  %swant %s", got, c.want)
			}
			if !json.Valid([]byte(got)) {
				t.Error("not JSON")
			}
		})
	}
}

// nginx: log_format combined '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"'.
func TestCombinedLineIsNginxs(t *testing.T) {
	inZone(t, time.FixedZone("", -7*3600))
	r := NewRegistry(1)
	for want, change := range map[string]func(*Record){
		`203.0.113.7 - - [02/Feb/2026:21:05:06 -0700] "GET /openapi/demo1/users/42?fields=name,mail HTTP/1.1" 200 612 "-" ` +
			`"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"`: func(*Record) {},
		`- - - [02/Feb/2026:21:05:06 -0700] "-" 400 612 "-" "-"`: func(rec *Record) {
			rec.ClientIP, rec.Method, rec.Target, rec.UserAgent, rec.Status = netip.Addr{}, nil, nil, nil, 400
		},
		`2001:db8::1 - - [02/Feb/2026:21:05:16 -0700] "GET /\x22 HTTP/1.0" 000 0 "http://a/?\x5C" ""`: func(rec *Record) {
			rec.ClientIP, rec.Target, rec.Protocol, rec.Status = netip.MustParseAddr("2001:db8::1"), []byte(`/"`), "HTTP/1.0", 0
			rec.Duration, rec.BytesOut, rec.Referer, rec.UserAgent = int64(10*time.Second), 0, []byte(`http://a/?\`), []byte{}
		},
	} {
		rec := typical(r)
		change(rec)
		if got := string(appendCombined(nil, rec, new(stamp))); got != want+"\n" {
			t.Errorf("got  %swant %s", got, want)
		}
	}
}

// An IPv6 zone is any text; netip accepts a line break in it.
func TestZoneOfAnAddressIsNotWritten(t *testing.T) {
	a := netip.MustParseAddr("fe80::1%\"\n")
	if got := string(appendAddr(nil, a)); got != "fe80::1" {
		t.Errorf("got %q", got)
	}
}

// The cached second must give what formatting each time anew gives.
func TestStampFollowsTheClock(t *testing.T) {
	inZone(t, time.FixedZone("", 5400))
	var utc, local stamp
	for _, nanos := range []int64{
		0, 1, 999_999_999, 1_000_000_000, 1_770_091_506_789_999_999, 1_770_091_506_790_000_000, 1_770_091_507_000_000_000,
		1_770_091_506_001_000_000, -1, -1_000_000_000, -1_500_000_000,
	} {
		at := time.Unix(0, nanos)
		if got, want := string(utc.appendRFC3339(nil, nanos)), at.UTC().Format("2006-01-02T15:04:05.000Z"); got != want {
			t.Errorf("%d is %s, want %s", nanos, got, want)
		}
		if got, want := string(local.appendCombined(nil, nanos)), at.Format("02/Jan/2006:15:04:05 -0700"); got != want {
			t.Errorf("%d is %s, want %s", nanos, got, want)
		}
	}
}
