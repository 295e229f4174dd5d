package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sluice/control"
	"sluice/control/file"
	"sluice/tools/origin"
)

func newDemo() *cobra.Command {
	var s settings
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a gateway with an embedded etcd, two sample origins and a few routes, and print what to try",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return demo(cmd, &s) },
	}
	s.addTo(cmd)
	return cmd
}

// demo runs a gateway in a directory of its own, which goes with it.
func demo(cmd *cobra.Command, s *settings) error {
	log, level, err := s.logger(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "sluice-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	base := []file.Override{{Path: "data_dir", Value: dir, Source: "demo"}, {Path: "access_log.format", Value: "combined", Source: "demo"}}
	config, err := s.load(cmd, base...)
	if err != nil {
		return err
	}
	var origins []*origin.Server
	defer func() {
		for _, o := range origins {
			_ = o.Close()
		}
	}()
	for _, name := range []string{"origin-a", "origin-b"} {
		o, err := origin.Start(name)
		if err != nil {
			return err
		}
		origins = append(origins, o)
	}
	// No program: the origins are in this process, and the directory goes with it.
	p := plan{config: config, log: log, level: level, load: func() (*file.Config, error) { return s.read(cmd, base...) }}
	return serve(cmd.Context(), p, func(g *gateway) error {
		if err := g.seed(cmd.Context(), origins); err != nil {
			return err
		}
		printDemo(cmd.OutOrStdout(), g, origins)
		return nil
	})
}

// demoService is the service that the sample origins are nodes of.
const demoService = "demo"

// demoRoutes are the sample routes, as they are stored.
var demoRoutes = map[string]string{
	"echo":    `{"desc":"everything below /echo/, with a request id","prefix":"/echo/*","service_name":"demo","plugins":{"request-id":{}}}`,
	"users":   `{"desc":"one path parameter, two methods","paths":["/users/:id"],"methods":["GET","PUT"],"service_name":"demo"}`,
	"rewrite": `{"desc":"the prefix is cut off before the node sees the path","prefix":"/openapi/demo/*","service_name":"demo","plugins":{"tracing":{},"proxy-rewrite":{"regex_uri":["^/openapi/demo/(.*)","/$1"]}}}`,
	"host":    `{"desc":"one host alone","hosts":["api.example.com"],"prefix":"/*","service_name":"demo","plugins":{"request-id":{}}}`,
	"canary":  `{"desc":"requests with a header take another route","prefix":"/echo/*","when":"header('x-canary') == '1'","service_name":"demo","plugins":{"proxy-rewrite":{"headers":{"set":{"X-Variant":"canary"}}}}}`,
}

// seed registers the origins and stores the routes, and waits until they are in force.
func (g *gateway) seed(ctx context.Context, origins []*origin.Server) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	values := make(map[string]string)
	for _, o := range origins {
		node, err := json.Marshal(map[string]any{"service_name": demoService, "upstream": o.Addr(), "weight": 1, "status": 1})
		if err != nil {
			return err
		}
		values[control.Nodes.Key(control.NodeID(demoService, o.Addr()))] = string(node)
	}
	for id, route := range demoRoutes {
		values[control.Routes.Key(id)] = route
	}
	var last int64
	for key, value := range values {
		revision, err := g.store.Put(ctx, key, []byte(value), control.Precondition{})
		if err != nil {
			return fmt.Errorf("demo: %w", err)
		}
		last = max(last, revision)
	}
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for g.engine.Status().Revision < last {
		select {
		case <-ctx.Done():
			return fmt.Errorf("demo: routes are not in force: %w", ctx.Err())
		case <-poll.C:
		}
	}
	if bad := g.engine.Status().Errors; len(bad) > 0 {
		return fmt.Errorf("demo: BUG: %v", bad)
	}
	return nil
}

// printDemo tells what there is to try.
func printDemo(w io.Writer, g *gateway, origins []*origin.Server) {
	base := "http://" + loopback(g.server.Addrs()[0].String())
	admin := "http://" + loopback(g.admin.Addr().String())
	token := "$(cat " + g.config.DataDir + "/admin-token)"
	if g.config.Admin.Token != "" {
		token = "$TOKEN"
	}
	fmt.Fprintf(w, `
Sluice serves %s, from two origins (%s, %s). Try:

  curl -i %[1]s/echo/hello                        # what reached the node, and from which of the two it came
  curl -i -H 'X-Canary: 1' %[1]s/echo/hello       # another route for the same path, chosen by a condition
  curl -i %[1]s/users/42                          # a path parameter
  curl -i -X DELETE %[1]s/users/42                # 405: the path exists with other methods
  curl -i %[1]s/openapi/demo/hello                # the path is rewritten, X-Trace-Id is added
  curl -i -H 'Host: api.example.com' %[1]s/any    # chosen by host
  curl -i %[1]s/nowhere                           # 404, in the gateway's own words

A change is in force milliseconds after it is stored:

  TOKEN=%[4]s
  curl -X PUT -H "Authorization: Bearer $TOKEN" -d '{"prefix":"/new/*","service_name":"demo"}' %[5]s/v1/routes/new
  curl -i %[1]s/new/path
  curl -H "Authorization: Bearer $TOKEN" %[5]s/v1/status
  curl %[5]s/metrics

Ctrl-C stops it. What follows is the access log.

`, base, origins[0].Addr(), origins[1].Addr(), token, admin)
}

// loopback is an address that a client on this machine can use.
func loopback(address string) string {
	for _, any := range []string{"0.0.0.0:", "[::]:"} {
		if port, ok := strings.CutPrefix(address, any); ok {
			return "127.0.0.1:" + port
		}
	}
	return address
}
