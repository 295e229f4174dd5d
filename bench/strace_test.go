package main

import (
	"reflect"
	"strings"
	"testing"
)

func TestStraceTableIsReadWithAndWithoutErrors(t *testing.T) {
	got, err := parseStrace(readFile(t, "testdata/strace.txt"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int64{"recvfrom": 23903, "writev": 23841, "epoll_wait": 742} // and no "total"
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestCutStraceTableIsAnError(t *testing.T) {
	text := readFile(t, "testdata/strace.txt")
	for _, cut := range []string{"", text[:strings.LastIndex(text, "\n------")], strings.Replace(text, "23841", "many", 1)} {
		if _, err := parseStrace(cut); err == nil {
			t.Errorf("%q: no error", cut)
		}
	}
}

func TestCallsPerRequestAreSortedByNumber(t *testing.T) {
	r := syscallResult{Requests: 100, Calls: map[string]int64{"read": 200, "write": 201, "close": 1, "futex": 0}}
	if r.total() != 4.02 {
		t.Errorf("total %v", r.total())
	}
	if got, want := r.most(), "write 2.01, read 2.00, close 0.01"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
