package etcd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/embed"

	"sluice/control"
	"sluice/internal/testnet"
)

// startIn names a data directory in the environment of a second process that does nothing but start a server in it.
const startIn = "ETCD_TEST_START_IN"

func TestMain(m *testing.M) {
	if dir := os.Getenv(startIn); dir != "" {
		_, err := StartServer(context.Background(), dir, quiet())
		fmt.Println(err)
		os.Exit(3)
	}
	if dir := os.Getenv(serveIn); dir != "" {
		serveUntilKilled(dir)
	}
	testnet.Main(m)
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// startTest starts a server that is stopped at the end of the test.
func startTest(t *testing.T, dir string, change func(*embed.Config)) *Server {
	t.Helper()
	server, err := startServer(t.Context(), dir, slog.New(slog.NewTextHandler(t.Output(), nil)), change)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopTest(t, server) })
	return server
}

func stopTest(t *testing.T, server *Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testnet.Patience)
	defer cancel()
	if err := server.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// clientTest returns a client that is closed at the end of the test.
func clientTest(t *testing.T, cfg Config) *Client {
	t.Helper()
	client, err := NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// put writes without a condition and returns the revision. A client that has known for long that its server is away is given the time to find that it is back.
func put(t *testing.T, store *Store, key, value string) (revision int64) {
	t.Helper()
	var err error
	eventually(t, "a connection to write "+key, func() bool {
		revision, err = store.Put(t.Context(), key, []byte(value), control.Precondition{})
		return !errors.Is(err, errNoLink)
	})
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

// eventually polls a condition that nothing announces.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(testnet.Patience); !holds(); {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// run runs a source on client until the test ends, or the function it returns is called, and waits for the first batch.
func run(t *testing.T, client *Client, options Options, sink *recorder) (*Source, func()) {
	t.Helper()
	if options.Log == nil {
		options.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	source := NewSource(client, options)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		source.Run(ctx, sink)
	}()
	stop := sync.OnceFunc(func() {
		cancel()
		<-ended
	})
	t.Cleanup(stop)
	eventually(t, "the first batch", func() bool { return sink.count() > 0 })
	return source, stop
}

// copyTree copies a directory of files and directories.
func copyTree(t *testing.T, to, from string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, relative)
		if entry.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, data, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}
