package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// originProcess is one origin, whose address stays while its process comes and goes.
type originProcess struct {
	binary, name, address string
	counts                string         // the file in which it counts
	count                 *atomic.Uint64 // requests that have reached it, in all its lives
	cmd                   *exec.Cmd      // nil while it is dead
}

// origins are the nodes of the service.
type origins struct{ all []*originProcess }

func startOrigins(o *options, n int) (*origins, error) {
	s := &origins{}
	for i := range n {
		address, err := freeAddress()
		if err != nil {
			s.stop()
			return nil, err
		}
		p := &originProcess{binary: o.self, name: fmt.Sprint(i), address: address, counts: filepath.Join(o.dir, fmt.Sprint("count-", i))}
		s.all = append(s.all, p)
		if err := p.open(); err != nil {
			s.stop()
			return nil, err
		}
		if err := p.start(); err != nil {
			s.stop()
			return nil, err
		}
	}
	return s, nil
}

func freeAddress() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

func (s *origins) addresses() (list []string) {
	for _, p := range s.all {
		list = append(list, p.address)
	}
	return list
}

// counts is what has reached the origins so far.
type counts struct {
	asked   int // requests that are no probes
	refused int // connections to dead origins: by requests and by probes. The kernel counts them, of everybody on this machine, which should do nothing else
	probes  int // that have failed, as the proxy says; 0 where it does not
}

// counts returns what has reached the origins so far, but for probes.
func (s *origins) counts() (c counts, err error) {
	for _, p := range s.all {
		c.asked += int(p.count.Load())
	}
	c.refused, err = refusedConnects()
	return c, err
}

// since returns the tries at origins since before, and what there was with the probes of dead origins. A probe that fails where no origin is dead has been refused nothing.
func (c counts) since(before counts) (tries, all int) {
	refused := c.refused - before.refused
	all = c.asked - before.asked + refused
	return all - min(refused, c.probes-before.probes), all
}

// refusedConnects returns Tcp.AttemptFails.
func refusedConnects() (int, error) {
	text, err := os.ReadFile("/proc/net/snmp")
	if err != nil {
		return 0, err
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0 || fields[0] != "Tcp:":
		case names == nil:
			names = fields
		default:
			for i, name := range names {
				if name == "AttemptFails" && i < len(fields) {
					return strconv.Atoi(fields[i])
				}
			}
		}
	}
	return 0, fmt.Errorf("/proc/net/snmp does not say how many connects have failed")
}

// open makes the file of the count, and maps it.
func (p *originProcess) open() error {
	if err := os.WriteFile(p.counts, make([]byte, countSize), 0o600); err != nil {
		return err
	}
	count, err := openCount(p.counts)
	p.count = count
	return err
}

// start runs the process and returns once it listens.
func (p *originProcess) start() error {
	if p.cmd != nil {
		return nil
	}
	cmd := exec.Command(p.binary, "-origin", p.address, "-name", p.name, "-counts", p.counts)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	p.cmd = cmd
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || strings.TrimSpace(line) != p.address {
		p.kill()
		return fmt.Errorf("origin %s says %q: %v", p.name, line, err)
	}
	return nil
}

// kill ends the process at once.
func (p *originProcess) kill() {
	if p.cmd != nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		p.cmd = nil
	}
}

func (p *originProcess) signal(s syscall.Signal) {
	if p.cmd != nil {
		_ = p.cmd.Process.Signal(s)
	}
}

// slow stops the process for nine tenths of the time, until the returned function is called.
func (p *originProcess) slow() (stop func()) {
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			p.signal(syscall.SIGSTOP)
			select {
			case <-quit:
			case <-time.After(90 * time.Millisecond):
			}
			p.signal(syscall.SIGCONT)
			select {
			case <-quit:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	return func() { close(quit); <-ended }
}

func (s *origins) stop() {
	for _, p := range s.all {
		p.kill()
	}
}
