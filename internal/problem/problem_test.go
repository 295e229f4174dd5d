package problem

import (
	"errors"
	"fmt"
	"testing"
)

func TestProblemsKeepTheirPathsWhenTheyArePutBelowAnother(t *testing.T) {
	var inner Problems
	inner.Add("[0]", "bad %d", 1)
	inner.Add("name", "bad 2")
	inner.Add("", "bad 3")
	var outer Problems
	outer.Under("plugins.x", fmt.Errorf("wrapped: %w", inner))
	outer.Under("when", errors.New("plain"))
	outer.Under("nothing", nil)
	want := "plugins.x[0]: bad 1; plugins.x.name: bad 2; plugins.x: bad 3; when: plain"
	if outer.Error() != want {
		t.Errorf("got  %s\nwant %s", outer.Error(), want)
	}
}

// A nil Problems in an error interface would not be nil.
func TestNoProblemsAreNoError(t *testing.T) {
	var p Problems
	if p.Err() != nil {
		t.Error("an empty list is an error")
	}
	p.Add("a", "b")
	if p.Err() == nil {
		t.Error("a problem is no error")
	}
}

func TestPositionsComeFirst(t *testing.T) {
	p := Problem{Path: "a.b", Text: "wrong", Line: 3, Column: 7}
	if p.String() != "3:7: a.b: wrong" {
		t.Error(p.String())
	}
}

func TestKeysThatDoNotReadWellAreQuoted(t *testing.T) {
	for key, want := range map[string]string{"a-b_1": "x.a-b_1", "a.b": `x["a.b"]`, "": `x[""]`, "ä": `x["ä"]`} {
		if got := Key("x", key); got != want {
			t.Errorf("%q: %s, want %s", key, got, want)
		}
	}
}

func TestNearestIsTheWordThatWasMeant(t *testing.T) {
	known := []string{"workers", "listeners", "request_header", "request_body", "id", "uri"}
	for word, want := range map[string]string{
		"worker": "workers", "Listeners": "listeners", "request-header": "request_header", "reqeust_body": "request_body", "urii": "uri",
		"colour": "", "x": "", "": "", "request": "", "list": "listeners",
	} {
		if got := Nearest(word, known); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}

func TestDistanceCountsEdits(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "ab", 2}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"abc", "ab", 1}, {"abc", "xbc", 1}, {"abc", "bcd", 2}} {
		if got := distance(c.a, c.b); got != c.want || distance(c.b, c.a) != c.want {
			t.Errorf("%q %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

// What could not be read is zero, and what the validation says of that is no news: at the place itself, around it, or below.
func TestAValidationCompletesWhatTheReadingHasFound(t *testing.T) {
	var read, found Problems
	read.Add("timeout.connect", "no duration")
	read.Add("hosts[1]", "no string")
	for _, path := range []string{"timeout.connect", "timeout", "timeout.connect.x", "timeouts", "hosts[1]", "hosts[10]", "prefix", "paths"} {
		found.Add(path, "bad")
	}
	read.Complete(found, "prefix")
	want := "timeout.connect: no duration; hosts[1]: no string; timeouts: bad; hosts[10]: bad; paths: bad"
	if read.Error() != want {
		t.Errorf("got  %s\nwant %s", read.Error(), want)
	}
	root := Problems{{Text: "wants an object"}}
	if root.Complete(found); len(root) != 1 {
		t.Errorf("of what is no object nothing can be said: %v", root)
	}
}
