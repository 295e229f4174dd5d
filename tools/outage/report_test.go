package main

import (
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// ideal is a report of a proxy that keeps every promise: ten requests a phase, 100 ms apart, that each origin answers in turn.
func ideal() *report {
	r := &report{name: "sluice"}
	now := time.Unix(1000, 0)
	var samples []sample
	for i, s := range script(&origins{all: make([]*originProcess, 5)}) {
		r.enter(s, now, counts{asked: 10 * i})
		if s.phase == phaseEnd {
			break
		}
		for k := range 10 {
			samples = append(samples, sample{due: now, ok: s.phase != phaseOutage && s.phase != phaseBroken, origin: string(rune('0' + k%5)), took: time.Millisecond})
			now = now.Add(100 * time.Millisecond)
		}
	}
	r.add(samples)
	return r
}

func (r *report) in(t *testing.T, phase string) (*phase, int) {
	t.Helper()
	p, i := r.during(phase)
	if p == nil {
		t.Fatalf("there is no phase %q", phase)
	}
	return p, i
}

// Each promise, broken alone, is noticed.
func TestWhatIsNotKeptIsSaid(t *testing.T) {
	if !ideal().keepsPromises(io.Discard) {
		t.Fatal("nothing is wrong, and it is said that something is")
	}
	for name, spoil := range map[string]func(r *report){
		"failures": func(r *report) { p, _ := r.in(t, "1 frozen"); p.samples[3].ok = false },
		"amplification, dead": func(r *report) {
			_, i := r.in(t, phaseOutage)
			r.phases[i].counts.asked -= 2
		},
		"amplification, breaking off": func(r *report) {
			_, i := r.in(t, phaseMended)
			r.phases[i].counts.refused += 2
		},
		"late failure": func(r *report) {
			p, _ := r.in(t, phaseRecovery)
			p.samples = append(p.samples, sample{due: p.began.Add(interval + time.Millisecond)})
		},
		"an origin that is not asked": func(r *report) {
			p, _ := r.in(t, "1 thawed")
			for i := range p.samples {
				p.samples[i].origin = "0"
			}
		},
	} {
		r := ideal()
		spoil(r)
		if r.keepsPromises(io.Discard) {
			t.Errorf("%s: it is not noticed", name)
		}
	}
}

// What was under way when a phase began that takes something away, and failed, is that phase's doing, and counted there; all else belongs where it was due.
func TestAFailureBelongsToThePhaseThatBrokeIt(t *testing.T) {
	const ms = time.Millisecond
	for name, c := range map[string]struct {
		before string        // the phase in whose last moments the request was due
		early  time.Duration // before its end
		took   time.Duration
		ok     bool
		want   string
		cut    int
	}{
		"cut":                          {phaseMended, ms, 3 * ms, false, phaseOutage, 1},
		"of one of five":               {"calm", ms, 3 * ms, false, "0 killed", 1},
		"over before":                  {phaseMended, 3 * ms, 2 * ms, false, phaseMended, 0},
		"all went well":                {phaseMended, ms, 3 * ms, true, phaseMended, 0},
		"longer than it may take":      {phaseMended, longest + ms, longest + 3*ms, false, phaseMended, 0},
		"what began takes nothing":     {phaseOutage, ms, 3 * ms, false, phaseOutage, 0},
		"broken, over when all mended": {phaseBroken, ms, 20 * ms, false, phaseBroken, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := ideal()
			_, i := r.in(t, c.before)
			s := sample{due: r.phases[i+1].began.Add(-c.early), took: c.took, ok: c.ok, why: "it was cut"}
			r.add([]sample{s})
			for _, p := range r.phases {
				has := slices.Contains(p.samples, s)
				if has != (p.name == c.want) {
					t.Errorf("%s: it is held to belong there: %v", p.name, has)
				}
				if has && p.cut != c.cut {
					t.Errorf("%d were cut, not %d", p.cut, c.cut)
				}
			}
		})
	}
}

// A request that a border cuts does not make the tries of those after it fewer for each.
func TestTriesAreCountedForWhatWasDue(t *testing.T) {
	r := ideal()
	p, i := r.in(t, phaseOutage)
	before, _ := r.amplification(i)
	r.add([]sample{{due: p.began.Add(-time.Millisecond), took: 2 * time.Millisecond}})
	if got, _ := r.amplification(i); got != before {
		t.Errorf("%v tries for each, not %v", got, before)
	}
}

// Probes of dead origins are no tries for requests, and those that fail where none is dead have been refused nothing. Both figures are given.
func TestProbesAreToldFromTries(t *testing.T) {
	for name, c := range map[string]struct {
		refused, probes int // in the outage, beside the ten tries of ten requests
		tries, all      float64
		kept            bool
	}{
		"many probes":                 {50, 50, 1, 6, true},
		"a retry among them":          {52, 50, 1.2, 6.2, false},
		"probes that are not refused": {0, 50, 1, 1, true},
	} {
		r := ideal()
		_, i := r.in(t, phaseOutage)
		for _, p := range r.phases[i+1:] {
			p.counts.refused += c.refused
			p.counts.probes += c.probes
		}
		if tries, all := r.amplification(i); tries != c.tries || all != c.all {
			t.Errorf("%s: %v tries for each request, and %v with probes", name, tries, all)
		}
		if kept := r.keepsPromises(io.Discard); kept != c.kept {
			t.Errorf("%s: the promises are kept: %v", name, kept)
		}
		var b strings.Builder
		compare(&b, []*report{r})
		if want := fmt.Sprintf("%.3f (%.3f)", c.tries, c.all); !strings.Contains(b.String(), want) {
			t.Errorf("%s: it does not say %s:\n%s", name, want, b.String())
		}
	}
}

// The gateway says how many probes have failed.
func TestFailedProbesAreReadFromTheMetrics(t *testing.T) {
	n, err := sumOfFailedProbes(strings.NewReader(`# HELP sluice_upstream_probes_total Probes of nodes, by result.
sluice_upstream_probes_total{result="failed",service="a"} 12
sluice_upstream_probes_total{result="ok",service="a"} 7
sluice_upstream_probes_total{result="failed",service="b"} 1e+03
`))
	if err != nil || n != 1012 {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := sumOfFailedProbes(strings.NewReader("sluice_upstream_probes_total{result=\"failed\"} many\n")); err == nil {
		t.Error("what is no number is taken for one")
	}
}

// What failed is printed with its reason and its times, and never more lines than there are reasons.
func TestFailuresAreToldByTheirReason(t *testing.T) {
	r := ideal()
	p, _ := r.in(t, "1 frozen")
	for i, why := range []string{"EOF", "502 upstream_reset", "EOF"} {
		p.samples[i].ok, p.samples[i].why = false, why
	}
	var b strings.Builder
	r.printFailures(&b)
	for _, want := range []string{
		"1 frozen: 2 failed, EOF; the first was due after 0s and ended after 1ms, the last 200ms and 201ms\n",
		"1 frozen: 1 failed, 502 upstream_reset; the first was due after 100ms and ended after 101ms, the last 100ms and 101ms\n",
	} {
		if strings.Count(b.String(), want) != 1 {
			t.Errorf("it does not say %q:\n%s", want, b.String())
		}
	}
	if n := strings.Count(b.String(), "1 frozen"); n != 2 {
		t.Errorf("%d lines", n)
	}
}

// The clients tell reasons apart in as few words as there are.
func TestTheReasonOfAFailure(t *testing.T) {
	if got := reasonOf(503, []byte(`{"error":{"status":503,"code":"no_healthy_node"}}`)); got != "503 no_healthy_node" {
		t.Errorf("of sluice: %q", got)
	}
	if got := reasonOf(502, []byte("<html>")); got != "502" {
		t.Errorf("of another: %q", got)
	}
	if got := reason(&url.Error{Op: "Get", URL: "http://127.0.0.1:1/status", Err: io.EOF}); got != "EOF" {
		t.Errorf("of none: %q", got)
	}
}

// The kernel counts a connection that is refused.
func TestRefusedConnectionsAreCounted(t *testing.T) {
	before, err := refusedConnects()
	if err != nil {
		t.Fatal(err)
	}
	address, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			t.Fatal("somebody listens there")
		}
	}
	if after, err := refusedConnects(); err != nil || after < before+3 {
		t.Errorf("%d before, %d after, %v", before, after, err)
	}
}
