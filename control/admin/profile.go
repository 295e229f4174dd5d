package admin

import (
	"net/http"
	"net/http/pprof"

	"github.com/danielgtaylor/huma/v2"
)

// profilePath begins the paths of the profiles. They are for admins alone: one of the CPU costs some of it, and stacks are nobody else's affair.
const profilePath = "/debug/pprof/"

// profiles are what Go can tell of the running process.
var profiles = []struct {
	name, summary string
	param         *huma.Param
	serve         http.Handler
}{
	{"profile", "Profile the CPU", profileSeconds, http.HandlerFunc(pprof.Profile)},
	{"trace", "Trace the scheduler", profileSeconds, http.HandlerFunc(pprof.Trace)},
	{"heap", "Profile what is on the heap", profileAsText, pprof.Handler("heap")},
	{"allocs", "Profile what has been allocated", profileAsText, pprof.Handler("allocs")},
	{"goroutine", "List the goroutines with their stacks", profileAsText, pprof.Handler("goroutine")},
}

var (
	profileSeconds = &huma.Param{
		Name: "seconds", In: "query", Description: "how long; less than the 60 s that an answer may take",
		Schema: &huma.Schema{Type: huma.TypeInteger},
	}
	profileAsText = &huma.Param{Name: "debug", In: "query", Description: "1 for text", Schema: &huma.Schema{Type: huma.TypeInteger}}
)

// registerProfiles serves the profiles.
func registerProfiles(api huma.API, mux *http.ServeMux) {
	for _, p := range profiles {
		mux.Handle("GET "+profilePath+p.name, p.serve)
		api.OpenAPI().AddOperation(&huma.Operation{
			OperationID: "pprof-" + p.name, Method: http.MethodGet, Path: profilePath + p.name, Tags: []string{"gateway"}, Parameters: []*huma.Param{p.param},
			Summary: p.summary, Description: "For admins.",
			Responses: map[string]*huma.Response{"200": {
				Description: "what go tool pprof reads, or for a trace go tool trace",
				Content:     map[string]*huma.MediaType{"application/octet-stream": {}},
			}},
		})
	}
}
