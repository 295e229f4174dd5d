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
	breaks  bool
	counts  counts // by then
	samples []sample
	cut     int // of the samples: those that were under way when it began, and that it broke
}

func (r *report) enter(s step, now time.Time, c counts) {
	r.phases = append(r.phases, &phase{name: s.phase, breaks: s.breaks, began: now, counts: c})
}

// add sorts the samples into the phases that they tell of: the ones in which they were due, or those that broke them.
func (r *report) add(samples []sample) {
	for _, s := range samples {
		due := r.at(s.due)
		i := due
		if !s.ok {
			i = r.broke(s, due)
		}
		p := r.phases[i]
		if i != due {
			p.cut++
		}
		p.samples = append(p.samples, s)
	}
	for _, p := range r.phases {
		slices.SortFunc(p.samples, func(a, b sample) int { return a.due.Compare(b.due) })
	}
}

// at returns the place of the phase that a moment is in.
func (r *report) at(t time.Time) int {
	i := len(r.phases) - 1
	for i > 0 && t.Before(r.phases[i].began) {
		i--
	}
	return i
}

// longest is what a request takes at most: three tries. One that has been under way for longer is not broken by what happens then.
const longest = 3 * tryTime

// broke returns the place of the phase that a failure is held against: the one it was due in, unless another began while it was under way and took from it what it needed.
func (r *report) broke(s sample, due int) int {
	for i := r.at(s.end()); i > due; i-- {
		if p := r.phases[i]; p.breaks && p.began.Sub(s.due) <= longest {
			return i
		}
	}
	return due
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

// failures is those of one phase that failed for the same reason.
type failures struct {
	why         string
	n           int
	first, last sample // by when they were due
}

// failed returns what failed in a phase, by its reason, in the order of the first of each.
func (p *phase) failed() (list []failures) {
	for _, s := range p.samples {
		if s.ok {
			continue
		}
		i := slices.IndexFunc(list, func(f failures) bool { return f.why == s.why })
		if i < 0 {
			i = len(list)
			list = append(list, failures{why: s.why, first: s})
		}
		list[i].n++
		list[i].last = s
	}
	return list
}

// amplification returns how many tries there were for each request that was due in a phase, without and with the probes of dead origins.
func (r *report) amplification(i int) (tries, withProbes float64) {
	p := r.phases[i]
	due := len(p.samples) - p.cut
	if i+1 == len(r.phases) || due == 0 {
		return 0, 0
	}
	n, all := r.phases[i+1].counts.since(p.counts)
	return float64(n) / float64(due), float64(all) / float64(due)
}

// during returns the phase of that name, and its place; nil where there is none.
func (r *report) during(name string) (*phase, int) {
	for i, p := range r.phases {
		if p.name == name {
			return p, i
		}
	}
	return nil, -1
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
func (r *report) singles() (ok, all int, p99 time.Duration) {
	for _, p := range r.phases {
		switch p.name {
		case phaseBroken, phaseMended, phaseOutage, phaseRecovery, phaseEnd:
			continue
		}
		a, b := p.success()
		ok, all, p99 = ok+a, all+b, max(p99, p.percentile(0.99))
	}
	return ok, all, p99
}

// comebacks are the phases that begin with the return of one origin.
var comebacks = []struct{ phase, origin string }{{"0 restarted", "0"}, {"1 thawed", "1"}, {"3 restarted again", "3"}}

func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s, %v\n", r.name, r.length)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "phase\trequests\tfailed\tcut by its beginning\tsuccess %\tp50\tp99\tmax\ttries/request\twith probes\t")
	for i, p := range r.phases {
		if p.name == phaseEnd {
			continue
		}
		ok, all := p.success()
		tries, withProbes := r.amplification(i)
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%.3f\t%v\t%v\t%v\t%.3f\t%.3f\t\n", p.name, all, all-ok, p.cut, percent(ok, all),
			p.percentile(0.5).Round(100*time.Microsecond), p.percentile(0.99).Round(100*time.Microsecond), p.percentile(1).Round(time.Millisecond), tries, withProbes)
	}
	_ = t.Flush()
	r.printFailures(w)
	ok, all, _ := r.singles()
	fmt.Fprintf(w, "one of five not well: %d of %d, %.3f %%\n", ok, all, percent(ok, all))
	for _, back := range comebacks {
		if p, _ := r.during(back.phase); p != nil {
			fmt.Fprintf(w, "%s: asked again after %v\n", p.name, p.returned(back.origin).Round(time.Millisecond))
		}
	}
	for _, name := range []string{phaseMended, phaseRecovery} {
		if p, _ := r.during(name); p != nil {
			fmt.Fprintf(w, "%s: the last failure came after %v\n", name, p.lastFailure().Round(time.Millisecond))
		}
	}
}

// printFailures says what failed, why, and when: counted from the beginning of its phase.
func (r *report) printFailures(w io.Writer) {
	for _, p := range r.phases {
		after := func(t time.Time) time.Duration { return t.Sub(p.began).Round(time.Millisecond) }
		for _, f := range p.failed() {
			fmt.Fprintf(w, "%s: %d failed, %s; the first was due after %v and ended after %v, the last %v and %v\n", p.name, f.n, f.why,
				after(f.first.due), after(f.first.end()), after(f.last.due), after(f.last.end()))
		}
	}
}

func percent(ok, all int) float64 { return 100 * float64(ok) / float64(max(1, all)) }

// compare puts the proxies beside one another.
func compare(w io.Writer, all []*report) {
	fmt.Fprintln(w, "\nOne of five not well, and full outages; tries are counted at the origins, with refused connections. Of sluice, which tells how many of those were probes, they are given without and with them; of the others they are among them.")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tsuccess %\tworst p99\tan origin is asked again after\ttries, all killed\ttries, all break off\tlast failure after them\t")
	for _, r := range all {
		ok, requests, p99 := r.singles()
		var back, failed time.Duration
		var tries [2][2]float64
		for _, c := range comebacks {
			if p, _ := r.during(c.phase); p != nil {
				back = max(back, p.returned(c.origin))
			}
		}
		for i, names := range [][2]string{{phaseOutage, phaseRecovery}, {phaseBroken, phaseMended}} {
			if _, at := r.during(names[0]); at >= 0 {
				tries[i][0], tries[i][1] = r.amplification(at)
			}
			if p, _ := r.during(names[1]); p != nil {
				failed = max(failed, p.lastFailure())
			}
		}
		fmt.Fprintf(t, "%s\t%.3f\t%v\t%v\t%.3f (%.3f)\t%.3f (%.3f)\t%v\t\n", r.name, percent(ok, requests), p99.Round(100*time.Microsecond), back.Round(time.Millisecond),
			tries[0][0], tries[0][1], tries[1][0], tries[1][1], failed.Round(time.Millisecond))
	}
	_ = t.Flush()
}

// keepsPromises says which of the promises were not kept, and whether all were: 99.9 % while one of five is not well, less than 1.2 tries for each request while none is, and recovery
// within one interval of the probes.
func (r *report) keepsPromises(w io.Writer) bool {
	kept := true
	miss := func(format string, args ...any) {
		kept = false
		fmt.Fprintf(w, "NOT KEPT: "+format+"\n", args...)
	}
	if ok, all, _ := r.singles(); float64(ok) < 0.999*float64(all) {
		miss("%d of %d requests failed while one of five was not well", all-ok, all)
	}
	for i, p := range r.phases {
		switch p.name {
		case phaseOutage, phaseBroken:
			if a, _ := r.amplification(i); a >= 1.2 { // probes are as many as there are nodes, whatever the requests
				miss("%s: %.3f tries for each request", p.name, a)
			}
		case phaseRecovery, phaseMended:
			if last := p.lastFailure(); last > interval {
				miss("%s: the last failure came after %v, the interval is %v", p.name, last, interval)
			}
		}
	}
	for _, back := range comebacks {
		if p, _ := r.during(back.phase); p != nil && (p.returned(back.origin) < 0 || p.returned(back.origin) > interval) {
			miss("%s: it was asked again after %v, the interval is %v", p.name, p.returned(back.origin), interval)
		}
	}
	return kept
}
