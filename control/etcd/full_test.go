package etcd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/etcd/server/v3/embed"

	"sluice/control"
	"sluice/internal/testnet"
)

// fillUp writes to so many settings in turn, whose names begin alike, until the store is full, and returns what it says then.
func fillUp(t *testing.T, store *Store, settings int, name string) (err error) {
	t.Helper()
	value := []byte(strings.Repeat("x", 64<<10))
	for i := 0; i < 100 && err == nil; i++ {
		_, err = store.Put(t.Context(), fmt.Sprint("settings/", name, i%settings), value, control.Precondition{})
	}
	if !errors.Is(err, control.ErrFull) {
		t.Fatalf("a full store says %v", err)
	}
	return err
}

// An embedded server that its history has filled makes room by itself; one that is full of what is stored says so, and still does once that is removed.
func TestAnEmbeddedServerMakesRoom(t *testing.T) {
	small := func(c *embed.Config) { c.QuotaBackendBytes = 1 << 20 }
	for name, c := range map[string]struct {
		settings int
		room     bool
	}{"history": {2, true}, "what is stored": {100, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			server := startTest(t, dir, small)
			store := NewStore(clientTest(t, Config{Endpoints: []string{server.Endpoint()}}))
			_ = fillUp(t, store, c.settings, "a")
			if !c.room {
				var err error
				for round := 0; err == nil; round++ { // each leaves less room for the next
					if alarm := server.full(); alarm != nil {
						err = server.makeSpace(alarm)
					}
					if err == nil {
						_ = fillUp(t, store, c.settings, fmt.Sprint(round, "-"))
					}
				}
				if !errors.Is(err, errNoRoom) || server.full() == nil {
					t.Fatalf("%v; full: %v", err, server.full())
				}
				before := database(t, dir)
				if err := server.makeSpace(server.full()); !errors.Is(err, errNoRoom) || !os.SameFile(before, database(t, dir)) {
					t.Errorf("%v; nothing has been written, and the file has all the same", err)
				}
				stored, _, err := store.List(t.Context(), control.Settings.Folder(), "", 0)
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range stored {
					if _, err := store.Delete(t.Context(), e.Key, control.Precondition{}); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := server.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			again := startTest(t, dir, small) // whatever it finds at its start
			testnet.Await(t, "room", func() bool { return again.full() == nil })
			put(t, NewStore(clientTest(t, Config{Endpoints: []string{again.Endpoint()}})), "routes/a", "1")
		})
	}
}

// database returns which file an embedded server has its data in now.
func database(t *testing.T, dir string) os.FileInfo {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, "member/snap/db"))
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// A server that stops does not begin to write its file anew: whoever waits for the directory would wait for that.
func TestAServerThatStopsMakesNoRoom(t *testing.T) {
	dir := t.TempDir()
	server := startTest(t, dir, func(c *embed.Config) { c.QuotaBackendBytes = 1 << 20 })
	server.stopping.Store(true)
	_ = fillUp(t, NewStore(clientTest(t, Config{Endpoints: []string{server.Endpoint()}})), 2, "a")
	before := database(t, dir)
	if err := server.makeSpace(server.full()); !errors.Is(err, errStopping) || !os.SameFile(before, database(t, dir)) {
		t.Errorf("%v; the file may have been written anew", err)
	}
}

// A store whose quota is used up refuses writes, of which the callers are told: that it is not away, that nothing was written, and so that there is no use in trying again. What it holds can be
// read, and what is removed is seen by the watch, beside the server and by its socket.
func TestAStoreThatIsFullSaysSoAndIsFollowed(t *testing.T) {
	for _, beside := range []bool{false, true} {
		t.Run(fmt.Sprint("beside ", beside), func(t *testing.T) {
			t.Parallel()
			server := startTest(t, t.TempDir(), func(c *embed.Config) { c.QuotaBackendBytes = 1 << 20 })
			client := clientTest(t, Config{Endpoints: []string{server.Endpoint()}})
			if beside {
				client.Beside(server)
			}
			store, sink := NewStore(client), newRecorder()
			put(t, store, "routes/a", "1")
			source, _ := run(t, client, Options{}, sink)
			if err := fillUp(t, store, 100, ""); errors.Is(err, control.ErrUnavailable) {
				t.Errorf("a full store says %v", err)
			}
			if _, err := store.Commit(t.Context(), []control.Op{create("routes/b", "1")}); !errors.Is(err, control.ErrFull) {
				t.Errorf("a transaction: %v", err)
			}
			if e, err := store.Get(t.Context(), "routes/a"); err != nil || string(e.Value) != "1" {
				t.Errorf("a read: %q, %v", e.Value, err)
			}
			if _, err := store.Delete(t.Context(), "routes/a", control.Precondition{}); err != nil {
				t.Errorf("a removal: %v", err)
			}
			sink.await(t, "routes/a", "")
			if s := source.Status(); !s.Connected || len(s.Resyncs) != 1 {
				t.Errorf("%+v", s)
			}
		})
	}
}
