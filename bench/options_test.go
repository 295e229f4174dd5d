package main

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func TestDefaultsAreFiveRoundsOfFiveSeconds(t *testing.T) {
	opt, err := parseOptions(nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if opt.rounds != 5 || opt.duration != 5*time.Second || opt.connections != 64 || opt.maxRatio != 0 || len(opt.scenarios) != 1 || len(opt.rivals) != 3 {
		t.Errorf("%+v", opt)
	}
}

func TestQuickShortensWhatIsNotSet(t *testing.T) {
	opt, err := parseOptions([]string{"--quick", "-rounds", "3"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if opt.rounds != 3 || opt.duration != quickDuration || opt.maxRatio != quickMaxRatio {
		t.Errorf("%+v", opt)
	}
}

func TestBadCommandLinesAreUsageErrors(t *testing.T) {
	for _, args := range [][]string{
		{"-rounds", "0"}, {"-duration", "1500ms"}, {"-duration", "0s"}, {"-connections", "0"}, {"-connections", "100000"},
		{"-idle-connections", "1"}, {"-idle-connections", "200000"}, {"-scenario", "large"}, {"-rivals", "apache"}, {"-rivals", "nginx,nginx"}, {"-with", "nginx=x {port}"}, {"-with", "x"}, {"-with", "x=prog"}, {"-nonsense"}, {"word"},
	} {
		_, err := parseOptions(args, io.Discard)
		if !errors.Is(err, errUsage) || exitCode(err) != 2 {
			t.Errorf("%v: %v", args, err)
		}
	}
}

// Who lacks a program is told of it before anything runs; one that the run does not use is not missed.
func TestOnlyTheProgramsThatARunUsesAreMissed(t *testing.T) {
	for line, want := range map[string]string{
		"": "haproxy nginx wrk", "-rivals sluice,nginx": "nginx wrk", "-rivals sluice -scenario http2,grpc": "h2load nginx wrk", "-rivals sluice -scenario grpc": "nginx wrk", "-rivals sluice -scenario idle,syscalls": "nginx strace wrk",
	} {
		opt, err := parseOptions(strings.Fields(line), io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(opt.tools(), " "); got != want {
			t.Errorf("%q needs %s, want %s", line, got, want)
		}
	}
	if err := haveTools([]string{"sh", "no-such-program-here", "nor-this"}); err == nil || !strings.Contains(err.Error(), "no-such-program-here, nor-this") {
		t.Errorf("got %v", err)
	}
}

func TestAllIsEveryScenario(t *testing.T) {
	got, err := findScenarios("all")
	if err != nil || len(got) != len(scenarios) {
		t.Errorf("%d scenarios, %v", len(got), err)
	}
	if got, err = findScenarios("idle,small"); err != nil || len(got) != 2 || got[0].name != "idle" {
		t.Errorf("%v, %v", got, err)
	}
}
