package etcd

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/control"
)

// A plain directory, and one whose socket is reached through an open descriptor.
func TestAnHeirGoesOnWhereTheOtherServerEnded(t *testing.T) {
	for name, dir := range map[string]string{"plain": "etcd", "long": strings.Repeat("long/", 30)} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), dir)
			first := startTest(t, dir, nil)
			client := clientTest(t, Config{Endpoints: []string{first.Endpoint()}})
			put(t, NewStore(client), "routes/a", "1")
			client.Close()

			if _, err := StartServer(t.Context(), dir, quiet()); !errors.Is(err, ErrInUse) {
				t.Fatalf("got %v, want ErrInUse", err)
			}
			heir, err := Attach(dir, slog.New(slog.NewTextHandler(t.Output(), nil)))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(heir.Close)
			mine := clientTest(t, Config{Endpoints: []string{heir.Endpoint()}})
			store, sink := NewStore(mine), newRecorder()
			source, stop := run(t, mine, Options{}, sink)
			defer stop()
			sink.await(t, "routes/a", "1")

			begin := time.Now()
			handedOver := make(chan error, 1)
			go func() { handedOver <- first.HandOver(context.Background()) }()
			second, err := heir.Take(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("nobody served for at most %v", time.Since(begin))
			defer stopTest(t, second)
			if err := <-handedOver; err != nil {
				t.Error(err)
			}
			eventually(t, "a write succeeds", func() bool {
				_, err := store.Put(t.Context(), "routes/b", []byte("2"), control.Precondition{})
				return err == nil
			})
			sink.await(t, "routes/b", "2")
			t.Logf("a write was in force after %v", time.Since(begin))
			if n := source.Status().Resyncs; len(n) != 1 || n[ReasonStart] != 1 {
				t.Errorf("everything was read again: %v", n)
			}
			stop()
			mine.Close()
		})
	}
}

func TestAnHeirGivesUpWithItsContext(t *testing.T) {
	dir := t.TempDir()
	startTest(t, dir, nil)
	heir, err := Attach(dir, quiet())
	if err != nil {
		t.Fatal(err)
	}
	defer heir.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*takeInterval)
	defer cancel()
	if _, err := heir.Take(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// An upgrade starts another program: were the lock inherited by it, it would be held until that one ends.
func TestALockThatIsKeptIsNotInherited(t *testing.T) {
	dir := t.TempDir()
	owned, err := ownDirectory(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer owned.release()
	before := descriptors(t)
	owned.abandon()
	kept := 0
	for fd, file := range descriptors(t) {
		if !strings.HasPrefix(file, dir) || before[fd] == file {
			continue
		}
		kept++
		if out, err := exec.Command("readlink", "/proc/self/fd/"+fd).CombinedOutput(); err == nil && strings.HasPrefix(string(out), dir) {
			t.Errorf("another program has descriptor %s: %s", fd, out)
		}
		n, err := strconv.Atoi(fd)
		if err = errors.Join(err, syscall.Close(n)); err != nil { // a process keeps it to its end
			t.Error(err)
		}
	}
	if kept != 1 {
		t.Errorf("%d descriptors keep the lock", kept)
	}
}

// descriptors returns those of this process, with what each refers to.
func descriptors(t *testing.T) map[string]string {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]string, len(entries))
	for _, e := range entries {
		out[e.Name()], _ = os.Readlink("/proc/self/fd/" + e.Name()) // that of the list itself is closed
	}
	return out
}
