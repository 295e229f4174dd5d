package etcd

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
)

func TestWhatWasWrittenIsThereAfterARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "on the way")
	for i := range 2 {
		begin := time.Now()
		server := startTest(t, dir, nil)
		t.Logf("ready after %v", time.Since(begin))
		store := NewStore(clientTest(t, Config{Endpoints: []string{server.Endpoint()}}))
		if i == 0 {
			put(t, store, "routes/a", "1")
		} else if entry, err := store.Get(t.Context(), "routes/a"); err != nil || string(entry.Value) != "1" {
			t.Errorf("got %+v, %v", entry, err)
		}
		store.client.Close()
		stopTest(t, server)
	}
}

// Another user of the machine must not be able to change a route: no port, and a directory only the owner can enter.
func TestNobodyElseCanReachTheServer(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "etcd")
	if err := os.Mkdir(dir, 0o777); err != nil { // one that somebody made too open
		t.Fatal(err)
	}
	server := startTest(t, dir, nil)
	for path, want := range map[string]os.FileMode{dir: 0o700, server.socket: 0o600} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: mode %v, %v; want %v", path, info.Mode().Perm(), err, want)
		}
	}
	if ports := listening(t); len(ports) != 0 {
		t.Errorf("this process listens on %v", ports)
	}
}

// listening returns the local addresses of the TCP sockets in state LISTEN that this process has open.
func listening(t *testing.T) []string {
	t.Helper()
	mine := make(map[string]bool)
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if target, err := os.Readlink("/proc/self/fd/" + file.Name()); err == nil && strings.HasPrefix(target, "socket:[") {
			mine[strings.Trim(target, "socket:[]")] = true
		}
	}
	var out []string
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		file, err := os.Open(table)
		if err != nil {
			continue // no IPv6
		}
		defer file.Close()
		for lines := bufio.NewScanner(file); lines.Scan(); {
			if column := strings.Fields(lines.Text()); len(column) > 9 && column[3] == "0A" && mine[column[9]] {
				out = append(out, column[1])
			}
		}
	}
	return out
}

func TestListeningSeesAPort(t *testing.T) { // the check above is worth nothing if this one fails
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if len(listening(t)) != 1 {
		t.Errorf("got %v", listening(t))
	}
}

// The second one says so at once, and the first one goes on: its socket is not taken away.
func TestADirectoryInUseIsRefused(t *testing.T) {
	dir := t.TempDir()
	server := startTest(t, dir, nil)
	if _, err := StartServer(t.Context(), dir, quiet()); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Fatalf("got %v", err)
	}
	put(t, NewStore(clientTest(t, Config{Endpoints: []string{server.Endpoint()}})), "routes/a", "1")
}

func TestADirectoryThatCannotBeMadeIsNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := StartServer(t.Context(), file+"/etcd", quiet()); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v", err)
	}
}

// unix(7): an address holds 107 bytes. A deep data directory, or one with a space in its name, must work all the same.
func TestADirectoryWithALongOrOddNameWorks(t *testing.T) {
	for _, name := range []string{strings.Repeat("long/", 30), "a space, 100% odd"} {
		dir := filepath.Join(t.TempDir(), name)
		server := startTest(t, dir, nil)
		put(t, NewStore(clientTest(t, Config{Endpoints: []string{server.Endpoint()}})), "routes/a", "1")
		if _, err := os.Stat(filepath.Join(dir, socketName)); err != nil {
			t.Error(err)
		}
	}
}

// etcd itself would end the process for some kinds of damage and panic for others. It is tried in a process of its own, because
// what etcd had opened by then stays open.
func TestDamagedDataAreAnErrorAndNotTheEndOfTheProcess(t *testing.T) {
	for _, pattern := range []string{"member/snap/db", "member/wal/*.wal"} {
		t.Run(filepath.Base(pattern), func(t *testing.T) {
			dir := t.TempDir()
			server := startTest(t, dir, nil)
			client := clientTest(t, Config{Endpoints: []string{server.Endpoint()}})
			put(t, NewStore(client), "routes/a", "1")
			client.Close()
			stopTest(t, server)
			paths, err := filepath.Glob(filepath.Join(dir, pattern))
			if err != nil || len(paths) == 0 {
				t.Fatal(paths, err)
			}
			for _, path := range paths {
				if err := os.WriteFile(path, []byte(strings.Repeat("damaged ", 10_000)), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			child := exec.CommandContext(ctx, os.Args[0])
			child.Env = append(os.Environ(), startIn+"="+dir)
			out, err := child.CombinedOutput()
			if child.ProcessState.ExitCode() != 3 || !strings.HasPrefix(string(out), "etcd: the embedded server cannot use "+dir) {
				t.Errorf("%v\n%s", err, out)
			}
			t.Logf("%s", out)
		})
	}
}

// A full disk makes the server say that it cannot go on, on some goroutine of its own. The process must live.
func TestAServerThatBreaksIsReportedAndTheProcessLives(t *testing.T) {
	server := startTest(t, t.TempDir(), nil)
	if err := server.Err(); err != nil {
		t.Fatal(err)
	}
	go server.etcd.GetLogger().Fatal("cannot save", zap.Error(errors.New("disk full")))
	<-server.Done()
	if err := server.Err(); err == nil || err.Error() != "cannot save: disk full" {
		t.Errorf("got %v", err)
	}
}

func TestStopIsNoErrorAndCanBeCalledTwice(t *testing.T) {
	server := startTest(t, t.TempDir(), nil)
	stopTest(t, server)
	stopTest(t, server)
	<-server.Done()
	if err := server.Err(); err != nil {
		t.Error(err)
	}
}

// Somebody watches with etcd's own tool while the gateway is stopped.
func TestStopDoesNotWaitForThoseWhoWatch(t *testing.T) {
	server := startTest(t, t.TempDir(), nil)
	client := clientTest(t, Config{Endpoints: []string{server.Endpoint()}})
	sink := newRecorder()
	run(t, client, Options{}, sink)
	put(t, NewStore(client), "routes/a", "1")
	sink.await(t, "routes/a", "1")
	begin := time.Now()
	stopTest(t, server)
	if took := time.Since(begin); took > 4*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestStartGivesUpWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := t.TempDir()
	if _, err := StartServer(ctx, dir, quiet()); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	put(t, NewStore(clientTest(t, Config{Endpoints: []string{startTest(t, dir, nil).Endpoint()}})), "routes/a", "1") // it let go of the directory
}
