package etcd

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"sluice/internal/testnet"
)

// cluster is three etcd members, each in a process of its own.
type cluster struct {
	members   []member
	processes []*etcdProcess
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	c := new(cluster)
	var peers []string
	for i := range 3 {
		m := member{Name: fmt.Sprint("m", i), Client: "http://" + testnet.Reserve(t), Peer: "http://" + testnet.Reserve(t), State: "new"}
		peers = append(peers, m.Name+"="+m.Peer)
		c.members = append(c.members, m)
		p := &etcdProcess{t: t, dir: t.TempDir()}
		c.processes = append(c.processes, p)
		t.Cleanup(p.kill)
	}
	for i := range c.members {
		c.members[i].Cluster = strings.Join(peers, ",")
	}
	c.start(0, 1, 2)
	return c
}

func (c *cluster) start(members ...int) {
	for _, i := range members {
		p := c.processes[i]
		p.t.Helper()
		as, err := json.Marshal(c.members[i])
		if err != nil {
			p.t.Fatal(err)
		}
		p.as = string(as)
		p.start()
		c.members[i].State = "existing"
	}
}

func (c *cluster) kill(members ...int) {
	for _, i := range members {
		c.processes[i].kill()
	}
}

func (c *cluster) endpoint(i int) string { return c.members[i].Client }

// A member that has lost its cluster goes on serving its watches, in silence: only WithRequireLeader tells. What is in force stays, the status says why
// nothing comes, and once there is a leader the watch goes on where it was, without a full read.
func TestAMemberWithoutALeaderIsNoticedAndTheWatchResumes(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	store := NewStore(clientTest(t, Config{Endpoints: []string{c.endpoint(0), c.endpoint(1), c.endpoint(2)}}))
	eventually(t, "the first write", func() bool { return tryPut(store, "routes/a", "1") })
	sink := newRecorder()
	// The source knows the first member alone, which stays up.
	source, _ := run(t, clientTest(t, Config{Endpoints: []string{c.endpoint(0)}}), Options{ProgressPeriod: time.Minute}, sink)
	eventually(t, "the watch is up", func() bool { return source.Status().Connected })
	c.kill(1, 2)
	eventually(t, "the loss of the leader is noticed", func() bool { return !source.Status().Connected })
	if s := source.Status(); s.Error == "" {
		t.Errorf("the status says nothing of it: %+v", s)
	}
	if n := sink.count(); n != 1 {
		t.Errorf("%d batches, want the first alone", n)
	}
	c.start(1, 2)
	eventually(t, "a write", func() bool { return tryPut(store, "routes/a", "2") })
	sink.await(t, "routes/a", "2")
	eventually(t, "connected", func() bool { return source.Status().Connected })
	if s := source.Status(); len(s.Resyncs) != 1 || s.Error != "" {
		t.Errorf("got %+v, want no full read but the first", s)
	}
}

// With all members known, the loss of the one that the watch is on is no more than a new stream to another.
func TestTheWatchMovesToAnotherMember(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	all := Config{Endpoints: []string{c.endpoint(0), c.endpoint(1), c.endpoint(2)}}
	store := NewStore(clientTest(t, all))
	eventually(t, "the first write", func() bool { return tryPut(store, "routes/a", "0") })
	sink := newRecorder()
	source, _ := run(t, clientTest(t, all), Options{ProgressPeriod: 200 * time.Millisecond}, sink)
	for i := range 3 {
		c.kill(i)
		value := fmt.Sprint("without ", i)
		eventually(t, "a write", func() bool { return tryPut(store, "routes/a", value) })
		sink.await(t, "routes/a", value)
		c.start(i)
	}
	if s := source.Status(); len(s.Resyncs) != 1 {
		t.Errorf("full reads: %v, want the first alone", s.Resyncs)
	}
}
