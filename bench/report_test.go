package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A report has what somebody needs to believe it or to repeat it.
func TestReportHasManifestRawResultsConfigurationsPageAndPlot(t *testing.T) {
	out := t.TempDir()
	_, results := sample(turnOf(16000), turnOf(28000))
	rivals := []*rival{{name: "sluice"}, {name: "nginx"}}
	rivals[0].config, rivals[1].version = "sluice.yaml", "nginx/1"
	rec := newRecord("small")
	rec.addRivals(rivals)
	for name, res := range results {
		if err := rec.add(name, "", res); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(rec.Rivals)
	slices.Reverse(rec.Rivals)
	if err := presentLoad(rec); err != nil {
		t.Fatal(err)
	}
	h := &harness{opt: &options{}, log: io.Discard, configs: map[string]string{rivals[0].configName(): "workers: 1\n"}}
	opt := &options{out: out, rounds: 2, args: []string{"-rounds", "2"}}
	if err := writeReport(opt, h, []*record{rec}); err != nil {
		t.Fatal(err)
	}
	runs, err := filepath.Glob(filepath.Join(out, "*"))
	if err != nil || len(runs) != 1 {
		t.Fatalf("%v, %v", runs, err)
	}
	in := func(name string) string {
		text, err := os.ReadFile(filepath.Join(runs[0], name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	var m manifest
	if err := json.Unmarshal([]byte(in("manifest.json")), &m); err != nil || len(m.Rivals) != 2 || m.Rivals[1].Version != "nginx/1" {
		t.Errorf("manifest %+v, %v", m, err)
	}
	if !strings.Contains(in("small.json"), `"user_ns_per_request": 4000`) {
		t.Errorf("raw result:\n%s", in("small.json"))
	}
	if in("sluice-1-workers.yaml") != "workers: 1\n" {
		t.Error("the configuration is another")
	}
	page := in("README.md")
	for _, want := range []string{"bench/run -rounds 2", "## small", "| sluice |", "(small.svg)", "(small-columns.svg)", "calls/request", "(sluice-1-workers.yaml)", "0.75"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q:\n%s", want, page)
		}
	}
	mustBeXML(t, in("small.svg"))
	columns := in("small-columns.svg")
	mustBeXML(t, columns)
	for _, want := range []string{"requests/s", "p99.9 ms", "calls/request", "RSS MiB"} {
		if strings.Contains(columns, want) != (want != "p99.9 ms") { // the sample has none, so it has no field
			t.Errorf("the field %q: %v", want, !strings.Contains(columns, want))
		}
	}
	if !strings.Contains(in("small.json"), `"system_calls": {`) {
		t.Errorf("the raw result has no system calls:\n%s", in("small.json"))
	}
	mustBeRemade(t, runs[0], in)
}

// mustBeRemade takes page and plots away and has them made again from the JSON alone.
func mustBeRemade(t *testing.T, dir string, in func(name string) string) {
	t.Helper()
	before := map[string]string{}
	for _, name := range []string{"README.md", "small.svg", "small-columns.svg"} {
		before[name] = in(name)
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	var printed strings.Builder
	if err := run(t.Context(), []string{"-report", dir}, &printed, io.Discard); err != nil {
		t.Fatal(err)
	}
	for name, text := range before {
		if in(name) != text {
			t.Errorf("%s made again is another:\n%s", name, in(name))
		}
	}
	if !strings.Contains(printed.String(), "sluice") {
		t.Errorf("printed %q", printed.String())
	}
}

func TestAFolderThatIsNoRunIsNotMadeAReport(t *testing.T) {
	dir := t.TempDir()
	if err := run(t.Context(), []string{"-report", dir}, io.Discard, io.Discard); err == nil || exitCode(err) != 1 {
		t.Errorf("got %v", err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
		t.Errorf("%v, %v", files, err)
	}
}

func mustBeXML(t *testing.T, text string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("the plot is not XML: %v", err)
		}
	}
}

func TestWithoutNginxThereIsNoPlot(t *testing.T) {
	svg, err := plotRatios(summarize([]string{"sluice"}, map[string]*loadResult{"sluice": {Turns: []turn{turnOf(16000)}}}))
	if svg != nil || err != nil {
		t.Errorf("%d bytes, %v", len(svg), err)
	}
}

// The token of a gateway that has ended opens nothing, but what looks like a secret does not belong in a report.
func TestTheTokenIsNotInTheReport(t *testing.T) {
	r := &rival{admin: &adminAPI{token: "s3cret"}}
	if text := r.redact("token: \"s3cret\"\n"); strings.Contains(text, "s3cret") {
		t.Errorf("%q", text)
	}
}

func TestHeapCountersAreReadFromMetrics(t *testing.T) {
	const text = "# HELP x\ngo_gc_duration_seconds{quantile=\"0\"} 1e-05\ngo_gc_duration_seconds_sum 0.5\ngo_gc_duration_seconds_count 7\ngo_memstats_mallocs_total 1.5e+06\n"
	before, err := parseHeap(text)
	if err != nil {
		t.Fatal(err)
	}
	after := &heapCounters{mallocs: 1.5e6 + 200, pauses: 9, paused: 0.75}
	if got := *after.since(before, 100); got != (heapUse{2, 2, 250000}) {
		t.Errorf("%+v", got)
	}
	if _, err := parseHeap("go_gc_duration_seconds_sum 0.5\n"); err == nil {
		t.Error("a counter is missing, and no error")
	}
}
