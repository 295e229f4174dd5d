package iprestriction

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"sluice/plugin"
	"sluice/plugin/plugintest"
)

func mustBuild(t testing.TB, config string) plugin.RequestFilter {
	t.Helper()
	made, err := Kind.Build(Kind.Name, json.RawMessage(config))
	if err != nil {
		t.Fatalf("%s: %v", config, err)
	}
	return made.(plugin.RequestFilter)
}

func TestAddressesDecideWhoComesIn(t *testing.T) {
	const lists = `["10.0.0.0/8","192.0.2.7","2001:db8::/32","::1","::ffff:198.51.100.0/120"]`
	white, black := mustBuild(t, `{"whitelist":`+lists+`}`), mustBuild(t, `{"blacklist":`+lists+`}`)
	for ip, listed := range map[string]bool{
		"10.0.0.0": true, "10.255.255.255": true, "9.255.255.255": false, "11.0.0.0": false, "192.0.2.7": true, "192.0.2.6": false, "192.0.2.8": false,
		"2001:db8::1": true, "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff": true, "2001:db9::": false, "::1": true, "::2": false,
		"::ffff:10.0.0.1": true, "::ffff:11.0.0.1": false, "198.51.100.9": true, "198.51.101.9": false, "::10.0.0.1": false, "2001:db8::1%eth0": true,
	} {
		x := plugintest.New("GET /")
		x.IP = netip.MustParseAddr(ip)
		if v := white.RequestHead(x); (v.Action == plugin.Continue) != listed {
			t.Errorf("white list: %s: %+v", ip, v)
		}
		if v := black.RequestHead(x); (v.Action == plugin.Continue) == listed {
			t.Errorf("black list: %s: %+v", ip, v)
		}
	}
}

// An address that is not known, as of a peer whose proxy says "unknown", is on no list.
func TestAnAddressThatIsNotKnownIsOnNoList(t *testing.T) {
	x := plugintest.New("GET /")
	x.IP = netip.Addr{}
	if v := mustBuild(t, `{"whitelist":["0.0.0.0/0","::/0"]}`).RequestHead(x); v.Action != plugin.Respond {
		t.Error("it was let in")
	}
}

func TestTheRefusalIsTheContractsError(t *testing.T) {
	for config, want := range map[string]string{
		`{"whitelist":["10.0.0.0/8"]}`: "403 forbidden Your IP address is not allowed",
		`{"whitelist":["10.0.0.0/8"],"message":"Nur für \"uns\"","response_code":404}`: `404 forbidden Nur für "uns"`,
	} {
		v := mustBuild(t, config).RequestHead(plugintest.New("GET /"))
		if v.Action != plugin.Respond {
			t.Fatalf("%s: %+v", config, v)
		}
		f := v.Reply.Fault()
		if got := fmt.Sprint(f.Kind.Status, " ", f.Kind.Code, " ", f.Kind.Text); got != want || f.Op != "ip-restriction" {
			t.Errorf("%s: %s by %s, want %s", config, got, f.Op, want)
		}
	}
}

func TestEveryProblemIsReportedWithItsPath(t *testing.T) {
	for config, want := range map[string][]string{
		`{}`: {"restricts nobody"},
		`{"whitelist":["10.0.0.1"],"blacklist":["10.0.0.2"]}`: {"blacklist: cannot"},
		`{"whitelist":[]}`: {"whitelist: is empty"},
		`{"blacklist":["10.0.0.1","10.0.0.0/33","a.test","fe80::1%1"]}`:       {"blacklist[1]: ", "blacklist[2]: ", "blacklist[3]: "},
		`{"whitelist":["::1"],"message":"","response_code":200}`:              {"message: ", "response_code: 200"},
		`{"whitelist":["::1"],"message":"a\nb"}`:                              {"message: "},
		`{"whitelist":["::1"],"message":"` + strings.Repeat("ü", 1025) + `"}`: {"message: "},
		`{"whitelist":"::1"}`:                       {"whitelist: wants a list"},
		`{"allowlist":["::1"],"whitelist":["::1"]}`: {"allowlist: unknown key"},
	} {
		_, err := Kind.Build(Kind.Name, json.RawMessage(config))
		problems, ok := err.(plugin.Problems)
		if !ok || len(problems) != len(want) {
			t.Errorf("%.100s: %v, want %d problems", config, err, len(want))
			continue
		}
		for i, w := range want {
			if !strings.HasPrefix(problems[i].String(), w) {
				t.Errorf("%.100s: got %v, want %v", config, problems[i], w)
			}
		}
	}
}

func TestSchemaAndBuildAgree(t *testing.T) {
	plugintest.CheckSchema(t, &Kind,
		[]string{`{"whitelist":["10.0.0.1"]}`, `{"blacklist":["10.0.0.0/8","::/0"],"message":"no","response_code":404}`, `{"whitelist":["::1"],"message":"` + strings.Repeat("ü", 1024) + `"}`},
		[]string{`{}`, `{"message":"a"}`, `{"whitelist":[]}`, `{"whitelist":"::1"}`, `{"whitelist":[1]}`, `{"whitelist":["::1"],"blacklist":["::2"]}`, `{"whitelist":["::1"],"response_code":401}`,
			`{"whitelist":["::1"],"message":""}`, `{"whitelist":["::1"],"message":"` + strings.Repeat("ü", 1025) + `"}`, `{"whitelist":["::1"],"x":1}`},
		[]string{`{"whitelist":["a.test"]}`, `{"whitelist":["10.0.0.0/33"]}`, `{"whitelist":["::1"],"message":" a"}`})
}

func TestDecidingAllocatesNothing(t *testing.T) {
	f := mustBuild(t, `{"blacklist":["10.0.0.0/8","2001:db8::/32"]}`)
	x := plugintest.New("GET /")
	for _, ip := range []string{"10.0.0.1", "192.0.2.1", "2001:db8::1", "::1", "::ffff:10.0.0.1"} {
		x.IP = netip.MustParseAddr(ip)
		if n := testing.AllocsPerRun(200, func() { f.RequestHead(x) }); n != 0 {
			t.Errorf("%s: %v allocations", ip, n)
		}
	}
}

// The cost does not grow with the list.
func BenchmarkRestriction(b *testing.B) {
	for _, n := range []int{1, 1000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			list := make([]string, n)
			for i := range list {
				list[i] = fmt.Sprintf("%d.%d.%d.0/24", 11+i>>16, i>>8&255, i&255)
			}
			text, err := json.Marshal(map[string]any{"blacklist": list})
			if err != nil {
				b.Fatal(err)
			}
			f := mustBuild(b, string(text))
			x := plugintest.New("GET /")
			b.ReportAllocs()
			for b.Loop() {
				f.RequestHead(x)
			}
		})
	}
}
