package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

const (
	mostPerHand      = 8_000 // a third of the ports that an address has, so that those which still wait for their last packets do no harm
	spareDescriptors = 64    // of a process, for all that is no connection
	mostHands        = 250   // addresses from 127.0.0.2 on
)

// hands is several processes that hold connections, begun as they are needed.
type hands struct {
	args    []string // of this program, for theirs
	perHand int
	list    []*remote
}

// remote is one of them.
type remote struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	held int // as it has said
}

// newHands also keeps the goroutine on its thread: the processes are told of the end of this one by the end of the thread that has started them.
func newHands(args []string) *hands {
	runtime.LockOSThread()
	h := &hands{args: args, perHand: mostPerHand}
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) == nil && l.Cur < mostPerHand+spareDescriptors {
		h.perHand = max(1, int(l.Cur)-spareDescriptors)
	}
	return h
}

// hold implements holder.
func (h *hands) hold(n int) (int, error) {
	if n > mostHands*h.perHand {
		return h.count(), fmt.Errorf("%d are more than %d processes can hold with %d each", n, mostHands, h.perHand)
	}
	for len(h.list)*h.perHand < n {
		r, err := h.begin(fmt.Sprintf("127.0.0.%d", 2+len(h.list)))
		if err != nil {
			return h.count(), err
		}
		h.list = append(h.list, r)
	}
	var wrong error
	for i, r := range h.list {
		want := min(max(0, n-i*h.perHand), h.perHand)
		if want == r.held {
			continue
		}
		var err error
		r.held, err = r.say(strconv.Itoa(want))
		wrong = errors.Join(wrong, err)
	}
	return h.count(), wrong
}

func (h *hands) count() (sum int) {
	for _, r := range h.list {
		sum += r.held
	}
	return sum
}

// ask implements holder.
func (h *hands) ask() (sum int, wrong error) {
	for _, r := range h.list {
		n, err := r.say("ask")
		sum += n
		wrong = errors.Join(wrong, err)
	}
	return sum, wrong
}

func (h *hands) close() {
	for _, r := range h.list {
		_ = r.in.Close()
	}
	for _, r := range h.list {
		_ = r.cmd.Wait() // it is told by its input, and owes nothing
	}
}

// begin starts a process that comes from an address.
func (h *hands) begin(from string) (*remote, error) {
	r := &remote{cmd: exec.Command("/proc/self/exe", append([]string{"-from", from}, h.args...)...)}
	r.cmd.Stderr = os.Stderr
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	var err error
	if r.in, err = r.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	r.out = bufio.NewReader(out)
	return r, r.cmd.Start()
}

// say tells it a line and returns what it answers.
func (r *remote) say(line string) (int, error) {
	if _, err := io.WriteString(r.in, line+"\n"); err != nil {
		return 0, fmt.Errorf("%s: %w", r.cmd.Args[2], err)
	}
	answer, err := r.out.ReadString('\n')
	if err != nil {
		return 0, fmt.Errorf("%s: %w", r.cmd.Args[2], err)
	}
	number, why, _ := strings.Cut(strings.TrimSpace(answer), " ")
	n, err := strconv.Atoi(number)
	if err != nil {
		return 0, fmt.Errorf("%s: it says %q", r.cmd.Args[2], answer)
	}
	if why != "" {
		err = fmt.Errorf("%s: %s", r.cmd.Args[2], why)
	}
	return n, err
}
