package main

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"syscall"

	"sluice/control"
	"sluice/control/etcd"
	"sluice/tools/bulk"
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

// fill writes routes and services below prefix, all of which are new.
func (s *store) fill(ctx context.Context, prefix string, routes, services int) error {
	client, err := s.client(prefix)
	if err != nil {
		return err
	}
	err = bulk.Write(ctx, etcd.NewStore(client), func(yield func(control.Entry) bool) {
		for i := range routes + services {
			if !yield(resource(i, routes, services)) {
				return
			}
		}
	})
	if err != nil {
		return fmt.Errorf("fill %s: %w", prefix, err)
	}
	return nil
}

// resource returns the i-th of all.
func resource(i, routes, services int) (e control.Entry) {
	if i < services {
		e.Key = control.Services.Key(fmt.Sprintf("service-%d", i))
		e.Value = fmt.Appendf(nil, `{"name":"service-%d","timeout":{"connect":"1s","response":"30s"}}`, i)
		return e
	}
	i -= services
	e.Key = control.Routes.Key(control.RouteID(routePath(i)))
	e.Value = fmt.Appendf(nil, `{"prefix":"%s*","methods":["GET","POST"],"service_name":"service-%d","plugins":{"request-id":{}},"desc":"route %d of %d"}`,
		routePath(i), i%services, i, routes)
	return e
}

// routePath returns what the paths of a route begin with.
func routePath(i int) string { return fmt.Sprintf("/openapi/team-%d/service-%d/", i%97, i) }
