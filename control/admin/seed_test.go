package admin

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"sluice/control"
)

// stamp is the time of a write, which no test can know.
var stamp = regexp.MustCompile(`"time":1[0-9]{12}\b`)

// seedDo makes one of ws-cloud-gateway's calls as its own scripts do: with curl -d, which says that the body is a form.
func (g *gateway) seedDo(method, path, body string) *answer {
	g.t.Helper()
	got := g.send(method, path, body, "X-Api-Token", testToken, "Content-Type", "application/x-www-form-urlencoded")
	got.body = stamp.ReplaceAllString(got.body, `"time":1`)
	return got
}

// seedStep is a call and its whole answer.
type seedStep struct {
	method, path, body string
	status             int
	want               string
}

func (g *gateway) seedRun(steps []seedStep) {
	g.t.Helper()
	for i, s := range steps {
		got := g.seedDo(s.method, s.path, s.body)
		if got.status != s.status || got.body != s.want {
			g.t.Errorf("step %d, %s %s %s:\n%d %s\nwant\n%d %s", i, s.method, s.path, s.body, got.status, got.body, s.status, s.want)
		}
		kind := "text/plain; charset=utf-8"
		if strings.HasSuffix(s.want, "\n") {
			kind = "application/json"
		}
		if s.status == 200 && got.header.Get("Content-Type") != kind {
			g.t.Errorf("step %d: Content-Type %q, want %q", i, got.header.Get("Content-Type"), kind)
		}
	}
}

// Contract, section 4: ws-cloud-gateway's calls, same request and answer bodies. The ids are the md5 of "/a/*" and of "/b/*".
func TestTheRouteCallsOfWsCloudGateway(t *testing.T) {
	g := newGateway(t)
	const a = `"prefix":"/a/*","service_name":"hello","protocol":"http","status":1,"plugins":["discovery","tracing","rewrite"],` +
		`"props":{"rewrite_url_regex":"^/a/(.*)/","rewrite_replace":"/"},"remark":""`
	keyA, keyB := control.RouteID("/a/*"), control.RouteID("/b/*")
	g.seedRun([]seedStep{
		{"GET", "/admin/routes/list", "", 200, "[]\n"},
		{"POST", "/admin/routes/save", "{" + a + "}", 200, "ok"},
		{"POST", "/admin/routes/list", "", 200, `[{` + a + `,"key":"` + keyA + `","time":1}]` + "\n"},
		// A route without a key is a new one, which must not be there.
		{"POST", "/admin/routes/save", "{" + a + "}", 500, "路由配置保存失败，请重试或联系系统维护人员：路由[/a/*]配置已存在"},
		{"POST", "/admin/routes/save", `{"key":" ",` + a + `}`, 500, "路由配置保存失败，请重试或联系系统维护人员：路由[/a/*]配置已存在"},
		// With its key it is edited; where the prefix changes, it moves.
		{"GET", "/admin/routes/save", `{"key":"` + keyA + `","prefix":"/a/*","service_name":"hello","status":0,"plugins":[]}`, 200, "ok"},
		{"GET", "/admin/routes/list", "", 200, `[{"key":"` + keyA + `","prefix":"/a/*","service_name":"hello","status":0,"plugins":[],"time":1}]` + "\n"},
		{"POST", "/admin/routes/save", `{"key":"` + keyA + `","prefix":" /b/* ","service_name":"hello","status":1,"time":7}`, 200, "ok"},
		{"GET", "/admin/routes/list", "", 200, `[{"key":"` + keyB + `","prefix":"/b/*","service_name":"hello","status":1,"time":1}]` + "\n"},
		// Early versions, and the benchmark script of all, use the prefix as the key.
		{"POST", "/admin/routes/save", `{"key":"/b/*","prefix":"/b/*","service_name":"hello","status":0}`, 200, "ok"},
		{"GET", "/admin/routes/list", "", 200, `[{"key":"` + keyB + `","prefix":"/b/*","service_name":"hello","status":0,"time":1}]` + "\n"},
		{"POST", "/admin/routes/save", `{"key":"/a/*","prefix":"/a/*","service_name":"hello"}`, 200, "ok"},
		// A route is removed by its key or its prefix, and one that is not there too.
		{"POST", "/admin/routes/remove", `{"key":"` + keyB + `"}`, 200, "ok"},
		{"POST", "/admin/routes/remove", `{"prefix":"/a/*"}`, 200, "ok"},
		{"POST", "/admin/routes/remove", `{"key":"nothing"}`, 200, "ok"},
		{"GET", "/admin/routes/list", "", 200, "[]\n"},
		{"POST", "/admin/routes/save", "", 500, "参数不能为空"},
		{"POST", "/admin/routes/save", "{}", 500, "参数不能为空"},
		{"POST", "/admin/routes/save", "{", 500, "参数格式错误"},
		{"POST", "/admin/routes/remove", "", 400, "参数不能为空"},
		{"POST", "/admin/routes/remove", "{}", 400, "参数不能为空"},
		{"POST", "/admin/routes/save", `{"prefix":"/a/*"}`, 500, `路由配置保存失败，请重试或联系系统维护人员：service_name: is missing: name the service`},
	})
}

func TestTheNodeCallsOfWsCloudGateway(t *testing.T) {
	g := newGateway(t)
	id := func(upstream string) string { return control.NodeID("hello", upstream) }
	node := func(upstream string, weight, status int) string {
		return fmt.Sprintf(`{"key":"%s","service_name":"hello","upstream":"%s","weight":%d,"status":%d,"time":1}`, id(upstream), upstream, weight, status)
	}
	g.seedRun([]seedStep{
		{"GET", "/admin/services/list", "", 200, "[]\n"},
		{"POST", "/admin/services/save", `{"service_name":"hello","upstream":"127.0.0.1:8080","weight":1,"status":1}`, 200, "ok"},
		{"POST", "/admin/services/list", "", 200, "[" + node("127.0.0.1:8080", 1, 1) + "]\n"},
		{"POST", "/admin/services/save", `{"service_name":"hello","upstream":"127.0.0.1:8080"}`, 500, "服务节点已存在"},
		// The key of early versions, as the benchmark script has it, and members that are not stored.
		{"POST", "/admin/services/save", `{"key":"/hello/127.0.0.1:8080","service_name":" hello ","upstream":" 127.0.0.1:8080","weight":2,"status":0,"upstrean":[],"propsData":"{}"}`, 200, "ok"},
		{"GET", "/admin/services/list", "", 200, "[" + node("127.0.0.1:8080", 2, 0) + "]\n"},
		// With a new address it moves.
		{"POST", "/admin/services/save", `{"key":"` + id("127.0.0.1:8080") + `","service_name":"hello","upstream":"127.0.0.1:8081","weight":1,"status":1}`, 200, "ok"},
		{"GET", "/admin/services/list", "", 200, "[" + node("127.0.0.1:8081", 1, 1) + "]\n"},
		{"GET", "/admin/services/remove", `{"key":"` + id("127.0.0.1:8081") + `"}`, 200, "ok"},
		{"POST", "/admin/services/remove", `{"service_name":"hello","upstream":"127.0.0.1:8081"}`, 200, "ok"},
		{"GET", "/admin/services/list", "", 200, "[]\n"},
		{"POST", "/admin/services/save", `{"service_name":"hello","upstream":"nowhere"}`, 500,
			`服务节点保存失败：upstream: "nowhere" is not host:port: write one such as "10.0.0.7:8080" or "[fd00::7]:8080"`},
	})
}

func TestThePluginCallOfWsCloudGateway(t *testing.T) {
	newGateway(t).seedRun([]seedStep{{"GET", "/admin/plugins/list", "", 200,
		`[{"name":"discovery","desc":"服务发现插件_v1.0"},{"name":"tracing","desc":"链路跟踪插件_v1.0"},{"name":"rewrite","desc":"url重写插件_v1.0"}]` + "\n"}})
}

// A store that ws-cloud-gateway has filled: keys of all its versions, lists that Lua has made objects of, nodes that registered themselves.
func TestTheCallsWorkOnAStoreThatWsCloudGatewayHasFilled(t *testing.T) {
	g := newGateway(t)
	g.store.set("routes/innerapi/old/*", `{"key":"\/innerapi\/old\/*","prefix":"\/innerapi\/old\/*","service_name":"hello","status":1,"plugins":{},"props":{},"time":1591234567890}`)
	g.store.set("discovery/hello/127.0.0.1:1", `{"key":"\/hello\/127.0.0.1:1","service_name":"hello","upstream":"127.0.0.1:1","weight":1,"status":1,"time":1591234567890}`)
	g.store.set("discovery/anything", `{"service_name":"hello","upstream":"127.0.0.1:2","weight":3,"status":1}`)
	g.store.set("discovery/broken", `{`)
	g.seedRun([]seedStep{
		{"GET", "/admin/routes/list", "", 200, `[{"key":"/innerapi/old/*","prefix":"/innerapi/old/*","service_name":"hello","status":1,"plugins":[],"props":{},"time":1}]` + "\n"},
		{"GET", "/admin/services/list", "", 200, `[{"key":"anything","service_name":"hello","upstream":"127.0.0.1:2","weight":3,"status":1},` +
			`{"key":"hello/127.0.0.1:1","service_name":"hello","upstream":"127.0.0.1:1","weight":1,"status":1,"time":1}]` + "\n"},
		// Saved again, they get the ids of the latest version.
		{"POST", "/admin/routes/save", `{"key":"/innerapi/old/*","prefix":"/innerapi/old/*","service_name":"hello","status":1}`, 200, "ok"},
		{"POST", "/admin/services/save", `{"key":"hello/127.0.0.1:1","service_name":"hello","upstream":"127.0.0.1:1","weight":1,"status":1}`, 200, "ok"},
		{"POST", "/admin/services/remove", `{"key":"anything"}`, 200, "ok"},
	})
	for key, there := range map[string]bool{
		"routes/innerapi/old/*": false, "routes/" + control.RouteID("/innerapi/old/*"): true,
		"discovery/hello/127.0.0.1:1": false, "discovery/" + control.NodeID("hello", "127.0.0.1:1"): true, "discovery/anything": false,
	} {
		if (g.store.value(key) != "") != there {
			t.Errorf("%s: there %v", key, !there)
		}
	}
}

// What Sluice's own API has made is not lost in a panel of ws-cloud-gateway: ids that were chosen stay, and so do the metadata of nodes.
func TestAnEditKeepsWhatWsCloudGatewayDoesNotKnow(t *testing.T) {
	g := newGateway(t)
	g.store.set("routes/mine", `{"id":"mine","prefix":"/a/*","service_name":"hello","plugins":{"request-id":{}}}`)
	id := control.NodeID("hello", "127.0.0.1:1")
	g.store.set("discovery/"+id, `{"service_name":"hello","upstream":"127.0.0.1:1","metadata":{"zone":"a"}}`)
	g.seedRun([]seedStep{
		{"GET", "/admin/routes/list", "", 200, `[{"id":"mine","prefix":"/a/*","service_name":"hello","plugins":{"request-id":{}},"key":"mine"}]` + "\n"},
		{"POST", "/admin/routes/save", `{"id":"mine","key":"mine","prefix":"/b/*","service_name":"hello","plugins":{"request-id":{}}}`, 200, "ok"},
		{"GET", "/admin/routes/list", "", 200, `[{"id":"mine","key":"mine","prefix":"/b/*","service_name":"hello","plugins":{"request-id":{}},"time":1}]` + "\n"},
		{"POST", "/admin/services/save", `{"key":"` + id + `","service_name":"hello","upstream":"127.0.0.1:1","weight":5,"status":1}`, 200, "ok"},
		{"GET", "/admin/services/list", "", 200, `[{"key":"` + id + `","service_name":"hello","upstream":"127.0.0.1:1","weight":5,"status":1,"metadata":{"zone":"a"},"time":1}]` + "\n"},
	})
}

// Two writers of one route: the second works on what the first has left, in one transaction.
func TestASaveThatIsOvertakenIsWorkedOutAnew(t *testing.T) {
	g := newGateway(t)
	raced := false
	g.store.meddle = func() {
		if !raced {
			raced = true
			g.store.set("routes/"+control.RouteID("/a/*"), `{"prefix":"/a/*","service_name":"other"}`)
		}
	}
	g.seedRun([]seedStep{{"POST", "/admin/routes/save", `{"prefix":"/a/*","service_name":"hello"}`, 500, "路由配置保存失败，请重试或联系系统维护人员：路由[/a/*]配置已存在"}})
	g.store.fail = control.ErrUnavailable
	g.seedRun([]seedStep{
		{"POST", "/admin/routes/save", `{"prefix":"/b/*","service_name":"hello"}`, 500, "存储服务不可用，请重试"},
		{"GET", "/admin/routes/list", "", 500, "存储服务不可用，请重试"},
		{"GET", "/admin/services/list", "", 500, "存储服务不可用，请重试"},
	})
}
