package main

import (
	"strings"
	"testing"
)

func TestTableAlignsByCharactersNotBytes(t *testing.T) {
	tab := &table{}
	tab.add("", "µs", "n")
	tab.add("nginx", "1.0", "12")
	tab.add("x", "invalid")
	var b strings.Builder
	if err := tab.write(&b); err != nil {
		t.Fatal(err)
	}
	want := "" +
		"            µs   n\n" +
		"------------------\n" +
		"nginx      1.0  12\n" +
		"x      invalid\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestWordsInTheLastColumnStandToTheLeft(t *testing.T) {
	tab := &table{text: true}
	tab.add("", "n", "of them")
	tab.add("x", "10", "a long list of words")
	var b strings.Builder
	if err := tab.write(&b); err != nil {
		t.Fatal(err)
	}
	want := "" +
		"    n  of them\n" +
		"--------------\n" +
		"x  10  a long list of words\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestThousandsAreSeparated(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 999.4: "999", 999.6: "1,000", 45120.4: "45,120", 1234567: "1,234,567"} {
		if got := thousands(v); got != want {
			t.Errorf("%v: got %q, want %q", v, got, want)
		}
	}
}
