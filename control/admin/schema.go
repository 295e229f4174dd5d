package admin

import (
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"sluice/control"
	"sluice/upstream"
)

// Schemas are made from the types that the documents are decoded into, so that no description can fall behind. What is valid beyond
// types, control.Check knows; nothing here takes part in it.

const schemaPrefix = "#/components/schemas/"

func newSchemas() huma.Registry {
	schemas := huma.NewMapRegistry(schemaPrefix, schemaName)
	schemas.RegisterTypeAlias(reflect.TypeFor[control.Plugins](), reflect.TypeFor[pluginsSchema]())
	return schemas
}

// schemaName names the schema of a type: that of a service's part by both.
func schemaName(t reflect.Type, hint string) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t {
	case reflect.TypeFor[huma.ErrorModel]():
		return "Problem"
	case reflect.TypeFor[huma.ErrorDetail]():
		return "ProblemDetail"
	}
	name := huma.DefaultSchemaNamer(t, hint)
	if t.PkgPath() == reflect.TypeFor[upstream.Config]().PkgPath() {
		return "Service" + strings.TrimSuffix(name, "Config")
	}
	return name
}

func schemaOf[T any](api huma.API) *huma.Schema {
	return api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[T](), true, "")
}

// schema returns a reference to the schema of the kind's value. Keys that must be there are said here: the types' tags are about
// what is written, not about what is asked for.
func (r *resource) schema(api huma.API) *huma.Schema {
	schemas := api.OpenAPI().Components.Schemas
	ref := schemas.Schema(reflect.TypeOf(r.value), true, "")
	value := schemas.SchemaFromRef(ref.Ref)
	switch r.kind {
	case control.Routes:
		value.Required = []string{"service_name"}
	case control.Services:
		value.Required = nil // the name is the URL's, and all else has defaults
	case control.Certificates:
		value.Required = []string{"cert", "key"}
	case control.Consumers:
		value.Required = nil
	}
	return ref
}

// pluginsSchema stands for control.Plugins, which reads itself from two forms.
type pluginsSchema struct{}

// Schema implements huma.SchemaProvider.
func (pluginsSchema) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Description: "configurations by plugin name, or ws-cloud-gateway's list of names; GET /v1/plugins has the schemas",
		OneOf: []*huma.Schema{
			{Type: huma.TypeObject, AdditionalProperties: &huma.Schema{Type: huma.TypeObject}},
			{Type: huma.TypeArray, Items: &huma.Schema{Type: huma.TypeString}},
		},
	}
}

// settingSchema stands for the value of any setting.
type settingSchema struct{}

// Schema implements huma.SchemaProvider.
func (settingSchema) Schema(r huma.Registry) *huma.Schema {
	s := &huma.Schema{Description: "one of the settings, by id: " + strings.Join(control.SettingNames(), ", ")}
	for _, name := range control.SettingNames() {
		one := r.Schema(reflect.TypeOf(control.SettingValue(name)), true, "Setting "+name)
		if value := r.SchemaFromRef(one.Ref); value != nil {
			value.Required = nil // what is left out is the file's
		}
		s.AnyOf = append(s.AnyOf, one)
	}
	return s
}

var (
	_ huma.SchemaProvider = pluginsSchema{}
	_ huma.SchemaProvider = settingSchema{}
)
