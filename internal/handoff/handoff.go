// Package handoff starts a process that goes on in the place of this one, with its listening sockets: an upgrade of the binary at which nobody is refused.
//
//	old                                      new
//	Program.Start ── sockets, a pipe ──────► Receive
//	Child.Await                              gets ready: configuration, store, listeners
//	   │ ◄──────────── "ready" ───────────── Inheritance.Ready
//	hands over, ends                         serves
//
// Both hold the same sockets, so connections wait in one queue in the kernel and whichever process accepts first has one. Where the new process ends before it is
// ready, or is not ready in time, nothing has happened: the old one goes on.
//
// The sockets are handed over as descriptors 4 and up, the pipe as descriptor 3. What they are, and what else the new process should know, is in one variable of the environment, which Receive removes.
package handoff

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// Socket is a listening socket with a name by which both processes know it. Several may have one name.
type Socket struct {
	Name string
	FD   int
}

// variable holds the letter, as JSON.
const variable = "SLUICE_HANDOFF"

// letter is what the new process is told.
type letter struct {
	Sockets []string          `json:"sockets"` // their names, in the order of the descriptors
	Notes   map[string]string `json:"notes,omitempty"`
}

// The first descriptors after standard input, output and error.
const (
	pipeFD  = 3
	firstFD = 4
)

// readyWord is what goes through the pipe. A process that ends without it leaves an empty pipe.
const readyWord = "ready\n"

// environment returns this process's environment with the letter in it.
func environment(sockets []Socket, notes map[string]string) ([]string, error) {
	l := letter{Sockets: make([]string, len(sockets)), Notes: notes}
	for i, s := range sockets {
		l.Sockets[i] = s.Name
	}
	value, err := json.Marshal(l)
	if err != nil {
		return nil, fmt.Errorf("handoff: %w", err)
	}
	var env []string
	for _, one := range os.Environ() {
		if !strings.HasPrefix(one, variable+"=") {
			env = append(env, one)
		}
	}
	return append(env, variable+"="+string(value)), nil
}
