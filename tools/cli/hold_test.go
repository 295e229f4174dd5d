package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"sluice/control"
	"sluice/internal/testnet"
)

// All leases of a service end at once, as in an outage of etcd, and its checks say that the node is well: it is asked as before, and it can be seen that it is held. It goes once it is not
// well any more.
func TestANodeThatIsWellOutlivesItsLease(t *testing.T) {
	g := startTest(t, nil)
	o := startOrigin(t, "a")
	for path, body := range map[string]string{
		"/v1/services/s": `{"health":{"active":{"type":"tcp","interval":"100ms","timeout":"1s"}}}`,
		"/v1/routes/x":   `{"prefix":"/x/*","service_name":"s"}`,
	} {
		if status, text := g.call(t, "PUT", path, body); status != 201 {
			t.Fatalf("%s: %d %s", path, status, text)
		}
	}
	leases, key := g.client.Leases(), control.Nodes.Key(control.NodeID("s", o.Addr()))
	lease, err := leases.Grant(t.Context(), 60)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := leases.Put(t.Context(), "/sluice/"+key, fmt.Sprintf(`{"service_name":"s","upstream":%q}`, o.Addr()), clientv3.WithLease(lease.ID)); err != nil {
		t.Fatal(err)
	}
	answers := func() int { status, _ := g.get(t, "/x/1"); return status }
	testnet.Await(t, "the node", func() bool { return answers() == 200 })
	if _, err := leases.Revoke(t.Context(), lease.ID); err != nil {
		t.Fatal(err)
	}
	var said struct {
		Held []struct{ Key, Service, Upstream string }
	}
	testnet.Await(t, "the node to be held", func() bool {
		_, text := g.call(t, "GET", "/v1/status", "")
		if err := json.Unmarshal([]byte(text), &said); err != nil {
			t.Fatal(err)
		}
		return len(said.Held) == 1
	})
	if said.Held[0].Key != key || said.Held[0].Service != "s" || said.Held[0].Upstream != o.Addr() || answers() != 200 {
		t.Errorf("%+v, and the route answers %d", said.Held[0], answers())
	}
	if _, text := g.call(t, "GET", "/metrics", ""); !strings.Contains(text, "sluice_discovery_held_nodes 1\n") || !strings.Contains(text, "sluice_discovery_holds_total 1\n") {
		t.Error("the metrics say something else")
	}
	_ = o.Close()
	testnet.Await(t, "the node to go", func() bool { return len(g.holder.Held()) == 0 && answers() == 503 })
}
