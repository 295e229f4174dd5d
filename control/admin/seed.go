package admin

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/bytedance/sonic"
	"github.com/danielgtaylor/huma/v2"

	"sluice/control"
	"sluice/internal/strict"
)

// The calls of ws-cloud-gateway, with its bodies and its statuses, for panels and scripts that were written for it. Bodies are JSON whatever their content type says;
// lists are answered as JSON, all else as plain text in its own words: panels show them. A failure is 500, save where it says otherwise.

// seedTag groups the calls in the API's description.
const seedTag = "ws-cloud-gateway"

// What the calls say.
const (
	seedOK         = "ok"
	seedNoBody     = "参数不能为空"
	seedNotJSON    = "参数格式错误"
	seedBusy       = "数据已被修改，请重试"
	seedNoStore    = "存储服务不可用，请重试"
	seedRouteKept  = "路由配置保存失败，请重试或联系系统维护人员："
	seedNodeExists = "服务节点已存在"
	seedNodeKept   = "服务节点保存失败："
)

// seedCall is one call.
type seedCall struct {
	path, summary string
	methods       []string
	open          bool // it needs no token
	do            http.HandlerFunc
}

// seedCalls are the calls on the store.
func seedCalls(s *seedStore) []seedCall {
	both, post := []string{http.MethodGet, http.MethodPost}, []string{http.MethodPost}
	return []seedCall{
		{path: "/admin/routes/list", summary: "List all routes", methods: both, do: s.listRoutes},
		{path: "/admin/routes/save", summary: "Create or replace a route", methods: both, do: s.saveRoute},
		{path: "/admin/routes/remove", summary: "Delete a route", methods: post, do: s.removeRoute},
		{path: "/admin/services/list", summary: "List all nodes", methods: both, do: s.listNodes},
		{path: "/admin/services/save", summary: "Create or replace a node", methods: post, do: s.saveNode},
		{path: "/admin/services/remove", summary: "Delete a node", methods: both, do: s.removeNode},
		{path: "/admin/plugins/list", summary: "List the plugins that a route may name", methods: both, do: listSeedPlugins},
	}
}

// registerSeed puts calls on the mux and into the description.
func registerSeed(api huma.API, mux *http.ServeMux, calls []seedCall) {
	for _, c := range calls {
		for _, method := range c.methods {
			mux.HandleFunc(method+" "+c.path, c.do)
			op := &huma.Operation{
				OperationID: strings.ToLower(method) + strings.ReplaceAll(c.path, "/", "-"), Method: method, Path: c.path, Tags: []string{seedTag},
				Summary:   c.summary,
				Responses: map[string]*huma.Response{"200": {Description: "JSON, or the word ok"}, "500": {Description: "What is wrong, as text"}},
			}
			if c.open {
				op.Security = anyone
			}
			api.OpenAPI().AddOperation(op)
		}
	}
}

// seedStore does what the calls say.
type seedStore struct {
	*resources
	now func() time.Time
}

// seedSay answers with text.
func seedSay(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

// seedShow answers with a value, and a line's end behind it.
func seedShow(w http.ResponseWriter, value any) {
	body, err := sonic.ConfigStd.Marshal(value)
	if err != nil {
		panic("BUG: admin: an answer does not marshal: " + err.Error())
	}
	seedShowJSON(w, body)
}

func seedShowJSON(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", jsonType)
	_, _ = w.Write(append(body, '\n'))
}

// seedBody reads an object from a body. Where there is none it answers, with missing as the status of an empty one, and returns nil.
func seedBody(w http.ResponseWriter, r *http.Request, missing int) *strict.Node {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		seedSay(w, http.StatusRequestEntityTooLarge, seedNotJSON)
		return nil
	case err != nil || len(body) == 0:
		seedSay(w, missing, seedNoBody)
		return nil
	}
	doc, err := strict.ParseJSON(body)
	if err != nil || doc.Kind != strict.Object {
		seedSay(w, http.StatusInternalServerError, seedNotJSON)
		return nil
	}
	return doc
}

// seedText returns a member that is text, without white space around it; "" where there is none.
func seedText(doc *strict.Node, key string) string {
	if n := doc.Get(key); n != nil && n.Kind == strict.String {
		return strings.TrimSpace(n.Text)
	}
	return ""
}

// seedFailed answers to an error of the store.
func seedFailed(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, control.ErrConflict):
		seedSay(w, http.StatusInternalServerError, seedBusy)
	default:
		seedSay(w, http.StatusInternalServerError, seedNoStore)
	}
}

// with returns a document with a member set, at its old place or at the end.
func with(doc *strict.Node, key string, value *strict.Node) *strict.Node {
	made := *doc
	made.Members = append([]strict.Member(nil), doc.Members...)
	for i := range made.Members {
		if made.Members[i].Key == key {
			made.Members[i].Value = value
			return &made
		}
	}
	made.Members = append(made.Members, strict.Member{Key: key, Value: value})
	return &made
}

func textNode(s string) *strict.Node { return &strict.Node{Kind: strict.String, Text: s} }

func numberNode(literal string) *strict.Node { return &strict.Node{Kind: strict.Number, Text: literal} }

// listSeedPlugins answers with the plugins that may be listed by name, in ws-cloud-gateway's words.
func listSeedPlugins(w http.ResponseWriter, _ *http.Request) {
	type one struct {
		Name string `json:"name"`
		Desc string `json:"desc"`
	}
	seedShow(w, []one{{"discovery", "服务发现插件_v1.0"}, {"tracing", "链路跟踪插件_v1.0"}, {"rewrite", "url重写插件_v1.0"}})
}
