package handoff

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

// stopPatience is how long a process that is not wanted any more may take to end by itself.
var stopPatience = 5 * time.Second // shorter in tests

// Child is a process that Start has started. Its methods are for one goroutine.
type Child struct {
	process *os.Process
	pipe    *os.File
	ended   chan struct{} // closed when the process has ended; state is written before
	state   *os.ProcessState
}

// Start starts the program with this process's environment, standard files and working directory, and copies of the sockets, which stay this process's
// own. notes are for [Inheritance.Note]. Await must follow.
func (p Program) Start(sockets []Socket, notes map[string]string) (*Child, error) {
	env, err := environment(sockets, notes)
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("handoff: %w", err)
	}
	defer w.Close()
	// Not by way of os.File and os/exec, which would make the sockets blocking: that is a property which all copies share, and this process's loops would
	// get stuck in accept.
	files := []uintptr{0, 1, 2, w.Fd()}
	for _, s := range sockets {
		files = append(files, uintptr(s.FD))
	}
	pid, _, err := syscall.StartProcess(p.Path, p.Args, &syscall.ProcAttr{Env: env, Files: files})
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("handoff: start %s: %w", p.Path, err)
	}
	process, err := os.FindProcess(pid)
	if err != nil { // never on Unix
		r.Close()
		return nil, fmt.Errorf("handoff: %w", err)
	}
	c := &Child{process: process, pipe: r, ended: make(chan struct{})}
	go func() {
		defer close(c.ended)
		c.state, _ = process.Wait() // it is our child, and nobody else waits for it
		c.endWait()                 // the end of the pipe does not come where a child of the child has it too
	}()
	return c, nil
}

// PID returns the id of the process.
func (c *Child) PID() int { return c.process.Pid }

// Await returns nil once the process is ready. Any error means that it has ended, by itself or, when ctx ended first, because Await has made it.
func (c *Child) Await(ctx context.Context) error {
	defer c.pipe.Close()
	interrupt := context.AfterFunc(ctx, c.endWait)
	defer interrupt()
	word, err := io.ReadAll(c.pipe)
	if string(word) == readyWord {
		return nil
	}
	c.stop()
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("handoff: process %d was not ready and has been stopped: %w", c.PID(), context.Cause(ctx))
	case err != nil && !errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("handoff: process %d: %w", c.PID(), err)
	case c.state == nil:
		return fmt.Errorf("handoff: process %d ended before it was ready", c.PID())
	}
	return fmt.Errorf("handoff: process %d ended before it was ready: %v", c.PID(), c.state)
}

// endWait makes Await go on.
func (c *Child) endWait() { _ = c.pipe.SetReadDeadline(time.Unix(1, 0)) } // it fails where Await is over

// Terminate asks a process that is ready to end.
func (c *Child) Terminate() { _ = c.process.Signal(syscall.SIGTERM) } // it fails where the process has ended

// stop ends the process: with SIGTERM, and where that does not help with SIGKILL. It returns when the process has ended.
func (c *Child) stop() {
	late := time.NewTimer(stopPatience)
	defer late.Stop()
	c.Terminate()
	select {
	case <-c.ended:
		return
	case <-late.C:
	}
	_ = c.process.Signal(syscall.SIGKILL)
	<-c.ended
}
