package etcd

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"sluice/control"
)

// besideTest returns a store beside its server, and one of the same server at its socket.
func besideTest(t *testing.T) (server *Server, beside, far *Store) {
	t.Helper()
	server = startTest(t, t.TempDir(), nil)
	beside = NewStore(clientTest(t, Config{Endpoints: []string{server.Endpoint()}}))
	beside.client.Beside(server)
	return server, beside, NewStore(clientTest(t, Config{Endpoints: []string{server.Endpoint()}}))
}

// Whether a connection is between them must make no difference but for what it costs.
func TestAStoreBesideItsServerAnswersAsOneFarAway(t *testing.T) {
	_, beside, far := besideTest(t)
	outcomes := func(s *Store, prefix string) (list []string) {
		note := func(what string, err error) {
			word := "done"
			for _, known := range []error{control.ErrNotFound, control.ErrConflict, control.ErrUnavailable, control.ErrTooLarge} {
				if errors.Is(err, known) {
					word = known.Error()
				}
			}
			if err != nil && word == "done" {
				word = "error"
			}
			list = append(list, what+": "+word)
		}
		ctx := t.Context()
		key := prefix + "a"
		_, err := s.Get(ctx, key)
		note("get nothing", err)
		_, err = s.Put(ctx, key, []byte("1"), control.Precondition{Absent: true})
		note("create", err)
		_, err = s.Put(ctx, key, []byte("1"), control.Precondition{Absent: true})
		note("create again", err)
		e, err := s.Get(ctx, key)
		note("get "+string(e.Value), err)
		_, err = s.Put(ctx, key, []byte("2"), control.Precondition{Revision: e.ModRevision})
		note("change", err)
		_, err = s.Put(ctx, key, []byte("3"), control.Precondition{Revision: e.ModRevision})
		note("change what has changed", err)
		_, err = s.Commit(ctx, []control.Op{{Key: key, If: control.Precondition{Revision: e.ModRevision}}, create(prefix+"b", "1")})
		note("a transaction that is late", err)
		_, err = s.Commit(ctx, []control.Op{create(prefix+"b", "1"), create(prefix+"c", "1")})
		note("a transaction", err)
		_, err = s.Commit(ctx, []control.Op{create(prefix+"d", "1")}, control.Guard{Prefix: prefix, Revision: e.ModRevision})
		note("a guard", err)
		_, err = s.Commit(ctx, []control.Op{create(prefix+"e", strings.Repeat("x", maxRequest+1))})
		note("too large", err)
		latest, _, err := s.Latest(ctx, prefix, 0, 2)
		note("the latest, "+latest[0].Key[len(prefix):], err)
		_, err = s.Delete(ctx, key, control.Precondition{})
		note("delete", err)
		_, err = s.Delete(ctx, key, control.Precondition{})
		note("delete again", err)
		ended, cancel := context.WithCancel(ctx)
		cancel()
		_, err = s.Put(ended, key, []byte("1"), control.Precondition{})
		note("given up", err)
		return list
	}
	here, there := outcomes(beside, "routes/here-"), outcomes(far, "routes/there-")
	if !slices.Equal(here, there) {
		t.Errorf("beside it\n%s\nfar away\n%s", strings.Join(here, "\n"), strings.Join(there, "\n"))
	}
	if beside.client.current != nil {
		t.Error("there is a connection")
	}
}

// A key that is under a lease stays under it, as by the socket: an edit of a registered node must not outlive the node.
func TestAWriteBesideTheServerKeepsTheLease(t *testing.T) {
	_, beside, far := besideTest(t)
	if err := far.client.do(t.Context(), "put", requestTimeout, func(ctx context.Context, conn *connection) error {
		lease, err := conn.Grant(ctx, 60)
		if err == nil {
			_, err = conn.Put(ctx, far.client.cfg.Prefix+"discovery/a", "1", clientv3.WithLease(lease.ID))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	put(t, beside, "discovery/a", "2")
	if e, err := beside.Get(t.Context(), "discovery/a"); err != nil || !e.Leased || string(e.Value) != "2" {
		t.Errorf("%+v, %v", e, err)
	}
}

// In an upgrade the server goes to another process: whoever was beside it finds that one's at the socket.
func TestWhoWasBesideAServerFindsTheNextAtTheSocket(t *testing.T) {
	server, store, _ := besideTest(t)
	at := put(t, store, "routes/a", "1")
	stopTest(t, server)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := store.Get(ctx, "routes/a"); !errors.Is(err, control.ErrUnavailable) {
		t.Errorf("nobody serves: %v", err)
	}
	startTest(t, server.dir.path, nil)
	if e, err := store.Get(t.Context(), "routes/a"); err != nil || e.ModRevision != at {
		t.Errorf("%+v, %v", e, err)
	}
}

// A server may stop by itself. Its data must not be read after that, so that calls and the watch go to the socket, where nobody is.
func TestWhoIsBesideAServerThatStopsByItselfLeavesIt(t *testing.T) {
	server, store, _ := besideTest(t)
	source, _ := run(t, store.client, Options{}, newRecorder())
	eventually(t, "the watch is beside its server", func() bool { return visitorsOf(server) == 1 && source.Status().Connected })
	done := make(chan struct{})
	for range 4 { // readers that are in the middle of it
		go func() {
			for server.Err() == nil {
				_, _ = store.Get(t.Context(), "routes/a") // it must not panic
			}
			done <- struct{}{}
		}()
	}
	server.etcd.Server.HardStop()
	for range 4 {
		<-done
	}
	eventually(t, "all have left", func() bool { return visitorsOf(server) == 0 })
	if server.Err() == nil {
		t.Error("it has stopped and says nothing")
	}
	if _, err := store.Get(t.Context(), "routes/a"); !errors.Is(err, control.ErrUnavailable) {
		t.Errorf("a read says %v", err)
	}
	if _, err := store.Put(t.Context(), "routes/a", []byte("1"), control.Precondition{}); !errors.Is(err, control.ErrUnavailable) {
		t.Errorf("a write says %v", err)
	}
	eventually(t, "the watch is known to be lost", func() bool { return !source.Status().Connected })
}

// etcd waits for what comes by its sockets before it stops, and knows nothing of those who are inside without.
func TestAServerWaitsForItsVisitorsBeforeItStops(t *testing.T) {
	v := newVisitors()
	for range 2 {
		if !v.enter() {
			t.Fatal("nobody may come in")
		}
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		v.shut()
		v.wait(time.Hour)
	}()
	eventually(t, "nobody may come in", func() bool {
		if v.enter() {
			v.leave()
			return false
		}
		return true
	})
	v.leave()
	select {
	case <-closed:
		t.Fatal("it has not waited for the second")
	default:
	}
	v.leave()
	<-closed

	late := newVisitors()
	late.enter()
	late.shut()
	late.shut()
	late.wait(time.Millisecond) // and does not wait for ever
	late.leave()
}
