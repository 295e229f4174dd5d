package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// holding is a running tools/hold: idle connections to a rival, in processes of their own, since this one has no more descriptors than the rival.
type holding struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// startHolding starts it with no connection yet. Close it in any case. It ends with this program, at the end of its input.
func startHolding(ctx context.Context, h *harness, r *rival) (*holding, error) {
	binary, err := h.toolBinary(ctx, "hold")
	if err != nil {
		return nil, err
	}
	c := &holding{cmd: exec.CommandContext(ctx, binary, "-body", smallBody, r.url(smallPath))}
	c.cmd.Stderr = h.log
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt from the keyboard is for this program
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewReader(out)
	return c, c.cmd.Start()
}

// hold makes them n, of which each has had its answer.
func (c *holding) hold(n int) error { return c.say(strconv.Itoa(n), n) }

// ask has each of the n answered once more: a gateway that had closed them would have cost nothing.
func (c *holding) ask(n int) error { return c.say("ask", n) }

func (c *holding) say(line string, want int) error {
	if _, err := io.WriteString(c.in, line+"\n"); err != nil {
		return fmt.Errorf("hold: %w", err)
	}
	answer, err := c.out.ReadString('\n')
	if err != nil {
		return fmt.Errorf("hold: %w", err)
	}
	answer = strings.TrimSpace(answer)
	number, why, _ := strings.Cut(answer, " ")
	if n, err := strconv.Atoi(number); err != nil || n != want || why != "" {
		return fmt.Errorf("hold: %d connections are to be held and to answer, and there are %s: %w", want, answer, errors.Join(err, errResult))
	}
	return nil
}

// close closes all of them.
func (c *holding) close() {
	_ = c.in.Close()
	_ = c.cmd.Wait() // it owes nothing
}
