package etcd

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.etcd.io/etcd/server/v3/embed"

	"sluice/control"
)

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
			value := []byte(strings.Repeat("x", 64<<10))
			var err error
			for i := 0; i < 100 && err == nil; i++ {
				_, err = store.Put(t.Context(), fmt.Sprint("settings/", i), value, control.Precondition{})
			}
			if !errors.Is(err, control.ErrFull) || errors.Is(err, control.ErrUnavailable) {
				t.Fatalf("a full store says %v", err)
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
