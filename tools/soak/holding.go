package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// holding is a running tools/hold: idle connections to a gateway, in processes of their own, since this one has no more descriptors than the gateway.
type holding struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// startHolding starts it with no connection yet. Close it in any case.
func (h *harness) startHolding(ctx context.Context, g *gateway, route string) (*holding, error) {
	c := &holding{cmd: exec.CommandContext(ctx, h.hold, "-echo", "X-Soak-Id", "http://"+g.addr+"/"+route+"/echo")}
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt from the keyboard is for this program
	var err error
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

// hold makes them n.
func (c *holding) hold(n int) error {
	held, err := c.say(strconv.Itoa(n))
	if err != nil {
		return fmt.Errorf("%d idle connections of %d are held: %w", held, n, err)
	}
	return nil
}

// ask asks once more on each, and returns how many answer, fewer with the reason.
func (c *holding) ask() (int, error) { return c.say("ask") }

func (c *holding) say(line string) (int, error) {
	if _, err := io.WriteString(c.in, line+"\n"); err != nil {
		return 0, fmt.Errorf("hold: %w", err)
	}
	answer, err := c.out.ReadString('\n')
	if err != nil {
		return 0, fmt.Errorf("hold: %w", err)
	}
	number, why, _ := strings.Cut(strings.TrimSpace(answer), " ")
	n, err := strconv.Atoi(number)
	if err == nil && why != "" {
		err = fmt.Errorf("hold: %s", why)
	}
	return n, err
}

// close closes all of them. Further calls do nothing.
func (c *holding) close() {
	if c.in.Close() == nil {
		_ = c.cmd.Wait() // it owes nothing
	}
}
