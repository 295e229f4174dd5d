package main

import (
	"os"
	"strings"
	"testing"
	"time"
)

// The program's name may hold spaces and brackets; proc_pid_stat(5).
func TestStatIsReadBehindTheLastBracket(t *testing.T) {
	text := "42 (a) b (c) S 1 42 42 0 -1 4194560 1000 0 0 0 123 4567 9 9 20 0 1 0 100 1000 200"
	got, err := parseStat([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if want := (cpuTime{User: 1230 * time.Millisecond, System: 45670 * time.Millisecond}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestBrokenStatIsAnError(t *testing.T) {
	for _, text := range []string{"", "42 a S 1", "42 (a) S 1 2 3", "42 (a) S 1 42 42 0 -1 4194560 1000 0 0 0 x 4567", "42 (a) S 1 42 42 0 -1 4194560 1000 0 0 0 1 x"} {
		if _, err := parseStat([]byte(text)); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}

func TestStatusIsReadInBytes(t *testing.T) {
	got, err := parseStatus([]byte("Name:\tx\nVmRSS:\t   14648 kB\nRssAnon:\t     504 kB\nRssFile:\t 9 kB\n"))
	if err != nil {
		t.Fatal(err)
	}
	if want := (memory{RSS: 14648 << 10, Anon: 504 << 10}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for _, text := range []string{"VmRSS: 1 kB\n", "RssAnon: 1 kB\n", "VmRSS: x kB\nRssAnon: 1 kB\n"} {
		if _, err := parseStatus([]byte(text)); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}

// What the kernel of this machine writes must be readable, and CPU time that is spent must show.
func TestOwnProcessIsReadable(t *testing.T) {
	before, err := readCPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		after, err := readCPU(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		if d := after.sub(before); d.User+d.System >= 5*tick {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("busy for 10 s, and no CPU time is shown")
		}
		_ = strings.Repeat("x", 1<<16)
	}
	m, err := readMemory([]int{os.Getpid()})
	if err != nil {
		t.Fatal(err)
	}
	if m.RSS < 1<<20 || m.Anon <= 0 || m.Anon > m.RSS {
		t.Errorf("memory = %+v", m)
	}
}
