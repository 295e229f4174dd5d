package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"sluice/control"
	"sluice/internal/testnet"
	"sluice/tools/origin"
)

// All leases of a service end at once, as in an outage of etcd, and its checks say that the nodes are well: they are asked as before, and it can be seen that they are held. They go once they
// are not well any more.
func TestNodesThatAreWellOutliveTheirLeases(t *testing.T) {
	g := startTest(t, nil)
	for path, body := range map[string]string{
		"/v1/services/s": `{"health":{"active":{"type":"tcp","interval":"100ms","timeout":"1s"}}}`,
		"/v1/routes/x":   `{"prefix":"/x/*","service_name":"s"}`,
	} {
		if status, text := g.call(t, "PUT", path, body); status != 201 {
			t.Fatalf("%s: %d %s", path, status, text)
		}
	}
	origins := []*origin.Server{startOrigin(t, "a"), startOrigin(t, "b")}
	leases := leaseNodes(t, g, origins)
	answers := func() int { status, _ := g.get(t, "/x/1"); return status }
	testnet.Await(t, "the nodes", func() bool { return answers() == 200 && g.engine.Status().Nodes == len(origins) })
	for _, lease := range leases {
		if _, err := g.client.Leases().Revoke(t.Context(), lease); err != nil {
			t.Fatal(err)
		}
	}
	var said struct {
		Held []struct{ Key, Service, Upstream string }
	}
	testnet.Await(t, "the nodes to be held", func() bool {
		_, text := g.call(t, "GET", "/v1/status", "")
		if err := json.Unmarshal([]byte(text), &said); err != nil {
			t.Fatal(err)
		}
		return len(said.Held) == len(origins)
	})
	for _, n := range said.Held {
		if n.Service != "s" || n.Key != control.Nodes.Key(control.NodeID("s", n.Upstream)) || answers() != 200 {
			t.Errorf("%+v, and the route answers %d", n, answers())
		}
	}
	if _, text := g.call(t, "GET", "/metrics", ""); !strings.Contains(text, "sluice_discovery_held_nodes 2\n") || !strings.Contains(text, "sluice_discovery_holds_total 1\n") {
		t.Error("the metrics say something else")
	}
	for _, o := range origins {
		_ = o.Close()
	}
	testnet.Await(t, "the nodes to go", func() bool { return len(g.holder.Held()) == 0 && answers() == 503 })
}

// leaseNodes registers origins as nodes of the service s, each under a lease of its own.
func leaseNodes(t *testing.T, g *gateway, origins []*origin.Server) (leases []clientv3.LeaseID) {
	t.Helper()
	client := g.client.Leases()
	for _, o := range origins {
		lease, err := client.Grant(t.Context(), 60)
		if err != nil {
			t.Fatal(err)
		}
		key := control.Nodes.Key(control.NodeID("s", o.Addr()))
		if _, err := client.Put(t.Context(), "/sluice/"+key, fmt.Sprintf(`{"service_name":"s","upstream":%q}`, o.Addr()), clientv3.WithLease(lease.ID)); err != nil {
			t.Fatal(err)
		}
		leases = append(leases, lease.ID)
	}
	return leases
}
