package handoff

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// Inheritance is what a process was given by the one that it replaces. Its methods are for one goroutine.
type Inheritance struct {
	sockets []Socket
	notes   map[string]string
	pipe    *os.File
}

// Receive returns what this process was given, nil when nobody has started it in order to be replaced. It must be called before the process opens files or
// starts others, and once: the second call finds nothing.
func Receive() (*Inheritance, error) {
	value, ok := os.LookupEnv(variable)
	if !ok {
		return nil, nil
	}
	if err := os.Unsetenv(variable); err != nil {
		return nil, fmt.Errorf("handoff: %w", err)
	}
	var l letter
	if err := json.Unmarshal([]byte(value), &l); err != nil {
		return nil, fmt.Errorf("handoff: variable %s: %w", variable, err)
	}
	in := &Inheritance{notes: l.Notes}
	for i, name := range l.Sockets {
		in.sockets = append(in.sockets, Socket{Name: name, FD: firstFD + i})
	}
	for fd := pipeFD; fd < firstFD+len(l.Sockets); fd++ {
		// Not for those who are started by this process, unless it is in order to hand over again.
		if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_SETFD, syscall.FD_CLOEXEC); errno != 0 {
			return nil, fmt.Errorf("handoff: descriptor %d, which variable %s tells of: %w", fd, variable, errno)
		}
	}
	in.pipe = os.NewFile(pipeFD, "handoff")
	return in, nil
}

// Take returns the sockets of a name, which are the caller's from now on. A nil Inheritance has none.
func (in *Inheritance) Take(name string) (fds []int) {
	if in == nil {
		return nil
	}
	var rest []Socket
	for _, s := range in.sockets {
		if s.Name == name {
			fds = append(fds, s.FD)
		} else {
			rest = append(rest, s)
		}
	}
	in.sockets = rest
	return fds
}

// Note returns what the other process has written under a key, "" for nothing.
func (in *Inheritance) Note(key string) string {
	if in == nil {
		return ""
	}
	return in.notes[key]
}

// Names returns the names of the sockets that nobody has taken, each once, in the order of their descriptors.
func (in *Inheritance) Names() (names []string) {
	if in == nil {
		return nil
	}
	seen := make(map[string]bool)
	for _, s := range in.sockets {
		if !seen[s.Name] {
			seen[s.Name] = true
			names = append(names, s.Name)
		}
	}
	return names
}

// Ready tells the other process that this one serves, and closes the sockets that nobody has taken. An error means that nobody listens: the other
// process has ended, or has stopped waiting, and then ends this one by a signal.
func (in *Inheritance) Ready() error {
	if in == nil {
		return nil
	}
	for _, s := range in.sockets {
		_ = syscall.Close(s.FD)
	}
	in.sockets = nil
	_, err := io.WriteString(in.pipe, readyWord)
	if err = errors.Join(err, in.pipe.Close()); err != nil {
		return fmt.Errorf("handoff: %w", err)
	}
	return nil
}
