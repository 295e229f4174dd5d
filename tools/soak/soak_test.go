package main

import (
	"strings"
	"testing"
	"time"

	"sluice/internal/testnet"
)

func TestMain(m *testing.M) { testnet.Main(m) }

// Every scenario, small enough for every run of the tests. What they look for is the same as in ten minutes; what they find is less.
func TestGatewayHoldsUnderEveryScenario(t *testing.T) {
	binary, err := gatewayBinary(t.Context(), "", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	hold, err := build(t.Context(), "sluice/tools/hold", t.TempDir()+"/hold")
	if err != nil {
		t.Fatal(err)
	}
	size := sizes{
		duration: 2 * time.Second, sample: 50 * time.Millisecond, idle: 400, active: 40, rate: 400, body: 128 << 20,
		clients: 64, crowd: 200, patience: time.Second, seed: 1,
	}
	if testing.Short() {
		size.duration, size.body, size.crowd = time.Second, 32<<20, 50
	}
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			h := &harness{binary: binary, hold: hold, dir: t.TempDir() + "/run", out: t.Output(), size: size}
			r := h.run(t.Context(), s)
			if !printTable(t.Output(), []*report{r}) {
				t.Error("a verdict is FAIL")
			}
			if len(r.rows) < 8 {
				t.Errorf("only %d rows: the scenario has not looked at anything", len(r.rows))
			}
		})
	}
}

func TestWrongFlagsAreRefusedBeforeAnythingStarts(t *testing.T) {
	for _, args := range []string{"-scenario tea", "-duration 1s", "-duration 48h", "-idle 1", "-active 0", "more", "-nothing"} {
		var out, errs strings.Builder
		if code := run(strings.Fields(args), &out, &errs); code != 2 || errs.Len() == 0 || out.Len() > 0 {
			t.Errorf("%s: exit %d, printed %q and %q; want exit 2 and a word on stderr", args, code, out.String(), errs.String())
		}
	}
}

func TestSharesOfTheScenariosAreTheWholeDuration(t *testing.T) {
	sum := 0
	for _, s := range scenarios {
		sum += s.share
	}
	if sum != 100 {
		t.Errorf("the shares are %d %%", sum)
	}
}

func TestOneBadVerdictMakesTheTableBad(t *testing.T) {
	good, bad := &report{scenario: "a"}, &report{scenario: "b"}
	good.must(true, "one", "1", "1")
	good.note("two", "2")
	bad.zero("three", 3)
	var out strings.Builder
	if !printTable(&out, []*report{good}) {
		t.Error("a good report makes a bad table")
	}
	if printTable(&out, []*report{good, bad}) {
		t.Error("a bad report makes a good table")
	}
	if !strings.Contains(out.String(), "FAIL") {
		t.Errorf("no FAIL in the table:\n%s", out.String())
	}
}
