package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// process is a child that runs until it is stopped. What it prints goes to a file beside its configuration.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string        // path of its output
	done chan struct{} // closed when it has ended
	err  error         // why; valid after done
}

// startProcess must be called on the main goroutine; see init.
func startProcess(dir, name string, argv ...string) (*process, error) {
	p := &process{name: name, log: filepath.Join(dir, name+".log"), done: make(chan struct{})}
	out, err := os.Create(p.log)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	defer out.Close() // the child has its own copy
	p.cmd = exec.Command(argv[0], argv[1:]...)
	p.cmd.Dir = dir
	p.cmd.Stdout, p.cmd.Stderr = out, out
	// SIGTERM rather than SIGKILL: nginx's master takes its worker along only when it is asked politely.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// stop ends the child by its own id: politely, then, after 10 s, at once.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// ended returns an error with the child's output when it no longer runs.
func (p *process) ended() error {
	select {
	case <-p.done:
	default:
		return nil
	}
	why := "it ended"
	if p.err != nil {
		why = p.err.Error()
	}
	return fmt.Errorf("%s: %s; its last words:\n%s", p.name, why, p.lastWords())
}

// lastWords returns what the child printed: the beginning, where a panic says what it is about, and the end.
func (p *process) lastWords() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	const each = 1500
	if len(text) > 2*each {
		text = slices.Concat(text[:each], []byte("\n[…]\n"), text[len(text)-each:])
	}
	return strings.TrimSpace(string(text))
}

// await asks ok again and again until it returns nil. It gives up when the child ends, after the timeout, or with ctx.
func (p *process) await(ctx context.Context, timeout time.Duration, ok func() error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ok()
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return p.ended()
		case <-ctx.Done():
			return fmt.Errorf("%s: not ready after %s: %w; its last words:\n%s", p.name, timeout, err, p.lastWords())
		case <-tick.C:
		}
	}
}

// freePort returns a port of 127.0.0.1 that nobody listens on. Someone else might take it before the child does; then
// the child says so and the run fails.
func freePort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("free port: %w", err)
	}
	defer ln.Close()
	addr, ok := ln.Addr().(*net.TCPAddr)
	if !ok {
		return 0, errors.New("free port: not a TCP address")
	}
	return addr.Port, nil
}
