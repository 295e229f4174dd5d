package admin

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"sluice/plugin/builtin"
)

// PluginList is every plugin of this gateway.
type PluginList struct {
	Items []Plugin `json:"items" nullable:"false" doc:"in the order of names"`
}

// Plugin is one plugin that a route may have.
type Plugin struct {
	Name     string          `json:"name"`
	Aliases  []string        `json:"aliases,omitempty" doc:"other names that mean the same"`
	Summary  string          `json:"summary"`
	Priority int             `json:"priority" doc:"higher runs earlier on the request and later on the response"`
	Schema   json.RawMessage `json:"schema" doc:"JSON Schema (2020-12) of the configuration"`
}

type pluginsOutput struct{ Body PluginList }

func registerPlugins(api huma.API) {
	list := PluginList{Items: []Plugin{}}
	for _, k := range builtin.Kinds() {
		list.Items = append(list.Items, Plugin{k.Name, k.Aliases, k.Summary, k.Priority, json.RawMessage(k.Schema)})
	}
	op := huma.Operation{
		OperationID: "list-plugins", Method: http.MethodGet, Path: "/v1/plugins", Summary: "List plugins", Tags: []string{"gateway"},
	}
	huma.Register(api, op, func(context.Context, *struct{}) (*pluginsOutput, error) {
		return &pluginsOutput{Body: list}, nil
	})
}
