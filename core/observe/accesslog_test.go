package observe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func openTestLog(t *testing.T, r *Registry, path string) *AccessLog {
	t.Helper()
	log, err := OpenAccessLog(AccessLogConfig{Path: path}, len(r.workers))
	if err != nil {
		t.Fatal(err)
	}
	r.SetAccessLog(log)
	return log
}

func closeTestLog(t *testing.T, r *Registry, log *AccessLog) {
	t.Helper()
	r.SetAccessLog(nil)
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Every line of every worker is in the file, each worker's in their order, or is counted as dropped.
func TestLinesOfAllWorkersReachTheFile(t *testing.T) {
	const workers, each = 4, 5000
	r := NewRegistry(workers)
	path := filepath.Join(t.TempDir(), "access.log")
	log := openTestLog(t, r, path)
	var loops sync.WaitGroup
	for i := range workers {
		loops.Go(func() {
			for n := range each {
				r.Worker(i).Finish(&Record{Node: fmt.Sprint(i), BytesIn: int64(n), Status: 200})
			}
		})
	}
	loops.Wait()
	closeTestLog(t, r, log)

	last, lines := map[string]int64{}, 0
	for line := range strings.Lines(readFile(t, path)) {
		var rec struct {
			Node    string
			BytesIn int64 `json:"bytes_in"`
		}
		if err := json.Unmarshal([]byte(line), &rec); err != nil {
			t.Fatalf("%v: %q", err, line)
		}
		if before, ok := last[rec.Node]; ok && rec.BytesIn <= before {
			t.Fatalf("worker %s: line %d comes after %d", rec.Node, rec.BytesIn, before)
		}
		last[rec.Node] = rec.BytesIn
		lines++
	}
	if lines+int(log.Dropped()) != workers*each {
		t.Errorf("%d lines and %d dropped, want %d", lines, log.Dropped(), workers*each)
	}
}

// A line must not wait for the ring to fill.
func TestLineIsWrittenSoonWithoutMoreTraffic(t *testing.T) {
	r := NewRegistry(1)
	path := filepath.Join(t.TempDir(), "access.log")
	log := openTestLog(t, r, path)
	defer closeTestLog(t, r, log)
	r.Worker(0).Finish(&Record{Status: 200})
	for deadline := time.Now().Add(10 * time.Second); readFile(t, path) == ""; {
		if time.Now().After(deadline) {
			t.Fatal("nothing was written")
		}
	}
}

// The writer is asked once for each half of a ring, not for each line, and again after it has come.
func TestWriterIsWokenWhenARingIsHalfFull(t *testing.T) {
	file, err := openLogFile(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	log := newAccessLog(AccessLogConfig{Format: FormatJSON}, 1, 4096, file)
	defer log.closeFile()
	for round := range 2 {
		for range 5 {
			log.lines[0].write(&Record{})
		}
		if len(log.wake) != 0 {
			t.Fatalf("round %d: the writer is woken for %d bytes", round, log.lines[0].ring.head.Load())
		}
		for range 50 {
			log.lines[0].write(&Record{})
		}
		if len(log.wake) != 1 {
			t.Fatalf("round %d: the writer is not woken for a full ring", round)
		}
		<-log.wake
		log.lines[0].write(&Record{})
		if len(log.wake) != 0 {
			t.Fatalf("round %d: the writer is woken again before it has come", round)
		}
		log.drain()
	}
}

// A pipe that nobody reads: the worker goes on, what finds no room is counted, and Close gives up.
func TestStuckWriterNeverBlocksAWorker(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r := NewRegistry(1)
	log := newAccessLog(AccessLogConfig{Path: "pipe", Format: FormatJSON}, 1, 4096, writer)
	log.timeout = time.Millisecond
	go log.run()
	r.SetAccessLog(log)
	const lines = 3000 // more than a pipe of 64 KiB and a ring of 4 KiB hold
	for range lines {
		r.Worker(0).Finish(&Record{Status: 200})
	}
	for log.Dropped() < lines/2 { // the writer needs its time to fill the pipe
		r.Worker(0).Finish(&Record{Status: 200})
	}
	if got := scrape(t, r)["sluice_access_log_dropped_total"]; got < lines/2 {
		t.Errorf("the scrape tells of %v dropped lines", got)
	}
	log.path = filepath.Join(t.TempDir(), "new")
	fillPipe(t, r, log, writer)
	if err := log.Reopen(); !errors.Is(err, ErrStuck) {
		t.Errorf("Reopen: %v, want ErrStuck", err)
	}
	if err := log.Close(); !errors.Is(err, ErrStuck) {
		t.Errorf("Close: %v, want ErrStuck", err)
	}
	if err := reader.Close(); err != nil { // the write fails, and the writer ends
		t.Fatal(err)
	}
	<-log.done
	if err := log.Close(); err != nil {
		t.Errorf("Close after the end: %v", err)
	}
}

// fillPipe leaves a pipe without room for a byte and lines that wait for it: whatever the writer does next is a write that does not end.
func fillPipe(t *testing.T, r *Registry, log *AccessLog, pipe *os.File) {
	t.Helper()
	raw, err := pipe.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) {
			var full error
			for full == nil || full == syscall.EINTR {
				_, full = syscall.Write(int(fd), []byte{'\n'}) // does not block, and needs no lock of the file's
			}
			if full != syscall.EAGAIN {
				t.Error(full)
			}
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	for dropped := log.Dropped(); log.Dropped() == dropped; {
		r.Worker(0).Finish(&Record{Status: 200})
	}
}

// A file that refuses, such as one on a full disk: the lines are counted as dropped, one by one, and the log goes on.
func TestLinesThatTheFileRefusesAreCountedAsDropped(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("this system has no /dev/full")
	}
	path := filepath.Join(t.TempDir(), "access.log")
	r := NewRegistry(1)
	log := newAccessLog(AccessLogConfig{Path: path, Format: FormatJSON}, 1, ringSize, full)
	go log.run()
	r.SetAccessLog(log)
	for range 10 {
		r.Worker(0).Finish(&Record{Status: 200})
	}
	if err := log.Reopen(); err != nil {
		t.Fatal(err)
	}
	r.Worker(0).Finish(&Record{Status: 201})
	closeTestLog(t, r, log)
	if log.Dropped() != 10 || log.writeErrors() == 0 {
		t.Errorf("%d lines dropped in %d failed writes, want 10", log.Dropped(), log.writeErrors())
	}
	if got := readFile(t, path); strings.Count(got, "\n") != 1 || !strings.Contains(got, `"status":201`) {
		t.Errorf("the new file holds %q", got)
	}
}

// A line that was cut by a failure ends before the next one begins. The pipe is what can take a part of a write.
func TestLineThatWasCutSpoilsNoOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	file, err := openLogFile(path)
	if err != nil {
		t.Fatal(err)
	}
	log := newAccessLog(AccessLogConfig{Path: path, Format: FormatJSON}, 1, 4096, file)
	if _, err := file.WriteString(`{"time":"20`); err != nil {
		t.Fatal(err)
	}
	log.torn = true
	log.lines[0].write(&Record{Status: 200})
	log.drain()
	log.closeFile()
	lines := strings.SplitAfter(readFile(t, path), "\n")
	if len(lines) != 3 || lines[0] != "{\"time\":\"20\n" || !json.Valid([]byte(lines[1])) {
		t.Errorf("got %q", lines)
	}
}

// logrotate renames, then signals; after the signal was handled it may compress the old file.
func TestReopenSplitsBetweenOldAndNewFile(t *testing.T) {
	r := NewRegistry(1)
	path := filepath.Join(t.TempDir(), "access.log")
	log := openTestLog(t, r, path)
	r.Worker(0).Finish(&Record{Status: 201})
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	r.Worker(0).Finish(&Record{Status: 202})
	if err := log.Reopen(); err != nil {
		t.Fatal(err)
	}
	old := readFile(t, path+".1")
	if !strings.Contains(old, `"status":201`) || !strings.Contains(old, `"status":202`) {
		t.Errorf("the old file holds %q", old)
	}
	r.Worker(0).Finish(&Record{Status: 203})
	closeTestLog(t, r, log)
	if readFile(t, path+".1") != old {
		t.Error("the old file was written to after Reopen")
	}
	if got := readFile(t, path); strings.Count(got, "\n") != 1 || !strings.Contains(got, `"status":203`) {
		t.Errorf("the new file holds %q", got)
	}
	if err := log.Reopen(); !errors.Is(err, ErrClosed) {
		t.Errorf("Reopen after Close: %v, want ErrClosed", err)
	}
}

func TestReopenKeepsTheOldFileWhereTheNewOneFails(t *testing.T) {
	r := NewRegistry(1)
	dir := filepath.Join(t.TempDir(), "logs")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	log := openTestLog(t, r, filepath.Join(dir, "access.log"))
	if err := os.Rename(dir, dir+".old"); err != nil {
		t.Fatal(err)
	}
	if err := log.Reopen(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Reopen: %v", err)
	}
	r.Worker(0).Finish(&Record{Status: 200})
	closeTestLog(t, r, log)
	if got := readFile(t, filepath.Join(dir+".old", "access.log")); strings.Count(got, "\n") != 1 {
		t.Errorf("the old file holds %q", got)
	}
}

func TestLogThatIsOffDoesNothing(t *testing.T) {
	log, err := OpenAccessLog(AccessLogConfig{}, 1)
	if log != nil || err != nil {
		t.Fatalf("%v, %v", log, err)
	}
	r := NewRegistry(1)
	r.SetAccessLog(log)
	r.Worker(0).Finish(&Record{})
	if err := errors.Join(log.Reopen(), log.Close()); err != nil || log.Dropped() != 0 {
		t.Errorf("%v, %d dropped", err, log.Dropped())
	}
}

func TestOpenTellsWhatIsWrong(t *testing.T) {
	for _, c := range []AccessLogConfig{{Path: t.TempDir()}, {Path: StandardOutput, Format: "xml"}} {
		if log, err := OpenAccessLog(c, 1); err == nil || log != nil || !strings.HasPrefix(err.Error(), "observe: access log: ") {
			t.Errorf("%+v: %v, %v", c, log, err)
		}
	}
}

func TestDefaultsAndValidation(t *testing.T) {
	c := AccessLogConfig{}
	c.SetDefaults()
	if c != (AccessLogConfig{Path: "", Format: "json"}) {
		t.Errorf("the defaults are %+v", c)
	}
	c = DefaultAccessLog()
	if c != (AccessLogConfig{Path: "-", Format: "json"}) || c.Validate() != nil {
		t.Errorf("without the key: %+v, %v", c, c.Validate())
	}
}

const brokenPipeChild = "OBSERVE_TEST_BROKEN_PIPE"

// writeToBrokenPipe logs to standard output, whose reader has gone.
func writeToBrokenPipe() {
	r := NewRegistry(1)
	log, err := OpenAccessLog(DefaultAccessLog(), 1)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	r.SetAccessLog(log)
	r.Worker(0).Finish(&Record{Status: 200})
	if err := log.Close(); err != nil || log.Dropped() != 1 {
		fmt.Fprintln(os.Stderr, err, log.Dropped())
		return
	}
	fmt.Fprintln(os.Stderr, "alive")
}

// The Go runtime kills a process that writes to a broken pipe at descriptor 1. The gateway must outlive the reader of its log.
func TestGatewayOutlivesTheReaderOfItsStandardOutput(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	var stderr bytes.Buffer
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), brokenPipeChild+"=1")
	cmd.Stdout, cmd.Stderr = writer, &stderr
	if err := cmd.Run(); err != nil || !strings.HasSuffix(stderr.String(), "alive\n") {
		t.Errorf("%v: %s", err, stderr.String())
	}
}
