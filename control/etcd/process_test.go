package etcd

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// serveIn names a data directory in the environment of a second process that is an etcd server and nothing else; serveAs, where it is set, a member as JSON.
const (
	serveIn = "ETCD_TEST_SERVE_IN"
	serveAs = "ETCD_TEST_SERVE_AS"
)

// member is one member of a cluster.
type member struct{ Name, Client, Peer, Cluster, State string }

// serveUntilKilled is that process.
func serveUntilKilled(dir string) {
	err := serve(dir, os.Getenv(serveAs))
	if err != nil {
		fmt.Println(err)
		os.Exit(3)
	}
	fmt.Println("ready")
	select {}
}

func serve(dir, as string) error {
	if as == "" {
		_, err := StartServer(context.Background(), dir, quiet())
		return err
	}
	var m member
	if err := json.Unmarshal([]byte(as), &m); err != nil {
		return err
	}
	client, err := url.Parse(m.Client)
	if err != nil {
		return err
	}
	peer, err := url.Parse(m.Peer)
	if err != nil {
		return err
	}
	smallSegments()
	cfg := embed.NewConfig()
	cfg.Dir, cfg.Name, cfg.InitialCluster, cfg.ClusterState = dir, m.Name, m.Cluster, m.State
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{*client}, []url.URL{*client}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{*peer}, []url.URL{*peer}
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	cfg.TickMs, cfg.ElectionMs = 50, 500
	_, err = embed.StartEtcd(cfg)
	return err
}

// etcdProcess is an etcd server in a process of its own, at the same endpoint each time it is started.
type etcdProcess struct {
	t   *testing.T
	dir string
	as  string // a member as JSON; "" = alone
	cmd *exec.Cmd
}

func startProcess(t *testing.T) *etcdProcess {
	t.Helper()
	p := &etcdProcess{t: t, dir: t.TempDir()}
	p.start()
	t.Cleanup(p.kill)
	return p
}

func (p *etcdProcess) endpoint() string { return "unix://" + filepath.Join(p.dir, socketName) }

func (p *etcdProcess) start() {
	p.t.Helper()
	p.cmd = exec.Command(os.Args[0])
	p.cmd.Env = append(os.Environ(), serveIn+"="+p.dir, serveAs+"="+p.as)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		p.t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		p.t.Fatalf("the server says %q, %v", line, err)
	}
}

// kill ends it as kill -9 does; what it had acknowledged must be there when it is started again.
func (p *etcdProcess) kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill() // it may be dead
	_ = p.cmd.Wait()         // the answer is that it was killed
	p.cmd = nil
}
