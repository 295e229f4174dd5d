package admin

import (
	"net/http"
	"time"

	"github.com/bytedance/sonic"
	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// registerAPI puts all calls on mux.
func registerAPI(mux *http.ServeMux, d Deps, people *logins) {
	api := humago.New(mux, apiConfig(d.Version))
	store := newResources(d)
	for _, r := range kinds {
		registerResource(api, store, r)
	}
	registerNode(api, store)
	registerApply(api, store)
	registerHistory(api, store)
	registerExplain(api, d)
	registerLint(api, d)
	registerPlugins(api)
	registerStatus(api, d)
	registerHealth(api, d)
	registerMetrics(api, mux, d.Stats)
	registerProfiles(api, mux)
	registerSeed(api, mux, seedCalls(&seedStore{resources: store, now: time.Now}))
	registerSeed(api, mux, people.calls())
	registerUsers(api, people.accounts, d.Log)
	registerOpenAPI(api, mux) // last: it shows what has been registered
}

// apiConfig describes the API and has huma serve nothing beside it.
func apiConfig(version string) huma.Config {
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title:   "Sluice admin API",
				Version: version,
				Description: "Errors are problem documents (RFC 9457); `errors` lists every failing field with its JSON path behind `body`. " +
					"Resources have an `ETag`; `If-Match` and `If-None-Match` make a write conditional.",
			},
			Components: &huma.Components{
				Schemas: newSchemas(),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"bearer":   {Type: "http", Scheme: "bearer", Description: "the token in data_dir/admin-token, or admin.token of the file"},
					"apiToken": {Type: "apiKey", In: "header", Name: "X-Api-Token", Description: "the same token"},
					"session":  {Type: "apiKey", In: "header", Name: "X-Token", Description: "what POST /admin/login has answered with"},
				},
			},
			Security: []map[string][]string{{"bearer": {}}, {"apiToken": {}}, {"session": {}}},
		},
		Formats:       map[string]huma.Format{jsonType: huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		DefaultFormat: jsonType,
		Transformers:  []huma.Transformer{withoutSent},
		// "?dryrun=1" must not write.
		RejectUnknownQueryParameters: true,
	}
}

// anyone marks a call that needs no token.
var anyone = []map[string][]string{{}}

// registerOpenAPI serves the description of all calls, made once.
func registerOpenAPI(api huma.API, mux *http.ServeMux) {
	api.OpenAPI().AddOperation(&huma.Operation{
		OperationID: "openapi", Method: http.MethodGet, Path: "/v1/openapi.json", Tags: []string{"gateway"},
		Summary:   "Get this description",
		Responses: map[string]*huma.Response{"200": {Description: "OpenAPI 3.1", Content: map[string]*huma.MediaType{jsonType: {}}}},
	})
	document, err := sonic.ConfigStd.Marshal(api.OpenAPI())
	if err != nil {
		panic("BUG: admin: the API's description does not marshal: " + err.Error())
	}
	mux.HandleFunc("GET /v1/openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", jsonType)
		_, _ = w.Write(document)
	})
}
