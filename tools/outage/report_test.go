package main

import (
	"io"
	"net"
	"testing"
	"time"
)

// ideal is a report of a proxy that keeps every promise: ten requests a phase, 100 ms apart, that each origin answers in turn.
func ideal() *report {
	r := &report{name: "sluice"}
	now := time.Unix(1000, 0)
	var samples []sample
	for i, s := range script(&origins{all: make([]*originProcess, 5)}) {
		r.enter(s.phase, now, 10*i)
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
			r.phases[i].tries -= 2
		},
		"amplification, breaking off": func(r *report) {
			_, i := r.in(t, phaseMended)
			r.phases[i].tries += 2
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
