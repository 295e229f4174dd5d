package main

import (
	"context"
	"syscall"
	"time"
)

// play does to the origins what the script says, over the whole time, and tells when a phase begins. In all phases but the last two at most one of five is not well.
func play(ctx context.Context, length time.Duration, o *origins, enter func(phase string)) error {
	wait := func(part float64) error {
		select {
		case <-time.After(time.Duration(part * float64(length))):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	var unslow func()
	steps := []struct {
		phase string
		part  float64
		do    func() error
	}{
		{"calm", 0.08, nil},
		{"0 killed", 0.10, func() error { o.all[0].kill(); return nil }},
		{"0 restarted", 0.07, func() error { return o.all[0].start() }},
		{"1 frozen", 0.10, func() error { o.all[1].signal(syscall.SIGSTOP); return nil }},
		{"1 thawed", 0.07, func() error { o.all[1].signal(syscall.SIGCONT); return nil }},
		{"2 slowed", 0.10, func() error { unslow = o.all[2].slow(); return nil }},
		{"2 quick again", 0.07, func() error { unslow(); return nil }},
		{"3 killed", 0.03, func() error { o.all[3].kill(); return nil }},
		{"3 restarted", 0.03, func() error { return o.all[3].start() }},
		{"3 killed again", 0.03, func() error { o.all[3].kill(); return nil }},
		{"3 restarted again", 0.07, func() error { return o.all[3].start() }},
		{phaseOutage, 0.10, func() error {
			for _, p := range o.all {
				p.kill()
			}
			return nil
		}},
		{phaseRecovery, 0.15, func() error {
			for _, p := range o.all {
				if err := p.start(); err != nil {
					return err
				}
			}
			return nil
		}},
	}
	for _, s := range steps {
		// What fails while processes are being killed belongs to the outage, and what does while they start does too.
		if s.phase == phaseOutage {
			enter(s.phase)
		}
		if s.do != nil {
			if err := s.do(); err != nil {
				return err
			}
		}
		if s.phase != phaseOutage {
			enter(s.phase)
		}
		if err := wait(s.part); err != nil {
			return err
		}
	}
	return nil
}

const (
	phaseOutage   = "all killed"
	phaseRecovery = "all restarted"
)
