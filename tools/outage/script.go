package main

import (
	"context"
	"syscall"
	"time"
)

// step is one part of the script.
type step struct {
	phase string
	part  float64 // of the whole time
	do    func() error
}

// script is what is done to the origins, over the whole time. In all phases but the last four at most one of five is not well.
func script(o *origins) []step {
	var unslow func()
	each := func(do func(p *originProcess) error) func() error {
		return func() error {
			for _, p := range o.all {
				if err := do(p); err != nil {
					return err
				}
			}
			return nil
		}
	}
	kill := func(p *originProcess) error { p.kill(); return nil }
	signal := func(s syscall.Signal) func(p *originProcess) error {
		return func(p *originProcess) error { p.signal(s); return nil }
	}
	one := func(i int, do func(p *originProcess) error) func() error {
		return func() error { return do(o.all[i]) }
	}
	return []step{
		{"calm", 0.06, nil},
		{"0 killed", 0.09, one(0, kill)},
		{"0 restarted", 0.06, one(0, (*originProcess).start)},
		{"1 frozen", 0.09, one(1, signal(syscall.SIGSTOP))},
		{"1 thawed", 0.06, one(1, signal(syscall.SIGCONT))},
		{"2 slowed", 0.09, one(2, func(p *originProcess) error { unslow = p.slow(); return nil })},
		{"2 quick again", 0.06, one(2, func(*originProcess) error { unslow(); return nil })},
		{"3 killed", 0.03, one(3, kill)},
		{"3 restarted", 0.03, one(3, (*originProcess).start)},
		{"3 killed again", 0.03, one(3, kill)},
		{"3 restarted again", 0.06, one(3, (*originProcess).start)},
		{phaseBroken, 0.09, each(signal(syscall.SIGUSR1))},
		{phaseMended, 0.09, each(signal(syscall.SIGUSR2))},
		{phaseOutage, 0.08, each(kill)},
		{phaseRecovery, 0.08, each((*originProcess).start)},
		{phaseEnd, 0, nil},
	}
}

// play runs the script, and tells when a phase begins.
func play(ctx context.Context, length time.Duration, o *origins, enter func(phase string) error) error {
	for _, s := range script(o) {
		// What fails while processes are being killed belongs to the outage, and what does while they start does too.
		bad := s.phase == phaseOutage || s.phase == phaseBroken
		if bad {
			if err := enter(s.phase); err != nil {
				return err
			}
		}
		if s.do != nil {
			if err := s.do(); err != nil {
				return err
			}
		}
		if !bad {
			if err := enter(s.phase); err != nil {
				return err
			}
		}
		select {
		case <-time.After(time.Duration(s.part * float64(length))):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

const (
	phaseBroken   = "all break off"
	phaseMended   = "all answer again"
	phaseOutage   = "all killed"
	phaseRecovery = "all restarted"
	phaseEnd      = "end"
)
