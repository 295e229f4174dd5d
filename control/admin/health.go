package admin

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// Health is the answer of /healthz and /readyz.
type Health struct {
	Status   string `json:"status" enum:"ok,not ready"`
	Reason   string `json:"reason,omitempty" doc:"why it is not ready"`
	Revision int64  `json:"revision,omitempty" doc:"of the store, that the snapshot in force shows"`
}

type healthOutput struct {
	Status int
	Body   Health
}

func registerHealth(api huma.API, d Deps) {
	alive := huma.Operation{
		OperationID: "healthz", Method: http.MethodGet, Path: "/healthz", Tags: []string{"probes"}, Security: anyone,
		Summary: "Ask whether the process lives", Description: "Always 200: while it answers, it lives.",
	}
	huma.Register(api, alive, func(context.Context, *struct{}) (*healthOutput, error) {
		return &healthOutput{http.StatusOK, Health{Status: "ok"}}, nil
	})

	ready := huma.Operation{
		OperationID: "readyz", Method: http.MethodGet, Path: "/readyz", Tags: []string{"probes"}, Security: anyone,
		Summary: "Ask whether to send traffic", Description: "503 until the first snapshot is applied, then 200, also while the store is away.",
	}
	ready.Responses = map[string]*huma.Response{
		"503":     {Description: "Not ready", Content: content(schemaOf[Health](api))},
		"default": failure(api),
	}
	huma.Register(api, ready, func(context.Context, *struct{}) (*healthOutput, error) {
		return readiness(d), nil
	})
}

func readiness(d Deps) *healthOutput {
	now := d.Status()
	switch {
	case !now.Ready():
		return &healthOutput{http.StatusServiceUnavailable, Health{Status: "not ready", Reason: "no snapshot is applied yet: the store has not been read"}}
	case d.Ready != nil && !d.Ready():
		return &healthOutput{http.StatusServiceUnavailable, Health{Status: "not ready", Reason: "the gateway takes no new connections", Revision: now.Published}}
	}
	return &healthOutput{http.StatusOK, Health{Status: "ok", Revision: now.Published}}
}
