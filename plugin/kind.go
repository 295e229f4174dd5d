package plugin

import (
	"encoding/json"

	"sluice/internal/problem"
	"sluice/internal/strict"
)

// Kind is one kind of plugin. The life of an instance:
//
//  1. decode: Build gets the configuration as it is stored, a JSON object; unknown keys are errors;
//  2. defaults: fields that are not given get their documented values;
//  3. validate: every problem is reported at once, each with its JSON path below the plugin's key; no I/O is done;
//  4. build: what can be computed once is (regular expressions, tables); the result is immutable;
//  5. use: its filters are called by every worker at the same time, so they share nothing that changes without atomics;
//  6. close: if the instance has Close() error, it is called once no snapshot holds it any more, and also after a failed build.
type Kind struct {
	Name     string   // as in a route's plugins, such as "request-id"
	Aliases  []string // other names that mean the same kind, such as the seed system's
	Priority int      // higher runs earlier on the request and later on the response; as APISIX has it where it has the plugin
	Summary  string   // one sentence for lists
	Schema   string   // JSON Schema (2020-12) of the configuration, checked by a test against what Build accepts

	// Props are the keys of a ws-cloud-gateway route's props that the kind reads. A route that lists plugins by name alone gives Build
	// an object of those that are there.
	Props []string

	// Build decodes, checks and builds one instance: a RequestFilter, a ResponseFilter or both. name is the one that was used in the
	// route (Name or an alias). It may be called on any goroutine.
	Build func(name string, config json.RawMessage) (any, error)
}

// Problem is one thing that is wrong with a configuration.
type Problem = problem.Problem

// Problems is an error that holds all that is wrong at once, with paths below the plugin's key.
type Problems = problem.Problems

// Decode reads the configuration of a plugin into the struct that v points to; its fields have json tags. What is not given keeps the value
// it had, so defaults are set before. The error is [Problems]: unknown keys, wrong types, all at once.
func Decode(config json.RawMessage, v any) error { return strict.DecodeJSON(config, v) }

// Read is Decode for who goes on to check the values, whatever could not be read: a wrong type must not hide the problems of other fields. What the check
// finds is added with Complete.
func Read(config json.RawMessage, v any) (p Problems) {
	p.Under("", Decode(config, v))
	return p
}
