package etcd

import (
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"

	"sluice/control"
)

// closing is an endpoint that takes connections and closes them, as a balancer with nothing behind it.
func closing(t *testing.T) string {
	w := newWire(t, "")
	w.cut()
	return w.endpoint()
}

// mute is an endpoint that takes connections and never says a word, as a host that hangs.
func mute(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String() // the kernel takes the connections
}

// hollow is an endpoint that speaks HTTP/2, takes every call and answers none, as a proxy whose servers hang.
func hollow(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		<-stream.Context().Done()
		return io.EOF
	}))
	go server.Serve(l)
	t.Cleanup(server.Stop)
	return l.Addr().String()
}

// One of several endpoints is of no use: everything goes by the others, reads of many pages and audits too.
func TestOneUselessEndpointOfSeveralStopsNothing(t *testing.T) {
	for name, useless := range map[string]func(*testing.T) string{"closing": closing, "mute": mute, "hollow": hollow} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := startTest(t, t.TempDir(), nil)
			direct := NewStore(clientTest(t, Config{Endpoints: []string{server.Endpoint()}}))
			var ops []control.Op
			for i := range 50 {
				ops = append(ops, create(fmt.Sprint("routes/", i), "1"))
			}
			if _, err := direct.Commit(t.Context(), ops); err != nil {
				t.Fatal(err)
			}
			client := clientTest(t, Config{Endpoints: []string{useless(t), newWire(t, server.socket).endpoint()}})
			sink := newRecorder()
			source, _ := run(t, client, Options{ProgressPeriod: 200 * time.Millisecond, AuditPeriod: 50 * time.Millisecond, PageSize: 10}, sink)
			begin := time.Now()
			store := NewStore(client)
			eventually(t, "a write", func() bool { return tryPut(store, "routes/0", "2") })
			for i := range 20 { // from now on none fails
				value := fmt.Sprint("write ", i)
				put(t, store, "routes/0", value)
				sink.await(t, "routes/0", value)
			}
			if entries, _, err := store.List(t.Context(), "routes/", "", 0); err != nil || len(entries) != 50 {
				t.Errorf("%d entries, %v", len(entries), err)
			}
			audits := source.Status().Audits
			eventually(t, "two audits", func() bool { return source.Status().Audits >= audits+2 })
			if n := len(source.Status().Resyncs); n != 1 {
				t.Errorf("full reads: %v, want the first alone", source.Status().Resyncs)
			}
			t.Logf("it took %v", time.Since(begin))
		})
	}
}

// An endpoint that takes connections and closes them says nothing about the others: no audit is owed for it, each of which reads everything.
func TestAnEndpointThatClosesOwesNoAudits(t *testing.T) {
	t.Parallel()
	server := startTest(t, t.TempDir(), nil)
	w := newWire(t, "")
	w.cut()
	client := clientTest(t, Config{Endpoints: []string{w.endpoint(), newWire(t, server.socket).endpoint()}})
	source, _ := run(t, client, Options{ProgressPeriod: 100 * time.Millisecond}, newRecorder())
	eventually(t, "the watch", func() bool { return source.Status().Connected })
	audits, store := source.Status().Audits, NewStore(client)
	for range 3 { // each answer after one of its attempts
		before := w.refused.Load()
		eventually(t, "one more attempt", func() bool { return w.refused.Load() > before })
		if _, err := store.Get(t.Context(), "routes/a"); !errors.Is(err, control.ErrNotFound) {
			t.Fatal(err)
		}
	}
	contact := source.Status().LastContact
	eventually(t, "progress after that", func() bool { return source.Status().LastContact.Sub(contact) > 300*time.Millisecond })
	if n := source.Status().Audits - audits; n > 1 { // the connection that asks for the server's version may owe one
		t.Errorf("%d audits", n)
	}
}
