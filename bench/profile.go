package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// profiling is the CPU profile of one turn, being taken.
type profiling struct {
	done chan error // takes the end of it
}

// startProfile begins to profile a rival for a whole turn, where profiles are wanted and the rival has them; otherwise it returns nil.
func (h *harness) startProfile(ctx context.Context, r *rival, d time.Duration) *profiling {
	if h.opt.profile == "" || r.admin == nil {
		return nil
	}
	path := filepath.Join(h.dir, fmt.Sprintf("cpu-%d.pprof", len(h.profiles)))
	h.profiles = append(h.profiles, path)
	p := &profiling{done: make(chan error, 1)}
	go func() {
		url := fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", r.admin.base, max(1, int(d.Seconds())))
		text, _, err := get(ctx, url, http.Header{"Authorization": {"Bearer " + r.admin.token}})
		if err == nil {
			err = os.WriteFile(path, []byte(text), 0o600)
		}
		p.done <- err
	}()
	return p
}

// wait returns once the profile is there.
func (p *profiling) wait() error {
	if p == nil {
		return nil
	}
	if err := <-p.done; err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	return nil
}

// writeProfile adds the profiles of all turns up, into the file that was asked for.
func (h *harness) writeProfile(ctx context.Context) error {
	if len(h.profiles) == 0 {
		return nil
	}
	merge := exec.CommandContext(ctx, "go", append([]string{"tool", "pprof", "-proto", "-output", h.opt.profile}, h.profiles...)...)
	if said, err := merge.CombinedOutput(); err != nil {
		return fmt.Errorf("profile: go tool pprof: %w: %s", err, said)
	}
	return nil
}
