package file

import (
	"reflect"
	"testing"

	"sluice/internal/unit"
	"sluice/proxy"
)

func TestDiffNamesTheSettingsThatDiffer(t *testing.T) {
	a, b := new(Config), new(Config)
	a.SetDefaults()
	b.SetDefaults()
	if got := Diff(a, b); got != nil {
		t.Errorf("equal ones differ in %v", got)
	}
	a.TrustedProxies, b.TrustedProxies = nil, []string{}
	if got := Diff(a, b); got != nil {
		t.Errorf("two empty lists differ: %v", got)
	}
	b.Workers = 3
	b.Listeners = append(b.Listeners, proxy.ListenerConfig{Address: "127.0.0.1:1"})
	b.Admin.Token = "0123456789abcdef"
	b.Timeouts.Drain = unit.Duration(1)
	want := []string{"workers", "listeners", "admin.token", "timeouts.drain"}
	if got := Diff(a, b); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// No setting may be forgotten: each one that is changed alone is the one that is named.
func TestDiffSeesEverySetting(t *testing.T) {
	for i, path := range Settings() {
		a, b := new(Config), new(Config)
		n := 0
		walk(reflect.ValueOf(b).Elem(), "", func(_ string, v reflect.Value) {
			if n == i {
				change(t, v)
			}
			n++
		})
		if got := Diff(a, b); !reflect.DeepEqual(got, []string{path}) {
			t.Errorf("%s was changed: got %v", path, got)
		}
	}
}

// change gives a zero value another one.
func change(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString("x")
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint64:
		v.SetUint(1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	default:
		t.Fatalf("a setting of kind %v", v.Kind())
	}
}
