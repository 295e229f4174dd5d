package etcd

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"

	"sluice/control"
)

// cheapPasswords makes hashing them quick: at etcd's own cost it takes up to a second with the race detector.
func cheapPasswords(cfg *embed.Config) { cfg.BcryptCost = 4 }

// enableAuth makes a user for the gateway that may use its prefix and nothing else, and then demands passwords of everybody.
func enableAuth(t *testing.T, server *Server) {
	t.Helper()
	client := clientTest(t, Config{Endpoints: []string{server.Endpoint()}})
	err := client.do(t.Context(), "auth", requestTimeout, func(ctx context.Context, conn *connection) error {
		_, err := conn.UserAdd(ctx, "root", "toor")
		_, err2 := conn.UserGrantRole(ctx, "root", "root")
		_, err3 := conn.UserAdd(ctx, "gateway", "secret")
		_, err4 := conn.RoleAdd(ctx, "gateway")
		_, err5 := conn.RoleGrantPermission(ctx, "gateway", "/sluice/", clientv3.GetPrefixRangeEnd("/sluice/"), clientv3.PermissionType(clientv3.PermReadWrite))
		_, err6 := conn.UserGrantRole(ctx, "gateway", "gateway")
		_, err7 := conn.AuthEnable(ctx)
		// The role root has to exist before it can be granted; AuthEnable makes it, and says so if it does not.
		return errors.Join(err, err2, err3, err4, err5, err6, err7)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A token lives for a second here. After that the same client writes, and a watch that has to begin anew does, without a
// restart (what others got wrong: all routes gone, or stale for days).
func TestAnExpiredTokenStopsNothing(t *testing.T) {
	t.Parallel()
	server := startTest(t, t.TempDir(), func(cfg *embed.Config) { cfg.BcryptCost, cfg.AuthTokenTTL = 4, 1 })
	enableAuth(t, server)
	wire := newWire(t, server.socket)
	client := clientTest(t, Config{Endpoints: []string{wire.endpoint()}, Username: "gateway", Password: "secret"})
	store := NewStore(client)
	put(t, store, "routes/a", "1")
	sink := newRecorder()
	source, _ := run(t, client, Options{ProgressPeriod: 100 * time.Millisecond}, sink)
	sink.await(t, "routes/a", "1")
	for _, value := range []string{"2", "3", "4"} {
		<-time.After(2500 * time.Millisecond)  // there is no telling from outside; etcd looks for expired tokens once a second
		eventually(t, "a write", func() bool { // the first may meet the connection that was cut
			_, err := store.Put(t.Context(), "routes/a", []byte(value), control.Precondition{})
			return err == nil
		})
		sink.await(t, "routes/a", value)
		wire.cut()
		wire.mend()
	}
	if resyncs := source.Status().Resyncs; len(resyncs) != 1 {
		t.Errorf("full reads: %v, want the first alone", resyncs)
	}
}

func TestAWrongPasswordIsUnavailableAndSaysWhy(t *testing.T) {
	server := startTest(t, t.TempDir(), cheapPasswords)
	enableAuth(t, server)
	for _, cfg := range []Config{
		{Endpoints: []string{server.Endpoint()}, Username: "gateway", Password: "wrong"},
		{Endpoints: []string{server.Endpoint()}},
		{Endpoints: []string{server.Endpoint()}, Username: "gateway", Password: "secret", Prefix: "/other/"},
	} {
		_, err := NewStore(clientTest(t, cfg)).Get(t.Context(), "routes/a")
		if !errors.Is(err, control.ErrUnavailable) {
			t.Errorf("%+v: got %v", cfg, err)
		}
		t.Log(err)
	}
}

// A watch that may not be is tried again, with pauses, and works once it may.
func TestASourceWithoutPermissionWaitsForIt(t *testing.T) {
	server := startTest(t, t.TempDir(), cheapPasswords)
	enableAuth(t, server)
	root := clientTest(t, Config{Endpoints: []string{server.Endpoint()}, Username: "root", Password: "toor", Prefix: "/other/"})
	put(t, NewStore(root), "routes/a", "1")
	source := NewSource(clientTest(t, Config{Endpoints: []string{server.Endpoint()}, Username: "gateway", Password: "secret", Prefix: "/other/"}), Options{Log: quiet()})
	sink := newRecorder()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- source.Run(ctx, sink) }()
	err := root.do(t.Context(), "grant", requestTimeout, func(ctx context.Context, conn *connection) error {
		_, err := conn.RoleGrantPermission(ctx, "gateway", "/other/", clientv3.GetPrefixRangeEnd("/other/"), clientv3.PermissionType(clientv3.PermRead))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	sink.await(t, "routes/a", "1")
	cancel()
	<-ended
}

// The client library asks for a new token by itself in the common cases. Where it does not, a new connection is made.
func TestARefusedTokenMakesANewConnection(t *testing.T) {
	server := startTest(t, t.TempDir(), nil)
	client := clientTest(t, Config{Endpoints: []string{server.Endpoint()}})
	var seen []*connection
	err := client.do(t.Context(), "test", requestTimeout, func(ctx context.Context, conn *connection) error {
		if seen = append(seen, conn); len(seen) == 1 {
			return rpctypes.ErrInvalidAuthToken
		}
		_, err := conn.Get(ctx, "x")
		return err
	})
	if err != nil || len(seen) != 2 || seen[0] == seen[1] {
		t.Errorf("got %v after %d connections", err, len(seen))
	}
	calls := 0
	err = client.do(t.Context(), "test", requestTimeout, func(context.Context, *connection) error {
		calls++
		return rpctypes.ErrInvalidAuthToken
	})
	if !errors.Is(err, control.ErrUnavailable) || calls != 2 {
		t.Errorf("got %v after %d calls, want it to give up after 2", err, calls)
	}
}
