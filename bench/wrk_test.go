package main

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestWrkOutputIsRead(t *testing.T) {
	got, err := parseWrk(readFile(t, "testdata/wrk.txt"))
	if err != nil {
		t.Fatal(err)
	}
	want := &load{
		Requests: 32870, Bytes: 7921670, Rate: 32870 / 1.004392, P50: 1853 * time.Microsecond, P99: 4217 * time.Microsecond, P999: 9820 * time.Microsecond,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// A run with one wrong answer must not count, however fast it was.
func TestWrkErrorsAreKept(t *testing.T) {
	got, err := parseWrk(readFile(t, "testdata/wrk-errors.txt"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"12 answers that broke off", "119636 answers with a status above 399", "3 answers that did not come in time"}
	if !reflect.DeepEqual(got.Errors, want) {
		t.Errorf("got %q, want %q", got.Errors, want)
	}
}

func TestWrkOutputWithoutAReportIsAnError(t *testing.T) {
	text := readFile(t, "testdata/wrk.txt")
	for _, broken := range []string{"", strings.Replace(text, "\nreport ", "\n", 1), strings.Replace(text, `"requests":`, `"requests":x`, 1)} {
		if _, err := parseWrk(broken); err == nil {
			t.Errorf("%q: no error", broken)
		}
	}
}

func TestTheScriptHasWhatTheJobAsksFor(t *testing.T) {
	for want, j := range map[string]job{
		`wrk.headers["Connection"] = "close"`: {fresh: true},
		`string.rep("x", 4096)`:               {upload: 4096},
		`wrk.headers["Origin"] = "https://a"`: {page: "https://a"},
	} {
		if !strings.Contains(j.script(), want) || !strings.Contains(j.script(), wrkReport) {
			t.Errorf("%+v: %s", j, j.script())
		}
		if strings.Contains(smallJob(1).script(), want) {
			t.Errorf("%s is in the script of a job that does not ask for it", want)
		}
	}
}
