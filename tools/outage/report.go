package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// report is what clients saw of one proxy.
type report struct {
	name   string
	length time.Duration
	phases []*phase
}

// phase is a part of the script.
type phase struct {
	name    string
	began   time.Time
	tries   int // that the proxy had counted by then; -1 = it does not tell
	samples []sample
}

func (r *report) enter(name string, now time.Time, tries int) {
	r.phases = append(r.phases, &phase{name: name, began: now, tries: tries})
}

// add sorts the samples into the phases in which they were due.
func (r *report) add(samples []sample) {
	for _, s := range samples {
		i := len(r.phases) - 1
		for i > 0 && s.due.Before(r.phases[i].began) {
			i--
		}
		r.phases[i].samples = append(r.phases[i].samples, s)
	}
	for _, p := range r.phases {
		slices.SortFunc(p.samples, func(a, b sample) int { return a.due.Compare(b.due) })
	}
}

func (p *phase) success() (ok, all int) {
	for _, s := range p.samples {
		if s.ok {
			ok++
		}
	}
	return ok, len(p.samples)
}

func (p *phase) percentile(q float64) time.Duration {
	var took []time.Duration
	for _, s := range p.samples {
		took = append(took, s.took)
	}
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[min(len(took)-1, int(q*float64(len(took))))]
}

// lastFailure returns when in the phase the last request failed, 0 where none did.
func (p *phase) lastFailure() time.Duration {
	last := time.Duration(0)
	for _, s := range p.samples {
		if !s.ok {
			last = s.due.Sub(p.began)
		}
	}
	return last
}

// amplification returns how many tries there were for each request of a phase; 0 = it is not known.
func (r *report) amplification(i int) float64 {
	p := r.phases[i]
	if p.tries < 0 || i+1 == len(r.phases) || len(p.samples) == 0 {
		return 0
	}
	return float64(r.phases[i+1].tries-p.tries) / float64(len(p.samples))
}

// returned returns when in the phase the origin of that name answered first, -1 where it did not.
func (p *phase) returned(origin string) time.Duration {
	for _, s := range p.samples {
		if s.ok && s.origin == origin {
			return s.due.Sub(p.began)
		}
	}
	return -1
}

// singles sums up the phases in which at most one of five was not well.
func (r *report) singles() (ok, all int) {
	for _, p := range r.phases {
		if p.name != phaseOutage && p.name != phaseRecovery {
			a, b := p.success()
			ok, all = ok+a, all+b
		}
	}
	return ok, all
}

func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s, %v\n", r.name, r.length)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "phase\trequests\tfailed\tsuccess %\tp50\tp99\tmax\ttries/request\t")
	for i, p := range r.phases {
		ok, all := p.success()
		tries := ""
		if a := r.amplification(i); a > 0 {
			tries = fmt.Sprintf("%.3f", a)
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%.3f\t%v\t%v\t%v\t%s\t\n", p.name, all, all-ok, 100*float64(ok)/float64(max(1, all)),
			p.percentile(0.5).Round(100*time.Microsecond), p.percentile(0.99).Round(100*time.Microsecond), p.percentile(1).Round(time.Millisecond), tries)
	}
	_ = t.Flush()
	ok, all := r.singles()
	fmt.Fprintf(w, "one of five not well: %d of %d, %.3f %%\n", ok, all, 100*float64(ok)/float64(max(1, all)))
	for _, back := range []struct{ phase, origin string }{{"0 restarted", "0"}, {"1 thawed", "1"}, {"3 restarted again", "3"}} {
		for _, p := range r.phases {
			if p.name == back.phase {
				fmt.Fprintf(w, "%s: asked again after %v\n", p.name, p.returned(back.origin).Round(time.Millisecond))
			}
		}
	}
	fmt.Fprintf(w, "after the outage: the last failure came after %v\n", r.phases[len(r.phases)-1].lastFailure().Round(time.Millisecond))
}

// keepsPromises says which of the promises were not kept, and whether all were: 99.9 % while one of five is not well, less than 1.2 tries for each request while all are dead, and
// recovery within one interval of the probes.
func (r *report) keepsPromises(w io.Writer) bool {
	kept := true
	miss := func(format string, args ...any) {
		kept = false
		fmt.Fprintf(w, "NOT KEPT: "+format+"\n", args...)
	}
	if ok, all := r.singles(); float64(ok) < 0.999*float64(all) {
		miss("%d of %d requests failed while one of five was not well", all-ok, all)
	}
	for i, p := range r.phases {
		if a := r.amplification(i); p.name == phaseOutage && a >= 1.2 {
			miss("%.3f tries for each request in the outage", a)
		}
	}
	if last := r.phases[len(r.phases)-1].lastFailure(); last > interval {
		miss("the last failure came %v after the outage, the interval is %v", last, interval)
	}
	return kept
}
