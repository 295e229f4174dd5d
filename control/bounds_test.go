package control

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"sluice/internal/unit"
	"sluice/proxy"
	"sluice/upstream"
)

// quantity is a member of a document that is a length of time, a size or a number.
type quantity struct {
	path string
	t    reflect.Type
}

// quantities lists those of a type, below path.
func quantities(t reflect.Type, path string) (list []quantity) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[unit.Duration](), t == reflect.TypeFor[unit.Size](), t.Kind() == reflect.Int:
		return []quantity{{path, t}}
	case t.Kind() != reflect.Struct:
		return nil
	}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name != "" && name != "-" && t.Field(i).Type.Kind() != reflect.Slice {
			list = append(list, quantities(t.Field(i).Type, strings.TrimPrefix(path+"."+name, "."))...)
		}
	}
	return list
}

// with returns a document that has value at a path, and what else the parts on the way need.
func with(base, path, value string) string {
	for keys := strings.Split(path, "."); len(keys) > 0; keys = keys[:len(keys)-1] {
		value = fmt.Sprintf(`{%q:%s}`, keys[len(keys)-1], value)
	}
	if base == "" {
		return value
	}
	return base + "," + value[1:]
}

// documents are those that have quantities: what each needs beside them, without its end, and how it is read. The second result is the value as it is in force.
var documents = []struct {
	name, base string
	t          reflect.Type
	read       func(data string) (any, error)
}{
	{"services", `{"name":"s"`, reflect.TypeFor[upstream.Config](), func(data string) (any, error) {
		if err := CheckWrite("services/s", nil, []byte(data)); err != nil {
			return nil, err
		}
		return asAny(DecodeService([]byte(data)))
	}},
	{"routes", `{"prefix":"/a","service_name":"s"`, reflect.TypeFor[Route](), func(data string) (any, error) { return asAny(DecodeRoute([]byte(data))) }},
	{"nodes", `{"service_name":"s","upstream":"127.0.0.1:1"`, reflect.TypeFor[Node](), func(data string) (any, error) { return asAny(DecodeNode([]byte(data))) }},
	{"consumers", `{"id":"x"`, reflect.TypeFor[Consumer](), func(data string) (any, error) { return asAny(DecodeConsumer("x", []byte(data))) }},
	{"settings/health", "", reflect.TypeFor[upstream.HealthConfig](), func(data string) (any, error) {
		var s LiveSettings
		if err := CheckWrite("settings/health", nil, []byte(data)); err != nil {
			return nil, err
		}
		err := s.DecodeSetting("health", []byte(data))
		return s.Health, err
	}},
	{"settings/limits", "", reflect.TypeFor[proxy.LimitsConfig](), func(data string) (any, error) {
		var s LiveSettings
		if err := s.DecodeSetting("limits", []byte(data)); err != nil {
			return nil, err
		}
		var c proxy.LimitsConfig
		c.SetDefaults()
		s.Limits(&c)
		return &c, nil
	}},
	{"settings/timeouts", "", reflect.TypeFor[proxy.TimeoutsConfig](), func(data string) (any, error) {
		var s LiveSettings
		if err := s.DecodeSetting("timeouts", []byte(data)); err != nil {
			return nil, err
		}
		var c proxy.TimeoutsConfig
		c.SetDefaults()
		s.Timeouts(&c)
		return &c, nil
	}},
}

func asAny[T any](v *T, err error) (any, error) { return v, err }

// at returns what stands at a path of a value.
func at(v any, path string) reflect.Value {
	r := reflect.ValueOf(v)
	for key := range strings.SplitSeq(path, ".") {
		for r.Kind() == reflect.Pointer {
			r = r.Elem()
		}
		for i := range r.NumField() {
			if name, _, _ := strings.Cut(r.Type().Field(i).Tag.Get("json"), ","); name == key {
				r = r.Field(i)
				break
			}
		}
	}
	for r.Kind() == reflect.Pointer {
		r = r.Elem()
	}
	return r
}

// Whatever somebody writes for a length of time, a size or a number is what is in force, or it is refused at its path with what would be right: never something else in its place. That
// goes for zero, which a default must not replace, and for what is negative, too large, of no unit, or too large for any number.
func TestAQuantityIsInForceAsItIsWrittenOrRefused(t *testing.T) {
	for _, d := range documents {
		all := quantities(d.t, "")
		for _, q := range all {
			duration, size := q.t == reflect.TypeFor[unit.Duration](), q.t == reflect.TypeFor[unit.Size]()
			bad := map[string]string{"-1": "", "99999999999999999999999": "", `1.5`: "whole", `"x"`: ""}
			zero := "0"
			switch {
			case duration:
				zero = `"0s"`
				bad = map[string]string{`"-1s"`: "negative", `"2562048h"`: "", `"25h"`: "", `"5"`: "unit", `5`: "", `"1e300s"`: "", `""`: "unit"}
			case size:
				zero = `"0"`
				bad = map[string]string{`"-1KiB"`: "", `"99999999999GiB"`: "", `-1`: "", `"x"`: ""}
			}
			if q.path == "priority" {
				delete(bad, "-1") // of a route: below those that say nothing
			}
			for value, says := range bad {
				_, err := d.read(with(d.base, q.path, value))
				if err == nil || !strings.Contains(err.Error(), q.path) || !strings.Contains(err.Error(), says) {
					t.Errorf("%s: %s is %s: %v", d.name, q.path, value, err)
				}
			}
			v, err := d.read(with(d.base, q.path, zero))
			switch {
			case err != nil && (!strings.Contains(err.Error(), q.path+": ") || !strings.Contains(err.Error(), "from ")):
				t.Errorf("%s: %s is zero: the bound is not named: %v", d.name, q.path, err)
			case err == nil && !at(v, q.path).IsZero():
				t.Errorf("%s: %s is zero, and %v is in force", d.name, q.path, at(v, q.path))
			}
		}
		if len(all) == 0 && d.name != "routes" {
			t.Errorf("%s: nothing to look at", d.name)
		}
	}
}

// The least that a refused zero names is the least there is: a tag that says one thing and a check that does another would send people round in circles.
func TestTheLeastThatIsNamedIsTheLeast(t *testing.T) {
	var look func(rt reflect.Type, path string) int
	look = func(rt reflect.Type, path string) (found int) {
		for rt.Kind() == reflect.Pointer {
			rt = rt.Elem()
		}
		if rt.Kind() != reflect.Struct {
			return 0
		}
		for i := range rt.NumField() {
			f := rt.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			at := strings.TrimPrefix(path+"."+name, ".")
			found += look(f.Type, at)
			least, tagged := strings.CutPrefix(f.Tag.Get("strict"), "from=")
			if !tagged {
				continue
			}
			found++
			value := least
			if f.Type == reflect.TypeFor[unit.Duration]() {
				value = fmt.Sprintf("%q", least)
			}
			beside := map[string]string{"retry.max_backoff": `{"name":"s","retry":{"backoff":"1ms","max_backoff":%s}}`, "health.passive.max_ejection": `{"name":"s","health":{"passive":{"ejection":"1ms","max_ejection":%s}}}`,
				"breaker.adaptive.max_limit": `{"name":"s","breaker":{"adaptive":{"min_limit":1,"max_limit":%s}}}`}
			text := with(`{"name":"s"`, at, value)
			if pattern := beside[at]; pattern != "" {
				text = fmt.Sprintf(pattern, value)
			}
			if err := CheckWrite("services/s", nil, []byte(text)); err != nil {
				t.Errorf("%s: %s is named as the least: %v", at, least, err)
			}
			below := "-1"
			if f.Type == reflect.TypeFor[unit.Duration]() {
				below = `"999us"`
			}
			if err := CheckWrite("services/s", nil, []byte(with(`{"name":"s"`, at, below))); err == nil {
				t.Errorf("%s: %s is accepted", at, below)
			}
		}
		return found
	}
	if n := look(reflect.TypeFor[upstream.Config](), ""); n < 15 {
		t.Errorf("%d members have a least", n)
	}
}

// What is stored stays in force, with the default, and may be written again as it is: only a zero that is new is refused.
func TestAZeroThatIsStoredIsNoFault(t *testing.T) {
	for key, value := range map[string]string{
		"services/s":      `{"name":"s","health":{"active":{"interval":"0s","healthy":{"successes":0}}},"pool":{"idle_timeout":"0s"},"retry":{"hedge":{"min_delay":"0s"}}}`,
		"settings/health": `{"active":{"interval":"0s","unhealthy":{"failures":0}}}`,
	} {
		if err := Check(key, []byte(value)); err != nil {
			t.Errorf("%s: %v", key, err)
		}
		if err := CheckWrite(key, []byte(value), []byte(value)); err != nil {
			t.Errorf("%s, written as it is: %v", key, err)
		}
		if err := CheckWrite(key, []byte(`{}`), []byte(value)); err == nil {
			t.Errorf("%s: new zeros are accepted", key)
		}
	}
	if s, err := DecodeService([]byte(`{"name":"s","health":{"active":{"interval":"0s"}}}`)); err != nil || s.Health.Active.Interval != unit.Duration(3*time.Second) {
		t.Errorf("%v %v", s, err)
	}
}
