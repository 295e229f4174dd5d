// Package docs_test holds the pages to the code: what a page says and code can check is checked here.
package docs_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/control"
	"sluice/control/file"
	"sluice/core/observe"
	"sluice/internal/fault"
	"sluice/plugin/builtin"
	"sluice/upstream"
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// firstColumn returns what stands in back quotes in the first cell of every table row.
func firstColumn(page string) map[string]string {
	rows := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|(.*)$").FindAllStringSubmatch(page, -1) {
		rows[m[1]] = m[2]
	}
	return rows
}

func TestEverySettingIsInTheReferenceWithItsDefaultAndVariable(t *testing.T) {
	rows := firstColumn(read(t, "reference/configuration.md"))
	config := new(file.Config)
	config.SetDefaults()
	for _, path := range file.Settings() {
		row, ok := rows[path]
		delete(rows, path)
		if !ok {
			t.Errorf("%s is not in the reference", path)
			continue
		}
		want := "empty"
		if text := defaultOf(config, path); text != "" {
			want = "`" + text + "`"
		}
		if cells := strings.Split(row, "|"); strings.TrimSpace(cells[0]) != want || !strings.Contains(cells[1], "`"+file.EnvName(path)+"`") {
			t.Errorf("%s: the row has %s and %s, want %s and `%s`", path, cells[0], cells[1], want, file.EnvName(path))
		}
	}
	for path := range rows {
		t.Errorf("%s is in the reference and is no setting", path)
	}
}

// defaultOf returns the value of a setting as it is written in a file.
func defaultOf(config *file.Config, path string) string {
	v := reflect.ValueOf(config).Elem()
	for _, name := range strings.Split(path, ".") {
		for i := range v.NumField() {
			if tag, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ","); tag == name {
				v = v.Field(i)
				break
			}
		}
	}
	switch x := v.Interface().(type) {
	case []string:
		return strings.Join(x, ",")
	case fmt.Stringer:
		return x.String()
	}
	if path == "listeners" {
		return config.Listeners[0].Address
	}
	return fmt.Sprint(v.Interface())
}

func TestEveryKeyOfAServiceIsInTheReference(t *testing.T) {
	_, section, _ := strings.Cut(read(t, "reference/resources.md"), "## Service")
	section, _, _ = strings.Cut(section, "\n## ")
	rows := firstColumn(section)
	for _, path := range keys(reflect.TypeFor[upstream.Config](), "") {
		if _, ok := rows[path]; !ok {
			t.Errorf("%s is not in the reference", path)
		}
		delete(rows, path)
	}
	for path := range rows {
		t.Errorf("%s is in the reference and is no key", path)
	}
}

// keys lists the JSON paths of a struct's fields, those of nested structs below their own. Lists are one key.
func keys(t reflect.Type, under string) (paths []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		inner := f.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct {
			paths = append(paths, keys(inner, under+name+".")...)
			continue
		}
		paths = append(paths, under+name)
	}
	return paths
}

func TestEveryMetricIsInTheReference(t *testing.T) {
	rows := firstColumn(read(t, "reference/metrics.md"))
	descs := make(chan *prometheus.Desc, 100)
	observe.NewRegistry(1).Collector().Describe(descs)
	close(descs)
	name := regexp.MustCompile(`fqName: "([^"]+)"`)
	for d := range descs {
		metric := name.FindStringSubmatch(d.String())[1]
		if _, ok := rows[metric]; !ok {
			t.Errorf("%s is not in the reference", metric)
		}
		delete(rows, metric)
	}
	for metric := range rows {
		t.Errorf("%s is in the reference and is no metric", metric)
	}
}

func TestEveryFieldAndFlagOfTheAccessLogIsInTheReference(t *testing.T) {
	page := read(t, "reference/access-log.md")
	fields, flags, _ := strings.Cut(page, "\n## Flags\n")
	rows := firstColumn(fields)
	for field := range loggedFields(t) {
		if _, ok := rows[field]; !ok {
			t.Errorf("the field %s is not in the reference", field)
		}
		delete(rows, field)
	}
	for field := range rows {
		t.Errorf("%s is in the reference and is no field", field)
	}
	rows = firstColumn(flags)
	for _, k := range fault.Kinds() {
		if _, ok := rows[k.Flag]; !ok {
			t.Errorf("the flag %s is not in the reference", k.Flag)
		}
	}
}

// loggedFields returns a line of the access log that has every field.
func loggedFields(t *testing.T) map[string]any {
	path := filepath.Join(t.TempDir(), "access.log")
	log, err := observe.OpenAccessLog(observe.AccessLogConfig{Path: path}, 1)
	if err != nil {
		t.Fatal(err)
	}
	stats := observe.NewRegistry(1)
	stats.SetAccessLog(log)
	var rec observe.Record
	fill(reflect.ValueOf(&rec).Elem())
	rec.ClientIP = netip.MustParseAddr("192.0.2.1")
	rec.Route, rec.Service = stats.Route("r", "s"), stats.Service("s")
	stats.Worker(0).Finish(&rec)
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	fields := map[string]any{}
	if err := json.Unmarshal([]byte(read(t, path)), &fields); err != nil {
		t.Fatal(err)
	}
	return fields
}

// fill gives every plain field of a struct a value that is not zero.
func fill(v reflect.Value) {
	for i := range v.NumField() {
		switch f := v.Field(i); {
		case f.CanInt():
			f.SetInt(200)
		case f.CanUint():
			f.SetUint(200)
		case f.Kind() == reflect.String:
			f.SetString("x")
		case f.Kind() == reflect.Bool:
			f.SetBool(true)
		case f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Uint8:
			f.SetBytes([]byte("x"))
		}
	}
}

func TestEveryErrorIsInTheReference(t *testing.T) {
	page := read(t, "reference/errors.md")
	for _, k := range fault.Kinds() {
		if k.Status == 0 {
			if !strings.Contains(page, fmt.Sprintf("`%s` (%s)", k.Code, k.Flag)) {
				t.Errorf("%s (%s) is not in the reference", k.Code, k.Flag)
			}
		} else if !strings.Contains(page, fmt.Sprintf("| %d | %s | %s |", k.Status, k.Code, k.Flag)) {
			t.Errorf("%d %s %s is not in the reference", k.Status, k.Code, k.Flag)
		}
	}
}

// The rules are read in the source: no program needs a list of them.
func TestEveryReasonToRefuseAMessageIsInTheReferenceWithItsStatus(t *testing.T) {
	page := read(t, "reference/http.md")
	_, refused, _ := strings.Cut(page, "## What is refused\n")
	rows := map[string]string{} // by reason
	for _, m := range regexp.MustCompile(`(?m)^\| ([a-z][^|]*) \| ([^|]*) \| (\d+) \| (RFC [^|]*) \|`).FindAllStringSubmatch(refused, -1) {
		rows[m[1]] = m[3] + " " + m[4]
	}
	statuses := map[string]*fault.Kind{
		"": fault.BadRequest, "RejectLineTooLong": fault.URITooLong, "RejectHeadersTooLarge": fault.HeadersTooLarge, "RejectVersion": fault.VersionUnsupported,
		"RejectNotImplemented": fault.NotImplemented, "RejectExpectation": fault.Expectation,
	}
	rule := regexp.MustCompile(`(?m)^\tErr\w+ += (?:malformed\(|&(?:codec\.)?Reject\{Text: )"(?:h1|codec): ([^"]*)", (?:RFC: )?"([^"]*)"(?:, Class: codec\.(\w+))?[)}]$`)
	for _, file := range []string{"../codec/h1/reject.go", "../codec/path.go"} {
		source := read(t, file)
		rules := rule.FindAllStringSubmatch(source, -1)
		if len(rules) != strings.Count(source, "\n\tErr") {
			t.Fatalf("%s has other rules than these %d", file, len(rules))
		}
		for _, r := range rules {
			want := fmt.Sprint(statuses[r[3]].Status, " ", r[2])
			if rows[r[1]] != want {
				t.Errorf("%q has the row %q, want %q", r[1], rows[r[1]], want)
			}
			delete(rows, r[1])
		}
	}
	for reason := range rows {
		t.Errorf("%q is in the reference and is no rule", reason)
	}
}

func TestEveryPluginKeyIsInTheReference(t *testing.T) {
	page := read(t, "reference/plugins.md")
	key := regexp.MustCompile(`(?m)^    "([a-z_]+)": \{`)
	for _, k := range builtin.Kinds() {
		_, section, ok := strings.Cut(page, "## "+k.Name+"\n")
		section, _, _ = strings.Cut(section, "\n## ")
		if !ok || !strings.Contains(section, fmt.Sprintf("Priority %d.", k.Priority)) {
			t.Errorf("%s has no section with its priority %d", k.Name, k.Priority)
		}
		for _, alias := range k.Aliases {
			if !strings.Contains(section, "`"+alias+"`") {
				t.Errorf("%s: its alias %s is not named", k.Name, alias)
			}
		}
		rows := firstColumn(section)
		for _, m := range key.FindAllStringSubmatch(k.Schema, -1) {
			if _, ok := rows[m[1]]; !ok {
				t.Errorf("%s: its key %s is not named", k.Name, m[1])
			}
		}
	}
}

func TestEverySettingOfTheStoreIsInTheReference(t *testing.T) {
	_, section, _ := strings.Cut(read(t, "reference/resources.md"), "## Setting:")
	rows := firstColumn(section)
	for _, name := range control.SettingNames() {
		if _, ok := rows[name]; !ok {
			t.Errorf("the setting %s is not in the reference", name)
		}
		delete(rows, name)
	}
	for name := range rows {
		t.Errorf("%s is in the reference and is no setting", name)
	}
}

func TestEveryLinkLeadsSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#]+)(#[^)]*)?\)`)
	pages := 0
	err := filepath.WalkDir("..", func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "testdata" || d.Name() == "out") {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".md" {
			return nil
		}
		pages++
		for _, m := range link.FindAllStringSubmatch(read(t, path), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), m[1])); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", path, m[1])
			}
		}
		return nil
	})
	if err != nil || pages < 10 {
		t.Errorf("%d pages read, %v", pages, err)
	}
}

func TestBuildNamesTheGoVersionOfTheModule(t *testing.T) {
	version := regexp.MustCompile(`(?m)^go (\S+)$`).FindStringSubmatch(read(t, "../go.mod"))[1]
	if !strings.Contains(read(t, "../BUILD.md"), "| Go | "+version+" or later |") {
		t.Errorf("BUILD.md does not ask for Go %s", version)
	}
}

func TestTheGuideHasTheStatusOfGRPCForEveryError(t *testing.T) {
	page := read(t, "guide/http2-and-grpc.md")
	for _, k := range fault.Kinds() {
		if k.Status == 0 || k.GRPC() == 13 { // nobody to tell, or "anything else"
			continue
		}
		row := regexp.MustCompile("(?m)^\\|[^|]*`" + k.Code + "`[^|]*\\|([^|]*)\\| (\\d+) ").FindStringSubmatch(page)
		if row == nil || !strings.Contains(row[1], fmt.Sprint(k.Status)) || row[2] != fmt.Sprint(k.GRPC()) {
			t.Errorf("%s: the row is %q, want %d and %d", k.Code, row, k.Status, k.GRPC())
		}
	}
}
