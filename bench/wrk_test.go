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
	want := &load{Requests: 58713, Rate: 29292.77, P50: 2100 * time.Microsecond, P99: 4790 * time.Microsecond}
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
	want := &load{
		Requests: 120000, Rate: 60000, P50: 980 * time.Microsecond, P99: 66 * time.Second,
		Errors: []string{"Socket errors: connect 0, read 12, write 0, timeout 3", "Non-2xx or 3xx responses: 119636"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestWrkOutputWithoutAFigureIsAnError(t *testing.T) {
	text := readFile(t, "testdata/wrk.txt")
	for _, line := range []string{"Requests/sec:", "     50%", "     99%", "58713 requests"} {
		_, err := parseWrk(strings.Replace(text, line, "gone", 1))
		if err == nil {
			t.Errorf("without %q: no error", line)
		}
	}
}
