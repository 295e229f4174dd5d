package file

import (
	"encoding"
	"reflect"
	"strings"

	"sluice/internal/problem"
	"sluice/internal/strict"
	"sluice/proxy"
)

// Override is one setting that was given outside the file.
type Override struct {
	Path   string // as in the file, with dots, such as "admin.address"
	Value  string // lists are separated by commas
	Source string // what to call it in messages, such as "--admin" or "SLUICE_ADMIN_ADDRESS"
}

// envPrefix begins the names of all variables that are settings.
const envPrefix = "SLUICE_"

// fromEnv picks the settings out of an environment. Other variables that begin with SLUICE_ are left alone: Kubernetes makes some for a service of
// that name (SLUICE_PORT), and commands have their own.
func fromEnv(env []string) (list []Override) {
	values := make(map[string]string, len(env))
	for _, one := range env {
		if name, value, ok := strings.Cut(one, "="); ok && strings.HasPrefix(name, envPrefix) {
			values[name] = value
		}
	}
	for _, path := range Settings() {
		name := EnvName(path)
		if value, ok := values[name]; ok {
			list = append(list, Override{Path: path, Value: value, Source: name})
		}
	}
	return list
}

// EnvName returns the variable that overrides the setting at a path.
func EnvName(path string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
}

// Settings returns the paths of all settings, in the order of the file.
func Settings() (paths []string) {
	walk(reflect.ValueOf(new(Config)).Elem(), "", func(path string, _ reflect.Value) { paths = append(paths, path) })
	return paths
}

// walk visits every setting: the fields that are not structs of settings themselves.
func walk(v reflect.Value, path string, visit func(path string, v reflect.Value)) {
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		at := problem.Join(path, name)
		f := v.Field(i)
		if _, text := f.Addr().Interface().(encoding.TextUnmarshaler); f.Kind() == reflect.Struct && !text {
			walk(f, at, visit)
			continue
		}
		visit(at, f)
	}
}

// apply writes the value into the configuration. Problems are named after the source.
func (o *Override) apply(c *Config) (problems problem.Problems) {
	found := false
	walk(reflect.ValueOf(c).Elem(), "", func(path string, v reflect.Value) {
		if path != o.Path {
			return
		}
		found = true
		if listeners, ok := v.Addr().Interface().(*[]proxy.ListenerConfig); ok {
			*listeners = nil
			for _, address := range splitList(o.Value) {
				*listeners = append(*listeners, proxy.ListenerConfig{Address: address})
			}
			return
		}
		for _, p := range strict.Decode(nodeOf(o.Value, v), v.Addr().Interface()) {
			problems = append(problems, problem.Problem{Path: o.Source, Text: p.Text})
		}
	})
	if !found {
		problems.Add(o.Source, "BUG: there is no setting %q", o.Path)
	}
	return problems
}

// nodeOf reads a text as what the setting wants.
func nodeOf(text string, v reflect.Value) *strict.Node {
	switch v.Kind() {
	case reflect.Bool:
		if text == "true" || text == "false" {
			return &strict.Node{Kind: strict.Bool, Text: text}
		}
	case reflect.Int:
		return &strict.Node{Kind: strict.Number, Text: text}
	case reflect.Slice:
		list := &strict.Node{Kind: strict.Array}
		for _, one := range splitList(text) {
			list.Items = append(list.Items, &strict.Node{Kind: strict.String, Text: one})
		}
		return list
	}
	return &strict.Node{Kind: strict.String, Text: text}
}

// splitList cuts a list at its commas; blanks around elements do not count, and an empty text is an empty list.
func splitList(text string) (list []string) {
	for one := range strings.SplitSeq(text, ",") {
		if one = strings.TrimSpace(one); one != "" {
			list = append(list, one)
		}
	}
	return list
}
