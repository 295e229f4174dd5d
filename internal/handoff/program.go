package handoff

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Program is what a process is started from.
type Program struct {
	Path string   // absolute; whatever file is there at Start is what runs
	Args []string // with the name of the program first
}

// Self returns the program that this process runs, with its arguments. It must be called at the start of the process: the path is that of the file now, and
// what is found there later is the new binary. A path through a symbolic link stays one, so that the link may be pointed to another version.
func Self() (Program, error) {
	running, err := os.Executable()
	if err != nil {
		return Program{}, fmt.Errorf("handoff: %w", err)
	}
	p := Program{Path: running, Args: os.Args}
	// As it was called, unless that is not what runs: os.Args[0] may be any text.
	if called, err := exec.LookPath(os.Args[0]); err == nil && sameFile(called, running) {
		if called, err = filepath.Abs(called); err == nil {
			p.Path = called
		}
	}
	return p, nil
}

func sameFile(a, b string) bool {
	fa, errA := os.Stat(a)
	fb, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(fa, fb)
}
