package main

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"sluice/control"
	"sluice/control/etcd"
)

// serveEnv names the data directory in the environment of the process that is the etcd.
const serveEnv = "LOADROUTES_SERVE_ETCD"

// serveStore is that process. It runs until it is killed.
func serveStore(dir string) {
	server, err := etcd.StartServer(context.Background(), dir, slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(server.Endpoint())
	<-server.Done()
	os.Exit(1)
}

// store is the etcd.
type store struct {
	endpoint string
	process  *exec.Cmd // nil where it is somebody else's
	clients  []*etcd.Client
}

// openStore connects to an endpoint, or starts a server in dir and connects to that.
func openStore(ctx context.Context, endpoint, dir string) (*store, error) {
	s := &store{endpoint: endpoint}
	if endpoint != "" {
		return s, nil
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s.process = exec.CommandContext(ctx, self)
	s.process.Env = append(os.Environ(), serveEnv+"="+dir)
	s.process.Stderr = os.Stderr
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := s.process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.process.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		s.close()
		return nil, fmt.Errorf("etcd has not started: %w", err)
	}
	s.endpoint = line[:len(line)-1]
	return s, nil
}

func (s *store) close() {
	for _, c := range s.clients {
		c.Close()
	}
	if s.process != nil {
		_ = s.process.Process.Kill() // its data go too
		_ = s.process.Wait()
	}
}

// client returns a client of what is below prefix.
func (s *store) client(prefix string) (*etcd.Client, error) {
	c, err := etcd.NewClient(etcd.Config{Endpoints: []string{s.endpoint}, Prefix: prefix})
	if err == nil {
		s.clients = append(s.clients, c)
	}
	return c, err
}

// Any etcd takes a hundred operations in a transaction; a few writers at once let it sync once for several of them.
const (
	perTransaction = 100
	writers        = 8
)

// fill writes routes and services below prefix, all of which are new.
func (s *store) fill(ctx context.Context, prefix string, routes, services int) error {
	client, err := s.client(prefix)
	if err != nil {
		return err
	}
	target := etcd.NewStore(client)
	batches := make(chan []control.Op)
	failed := make(chan error, writers)
	var writing sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for range writers {
		writing.Go(func() {
			for ops := range batches {
				if _, err := target.Commit(ctx, ops); err != nil {
					failed <- fmt.Errorf("fill %s: %w", prefix, err)
					cancel()
					return
				}
			}
		})
	}
	func() {
		defer close(batches)
		for first := 0; first < routes+services; first += perTransaction {
			var ops []control.Op
			for i := first; i < min(first+perTransaction, routes+services); i++ {
				ops = append(ops, resource(i, routes, services))
			}
			select {
			case batches <- ops:
			case <-ctx.Done():
				return
			}
		}
	}()
	writing.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return ctx.Err()
	}
}

// resource returns the i-th of all.
func resource(i, routes, services int) control.Op {
	op := control.Op{If: control.Precondition{Absent: true}}
	if i < services {
		op.Key = control.Services.Key(fmt.Sprintf("service-%d", i))
		op.Value = fmt.Appendf(nil, `{"name":"service-%d","timeout":{"connect":"1s","response":"30s"}}`, i)
		return op
	}
	i -= services
	op.Key = control.Routes.Key(control.RouteID(routePath(i)))
	op.Value = fmt.Appendf(nil, `{"prefix":"%s*","methods":["GET","POST"],"service_name":"service-%d","plugins":{"request-id":{}},"desc":"route %d of %d"}`,
		routePath(i), i%services, i, routes)
	return op
}

// routePath returns what the paths of a route begin with.
func routePath(i int) string { return fmt.Sprintf("/openapi/team-%d/service-%d/", i%97, i) }
