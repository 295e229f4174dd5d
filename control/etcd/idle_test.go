package etcd

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/testnet"
)

// logged is a log that is read while it is written.
type logged struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// contacts waits until etcd has said something so many times, each later than the one before.
func contacts(t *testing.T, source *Source, times int) {
	t.Helper()
	for range times {
		last := source.Status().LastContact
		eventually(t, "etcd says something", func() bool { return source.Status().LastContact.After(last) })
	}
}

// A store in which nothing happens is not one that has gone: from the first moment etcd tells the progress of the watch, which is never made anew. Also where the history ends
// with the revision that was read, which is a compaction of the head, and where that revision is another's.
func TestAWatchOfAnIdleStoreIsKept(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(t *testing.T, store *Store, client *Client){
		"empty":      func(*testing.T, *Store, *Client) {},
		"with a key": func(t *testing.T, store *Store, _ *Client) { put(t, store, "routes/a", "1") },
		"with a foreign head": func(t *testing.T, store *Store, _ *Client) {
			put(t, store, "routes/a", "1")
			put(t, store, "foreign", "1")
		},
		"compacted at its head": func(t *testing.T, store *Store, client *Client) {
			head := put(t, store, "routes/a", "1")
			if err := client.do(t.Context(), "compact", requestTimeout, func(ctx context.Context, conn *connection) error {
				_, err := conn.Compact(ctx, head)
				return err
			}); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := startTest(t, t.TempDir(), nil)
			client := clientTest(t, Config{Endpoints: []string{server.Endpoint()}})
			store := NewStore(client)
			prepare(t, store, client)
			// On a machine that is busy with something else the word of a server may be late: then once more, and slower. What is never told is missed at any pace.
			for period := 100 * time.Millisecond; ; period *= 5 {
				log, sink := new(logged), newRecorder()
				source, stop := run(t, client, Options{ProgressPeriod: period, Log: slog.New(slog.NewTextHandler(log, nil))}, sink)
				contacts(t, source, 4*silentPeriods)
				if strings.Contains(log.String(), "there is no watch") {
					if period < time.Second {
						stop()
						continue
					}
					t.Errorf("the watch of an idle store was lost:\n%s", log)
				}
				if n, s := sink.count(), source.Status(); n != 1 || len(s.Resyncs) != 1 {
					t.Errorf("%d batches, full reads %v; want the first alone", n, s.Resyncs)
				}
				put(t, store, "routes/b", "1")
				sink.await(t, "routes/b", "1")
				return
			}
		})
	}
}

// The client's library resumes a watch behind what it has seen, where an idle server has nothing to say. So it is begun at the cursor again, soon, and neither lost for silence nor is
// everything read again.
func TestAnIdleStoreIsFollowedAfterANewConnection(t *testing.T) {
	t.Parallel()
	server := startTest(t, t.TempDir(), nil)
	direct := clientTest(t, Config{Endpoints: []string{server.Endpoint()}})
	store := NewStore(direct)
	put(t, store, "routes/a", "1")
	wire := newWire(t, server.socket)
	log, sink := new(logged), newRecorder()
	const period = 2 * testnet.Patience // nothing is heard, and nothing is given up, for its sake
	source, _ := run(t, clientTest(t, Config{Endpoints: []string{wire.endpoint()}}), Options{ProgressPeriod: period, Log: slog.New(slog.NewTextHandler(log, nil))}, sink)
	eventually(t, "the watch is up", func() bool { return source.Status().Connected })
	for i := range 2 {
		wire.cut()
		eventually(t, "the source notices", func() bool { return !source.Status().Connected })
		wire.mend()
		eventually(t, "the watch is up again", func() bool { return source.Status().Connected })
		put(t, store, "routes/b", fmt.Sprint(i))
		sink.await(t, "routes/b", fmt.Sprint(i))
	}
	if s := source.Status(); len(s.Resyncs) != 1 || strings.Contains(log.String(), errSilent.Error()) {
		t.Errorf("full reads: %v, want the first alone; the log:\n%s", s.Resyncs, log)
	}
}
