// Package builtin is the list of the plugins that the gateway has. A new plugin is one line here.
package builtin

import (
	"slices"

	"sluice/plugin"
	"sluice/plugin/cors"
	"sluice/plugin/grpcweb"
	"sluice/plugin/iprestriction"
	"sluice/plugin/proxyrewrite"
	"sluice/plugin/requestid"
	"sluice/plugin/responserewrite"
)

// kinds is every plugin, in the order of names.
var kinds = []*plugin.Kind{
	&cors.Kind,
	&grpcweb.Kind,
	&iprestriction.Kind,
	&proxyrewrite.Kind,
	&requestid.Kind,
	&responserewrite.Kind,
}

// Kinds returns every plugin, in the order of names.
func Kinds() []*plugin.Kind { return slices.Clone(kinds) }

// Find returns the plugin with that name or alias, or nil.
func Find(name string) *plugin.Kind {
	for _, k := range kinds {
		if k.Name == name || slices.Contains(k.Aliases, name) {
			return k
		}
	}
	return nil
}

// Names returns the names and aliases of every plugin.
func Names() []string {
	var names []string
	for _, k := range kinds {
		names = append(names, k.Name)
		names = append(names, k.Aliases...)
	}
	return names
}
