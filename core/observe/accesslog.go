package observe

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"sluice/internal/problem"
)

// The formats of the access log.
const (
	FormatJSON     = "json"     // one object a line
	FormatCombined = "combined" // that of nginx and Apache
)

// StandardOutput is the path that stands for the process's standard output.
const StandardOutput = "-"

// AccessLogConfig says where finished exchanges are written and how. The zero value writes none.
type AccessLogConfig struct {
	Path   string `json:"path" yaml:"path"`     // a file, appended to; "-" = standard output; "" = off
	Format string `json:"format" yaml:"format"` // "json" (default) or "combined"
}

// DefaultAccessLog is what a gateway without an access_log key does: JSON on standard output. Decode over it, so that an
// empty path in the file still means off.
func DefaultAccessLog() AccessLogConfig {
	return AccessLogConfig{Path: StandardOutput, Format: FormatJSON}
}

// SetDefaults fills in the format. An empty path stays: it means off.
func (c *AccessLogConfig) SetDefaults() {
	if c.Format == "" {
		c.Format = FormatJSON
	}
}

// Validate reports what is wrong with c, with its place below the key access_log.
func (c *AccessLogConfig) Validate() error {
	if c.Format != FormatJSON && c.Format != FormatCombined {
		var p problem.Problems
		p.Add("format", "%q is not a format: write %q or %q", c.Format, FormatJSON, FormatCombined)
		return p
	}
	return nil
}

// ringSize is the room for lines of one worker. Its derivation: 50,000 requests a second with lines of 300 bytes fill it in 70 ms
// from empty, and the writer is poked when it is half full, so a disk may stall for 35 ms at that rate before a line is dropped.
const ringSize = 1 << 20

// closeTimeout bounds how long Close and Reopen wait for a writer that is stuck in a write, such as to a pipe that nobody reads.
const closeTimeout = 5 * time.Second

// ErrStuck is returned by Close and Reopen where the write to the log's file does not come to an end.
var ErrStuck = errors.New("observe: access log: the write in progress does not end")

// ErrClosed is returned by Reopen after Close.
var ErrClosed = errors.New("observe: access log: closed")

// AccessLog writes one line for each finished exchange. Workers format their lines into rings of their own; one goroutine writes the
// rings to the file. A line that finds its ring full is dropped and counted. A nil *AccessLog is one that is off.
type AccessLog struct {
	path  string
	lines []*lineLog
	wake  chan struct{} // one token: some ring is half full
	poked atomic.Bool   // a token has been sent since the last drain

	swap    chan swapRequest
	quit    chan struct{} // closed by Close
	done    chan struct{} // closed when the writer has ended
	ending  sync.Once
	timeout time.Duration

	// Owned by the writer's goroutine.
	out     *os.File
	failing bool // the last write failed, and that was logged
	torn    bool // the last line in the file lacks its end

	lost     atomic.Uint64 // lines that could not be written
	failures atomic.Uint64 // writes that failed
}

type swapRequest struct {
	file *os.File
	done chan struct{}
}

// OpenAccessLog opens the file of cfg and starts the writer. It returns nil where cfg.Path is empty. Lines come from
// [Worker.Finish] once the log is given to [Registry.SetAccessLog].
func OpenAccessLog(cfg AccessLogConfig, workers int) (*AccessLog, error) {
	if cfg.Path == "" {
		return nil, nil
	}
	cfg.SetDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("observe: access log: %w", err)
	}
	out, err := openLogFile(cfg.Path)
	if err != nil {
		return nil, err
	}
	l := newAccessLog(cfg, workers, ringSize, out)
	go l.run()
	return l, nil
}

func newAccessLog(cfg AccessLogConfig, workers, size int, out *os.File) *AccessLog {
	l := &AccessLog{
		path:    cfg.Path,
		wake:    make(chan struct{}, 1),
		swap:    make(chan swapRequest),
		quit:    make(chan struct{}),
		done:    make(chan struct{}),
		timeout: closeTimeout,
		out:     out,
	}
	for range workers {
		l.lines = append(l.lines, newLineLog(l, cfg.Format == FormatJSON, size))
	}
	return l
}

// openLogFile opens the file that lines are appended to. Standard output is duplicated: the Go runtime ends a process that writes to
// descriptor 1 when its reader has gone, and a gateway must outlive the reader of its log.
func openLogFile(path string) (*os.File, error) {
	if path == StandardOutput {
		syscall.ForkLock.RLock()
		fd, err := syscall.Dup(1)
		if err == nil {
			syscall.CloseOnExec(fd)
		}
		syscall.ForkLock.RUnlock()
		if err != nil {
			return nil, fmt.Errorf("observe: access log: standard output: %w", err)
		}
		return os.NewFile(uintptr(fd), "standard output"), nil
	}
	// 0640: the lines hold addresses and targets of users.
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return nil, fmt.Errorf("observe: access log: %w", err)
	}
	return f, nil
}

// Reopen writes all lines so far to the file as it is and then opens its path anew, for a tool that has renamed it. When it returns nil
// nothing more is written to the old file. Any goroutine may call it. It does nothing for standard output.
func (l *AccessLog) Reopen() error {
	if l == nil || l.path == StandardOutput {
		return nil
	}
	file, err := openLogFile(l.path)
	if err != nil {
		return err
	}
	late := time.NewTimer(l.timeout)
	defer late.Stop()
	req := swapRequest{file, make(chan struct{})}
	select {
	case l.swap <- req:
	case <-l.done:
		return errors.Join(ErrClosed, file.Close())
	case <-late.C:
		return errors.Join(ErrStuck, file.Close())
	}
	select {
	case <-req.done:
		return nil
	case <-late.C:
		return ErrStuck // the writer has the new file and takes it when it can
	}
}

// Close writes what is in the rings and closes the file. Lines that are finished after it are dropped; set another log, or nil, before.
// It waits no longer than five seconds for a write that does not end, and then returns ErrStuck. Any goroutine may call it, and
// more than once.
func (l *AccessLog) Close() error {
	if l == nil {
		return nil
	}
	l.ending.Do(func() { close(l.quit) })
	late := time.NewTimer(l.timeout)
	defer late.Stop()
	select {
	case <-l.done:
		return nil
	case <-late.C:
		return ErrStuck
	}
}

// Dropped returns how many lines were not written, since their ring was full or the file refused them. Any goroutine may call it.
func (l *AccessLog) Dropped() uint64 {
	if l == nil {
		return 0
	}
	n := l.lost.Load()
	for _, line := range l.lines {
		n += line.ring.dropped.Load()
	}
	return n
}

// writeErrors returns how many writes failed.
func (l *AccessLog) writeErrors() uint64 {
	if l == nil {
		return 0
	}
	return l.failures.Load()
}
