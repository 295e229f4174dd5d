package plugintest

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"reflect"
	"regexp"
	"slices"
	"testing"
	"unicode/utf8"

	"sluice/plugin"
)

// CheckSchema fails the test where the kind's schema and its Build disagree: every accepted configuration must fit the schema, and every
// refused one must not, unless it is also in beyond, the list of what a schema cannot say (a regular expression that does not compile).
func CheckSchema(t *testing.T, kind *plugin.Kind, accepted, refused, beyond []string) {
	t.Helper()
	var schema map[string]any
	if err := json.Unmarshal([]byte(kind.Schema), &schema); err != nil {
		t.Fatalf("%s: the schema is not JSON: %v", kind.Name, err)
	}
	if schema["$schema"] != "https://json-schema.org/draft/2020-12/schema" {
		t.Errorf("%s: the schema does not say that it is 2020-12", kind.Name)
	}
	check := func(config string, wantSchema, wantBuild bool) {
		t.Helper()
		var v any
		if err := json.Unmarshal([]byte(config), &v); err != nil {
			t.Fatalf("%s: the test's configuration %s is not JSON: %v", kind.Name, config, err)
		}
		if err := fits(schema, v, "config"); (err == nil) != wantSchema {
			t.Errorf("%s: schema on %s: %v, want accepted = %v", kind.Name, config, err, wantSchema)
		}
		built, err := kind.Build(kind.Name, json.RawMessage(config))
		if (err == nil) != wantBuild {
			t.Errorf("%s: Build of %s: %v, want accepted = %v", kind.Name, config, err, wantBuild)
		}
		if c, ok := built.(io.Closer); ok && err == nil {
			_ = c.Close()
		}
	}
	for _, config := range accepted {
		check(config, true, true)
	}
	for _, config := range refused {
		check(config, false, false)
	}
	for _, config := range beyond {
		check(config, true, false)
	}
}

// words are the parts of JSON Schema that plugins may use here; a schema with another word fails, so that none goes unchecked.
var words map[string]func(arg, v any, at string) error

func init() { // the table's checks use the table
	words = map[string]func(arg, v any, at string) error{
		"$schema": skip, "title": skip, "description": skip, "default": skip, "examples": skip,
		"type":                 checkType,
		"enum":                 checkEnum,
		"properties":           checkProperties,
		"additionalProperties": skip, // with properties
		"required":             checkRequired,
		"items":                checkItems,
		"minItems":             bound(func(v any) (int, bool) { a, ok := v.([]any); return len(a), ok }, false),
		"maxItems":             bound(func(v any) (int, bool) { a, ok := v.([]any); return len(a), ok }, true),
		"minLength":            bound(func(v any) (int, bool) { s, ok := v.(string); return utf8.RuneCountInString(s), ok }, false),
		"maxLength":            bound(func(v any) (int, bool) { s, ok := v.(string); return utf8.RuneCountInString(s), ok }, true),
		"minimum":              edge(func(n, limit float64) bool { return n >= limit }),
		"maximum":              edge(func(n, limit float64) bool { return n <= limit }),
		"pattern":              checkPattern,
		"not":                  checkNot,
		"anyOf":                checkAnyOf,
	}
}

func skip(any, any, string) error { return nil }

func fits(schema, v any, at string) error {
	if allowed, ok := schema.(bool); ok {
		if !allowed {
			return fmt.Errorf("%s is not allowed", at)
		}
		return nil
	}
	s := schema.(map[string]any)
	for word, arg := range s {
		check, ok := words[word]
		if !ok {
			return fmt.Errorf("BUG: plugintest does not know the schema word %q", word)
		}
		if err := check(arg, v, at); err != nil {
			return err
		}
	}
	object, ok := v.(map[string]any)
	if rest, has := s["additionalProperties"]; ok && has {
		known, _ := s["properties"].(map[string]any)
		for key, value := range object {
			if _, isKnown := known[key]; !isKnown {
				if err := fits(rest, value, at+"."+key); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func checkType(arg, v any, at string) error {
	is := ""
	switch n := v.(type) {
	case map[string]any:
		is = "object"
	case []any:
		is = "array"
	case string:
		is = "string"
	case bool:
		is = "boolean"
	case float64:
		is = "number"
		if n == math.Trunc(n) && arg == "integer" {
			is = "integer"
		}
	}
	if list, ok := arg.([]any); ok && slices.Contains(list, any(is)) || arg == is {
		return nil
	}
	return fmt.Errorf("%s is of type %s, not %v", at, is, arg)
}

func checkEnum(arg, v any, at string) error {
	for _, one := range arg.([]any) {
		if reflect.DeepEqual(one, v) {
			return nil
		}
	}
	return fmt.Errorf("%s is none of %v", at, arg)
}

func checkProperties(arg, v any, at string) error {
	object, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	for key, sub := range arg.(map[string]any) {
		if value, has := object[key]; has {
			if err := fits(sub, value, at+"."+key); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkRequired(arg, v any, at string) error {
	if object, ok := v.(map[string]any); ok {
		for _, key := range arg.([]any) {
			if _, has := object[key.(string)]; !has {
				return fmt.Errorf("%s has no %v", at, key)
			}
		}
	}
	return nil
}

func checkItems(arg, v any, at string) error {
	list, _ := v.([]any)
	for i, item := range list {
		if err := fits(arg, item, fmt.Sprintf("%s[%d]", at, i)); err != nil {
			return err
		}
	}
	return nil
}

func bound(measure func(any) (int, bool), upper bool) func(arg, v any, at string) error {
	return func(arg, v any, at string) error {
		n, ok := measure(v)
		if limit := int(arg.(float64)); ok && (upper && n > limit || !upper && n < limit) {
			return fmt.Errorf("%s has length %d, and the bound is %d", at, n, limit)
		}
		return nil
	}
}

func edge(within func(n, limit float64) bool) func(arg, v any, at string) error {
	return func(arg, v any, at string) error {
		if n, ok := v.(float64); ok && !within(n, arg.(float64)) {
			return fmt.Errorf("%s is %v, and the bound is %v", at, n, arg)
		}
		return nil
	}
}

func checkPattern(arg, v any, at string) error {
	if s, ok := v.(string); ok && !regexp.MustCompile(arg.(string)).MatchString(s) {
		return fmt.Errorf("%s does not match %v", at, arg)
	}
	return nil
}

func checkNot(arg, v any, at string) error {
	if fits(arg, v, at) == nil {
		return fmt.Errorf("%s matches what it must not", at)
	}
	return nil
}

func checkAnyOf(arg, v any, at string) error {
	for _, one := range arg.([]any) {
		if fits(one, v, at) == nil {
			return nil
		}
	}
	return fmt.Errorf("%s fits none of the alternatives", at)
}
