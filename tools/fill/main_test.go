package main

import (
	"strings"
	"testing"

	"sluice/control"
)

// A line is a key and a value, which may have spaces; one that is not ends it, by its number.
func TestLinesAreEntries(t *testing.T) {
	var bad error
	var got []control.Entry
	for e := range read(strings.NewReader("routes/a {\"prefix\": \"/a\"}\nservices/b {}\nhello\nroutes/c {}\n"), &bad) {
		got = append(got, e)
	}
	if len(got) != 2 || got[0].Key != "routes/a" || string(got[0].Value) != `{"prefix": "/a"}` || got[1].Key != "services/b" || string(got[1].Value) != "{}" {
		t.Errorf("entries %+v", got)
	}
	if bad == nil || !strings.Contains(bad.Error(), "line 3") {
		t.Errorf("the third line: %v", bad)
	}
}
