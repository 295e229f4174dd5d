package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// writePIDFile puts the id of this process into a file, in one step: whoever reads it sees the old content or the new one.
func writePIDFile(path string) error {
	made, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("PID file: %w", err)
	}
	_, err = fmt.Fprintln(made, os.Getpid())
	if err == nil {
		err = made.Chmod(0o644)
	}
	if closing := made.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(made.Name(), path)
	}
	if err != nil {
		_ = os.Remove(made.Name())
		return fmt.Errorf("PID file: %w", err)
	}
	return nil
}

// removePIDFile removes the file, unless another process has put its own id there: the one that replaced this.
func removePIDFile(path string) error {
	text, err := os.ReadFile(path)
	if err != nil || strings.TrimSpace(string(text)) != strconv.Itoa(os.Getpid()) {
		return nil // whatever it is, it is not ours
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("PID file: %w", err)
	}
	return nil
}
