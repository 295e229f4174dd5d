package main

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// A child that dies at its start must be told with what it said, not as a timeout half a minute later.
func TestChildThatEndsIsToldWithItsLastWords(t *testing.T) {
	p, err := startProcess(t.TempDir(), "child", "sh", "-c", "echo bad configuration >&2; exit 3")
	if err != nil {
		t.Fatal(err)
	}
	err = p.await(t.Context(), time.Minute, func() error { return errors.New("not yet") })
	if err == nil || !strings.Contains(err.Error(), "bad configuration") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("got %v", err)
	}
}

func TestStopEndsTheChildAndIsPatientWithTheDead(t *testing.T) {
	p, err := startProcess(t.TempDir(), "child", "sleep", "600")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.ended(); err != nil {
		t.Fatal(err)
	}
	p.stop()
	if err := p.ended(); err == nil || !strings.Contains(err.Error(), "terminated") {
		t.Errorf("got %v", err)
	}
	p.stop()
}

func TestMissingProgramIsAnError(t *testing.T) {
	if _, err := startProcess(t.TempDir(), "child", "no-such-program-here"); err == nil {
		t.Error("started")
	}
}

func TestAwaitGivesUpAfterItsTime(t *testing.T) {
	p, err := startProcess(t.TempDir(), "child", "sleep", "600")
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	err = p.await(t.Context(), 50*time.Millisecond, func() error { return errors.New("never ready") })
	if err == nil || !strings.Contains(err.Error(), "never ready") {
		t.Errorf("got %v", err)
	}
}

// A panic's reason is in its first line, and a fatal message is in the last.
func TestLongOutputIsCutInTheMiddle(t *testing.T) {
	p, err := startProcess(t.TempDir(), "child", "sh", "-c", "echo first; seq 10000; echo last")
	if err != nil {
		t.Fatal(err)
	}
	<-p.done
	got := p.lastWords()
	if !strings.HasPrefix(got, "first\n") || !strings.HasSuffix(got, "\nlast") || len(got) > 4000 {
		t.Errorf("%d bytes: %.20q … %q", len(got), got, got[max(0, len(got)-20):])
	}
}
