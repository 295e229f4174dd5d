package main

import (
	"context"
	"syscall"
	"time"
)

// step is one part of the script.
type step struct {
	phase  string
	part   float64 // of the whole time
	do     func() error
	breaks bool // it takes away what requests under way may need
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
		{phase: "calm", part: 0.06},
		{phase: "0 killed", part: 0.09, do: one(0, kill), breaks: true},
		{phase: "0 restarted", part: 0.06, do: one(0, (*originProcess).start)},
		{phase: "1 frozen", part: 0.09, do: one(1, signal(syscall.SIGSTOP)), breaks: true},
		{phase: "1 thawed", part: 0.06, do: one(1, signal(syscall.SIGCONT))},
		{phase: "2 slowed", part: 0.09, do: one(2, func(p *originProcess) error { unslow = p.slow(); return nil }), breaks: true},
		{phase: "2 quick again", part: 0.06, do: one(2, func(*originProcess) error { unslow(); return nil })},
		{phase: "3 killed", part: 0.03, do: one(3, kill), breaks: true},
		{phase: "3 restarted", part: 0.03, do: one(3, (*originProcess).start)},
		{phase: "3 killed again", part: 0.03, do: one(3, kill), breaks: true},
		{phase: "3 restarted again", part: 0.06, do: one(3, (*originProcess).start)},
		{phase: phaseBroken, part: 0.09, do: each(signal(syscall.SIGUSR1)), breaks: true},
		{phase: phaseMended, part: 0.09, do: each(signal(syscall.SIGUSR2))},
		{phase: phaseOutage, part: 0.08, do: each(kill), breaks: true},
		{phase: phaseRecovery, part: 0.08, do: each((*originProcess).start)},
		{phase: phaseEnd},
	}
}

// play runs the script, and tells when a phase begins.
func play(ctx context.Context, length time.Duration, o *origins, enter func(s step) error) error {
	for _, s := range script(o) {
		// What fails while processes are being killed belongs to the phase that kills them, and what does while they start to the one before.
		if s.breaks {
			if err := enter(s); err != nil {
				return err
			}
		}
		if s.do != nil {
			if err := s.do(); err != nil {
				return err
			}
		}
		if !s.breaks {
			if err := enter(s); err != nil {
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
