package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"
)

// maxConnections bounds what may be asked of a rival, and sizes the tables that nginx and HAProxy lay out at their start. With
// an upstream connection each, and some to spare, it must stay below half of a common descriptor limit of 20,000.
const maxConnections = 9000

// maxIdle bounds the idle connections, which have none to the origin.
const maxIdle = 100_000

// tableSize is for how many connections nginx and HAProxy are configured: what any scenario of the run needs, and an eighth to spare, since nginx begins to close idle
// connections when a sixteenth is left.
func (opt *options) tableSize() int {
	most := max(2*maxConnections, opt.idle)
	return most + most/8
}

// rival is one running gateway.
type rival struct {
	name    string
	version string
	setup   setup
	port    int
	http2   int   // the port that speaks HTTP/2; 0 = the same
	workers []int // the processes whose CPU and memory count
	process *process
	check   bool      // whether it must do all of the job that jobcheck.go looks at
	admin   *adminAPI // of Sluice; nil of the others
	store   string    // Sluice's etcd, where that is a process of its own
	config  string    // path of its configuration, for the report; "" where there is none
	source  string    // of a program of ours, where it is in the repository
}

// url is where the gateway is asked for a path of the origin.
func (r *rival) url(path string) string {
	return fmt.Sprintf("%s://127.0.0.1:%d%s", r.scheme(), r.port, r.setup.asked(path))
}

func (r *rival) scheme() string {
	if r.setup.tls {
		return "https"
	}
	return "http"
}

// urlHTTP2 is url for HTTP/2: by ALPN, or without TLS by prior knowledge.
func (r *rival) urlHTTP2(path string) string {
	return fmt.Sprintf("%s://%s%s", r.scheme(), r.hostHTTP2(), r.setup.asked(path))
}

func (r *rival) hostHTTP2() string { return fmt.Sprintf("127.0.0.1:%d", cmp.Or(r.http2, r.port)) }

// redact takes secrets out of a configuration that is to be shown.
func (r *rival) redact(config string) string {
	if r.admin == nil {
		return config
	}
	return strings.ReplaceAll(config, r.admin.token, "…")
}

// start is what the rival_ files provide: run one gateway in dir that forwards everything to the origin.
type start func(ctx context.Context, h *harness, dir string, s setup) (*rival, error)

// starters are the rivals that can be named on the command line.
var starters = []struct {
	name string
	run  start
}{
	{"sluice", startSluice},
	{"nginx", startNginx},
	{"haproxy", startHAProxy},
	{"caddy", startBuilt("caddy")},
	{"fasthttp", startBuilt("fasthttp")},
	{"reverseproxy", startBuilt("reverseproxy")},
	{"netpoll", startBuilt("netpoll")},
}

func starter(name string) (start, error) {
	var names []string
	for _, s := range starters {
		if s.name == name {
			return s.run, nil
		}
		names = append(names, s.name)
	}
	return nil, fmt.Errorf("%w: no rival %q: choose of %s, or bring one with -with", errUsage, name, strings.Join(names, ", "))
}

// readyTimeout bounds a rival's start. Sluice's embedded etcd takes about a second on an idle machine, a million routes half a minute.
const readyTimeout = 2 * time.Minute

// ready waits until the rival answers a request with 200.
func (r *rival) ready(ctx context.Context) error {
	return r.process.await(ctx, readyTimeout, func() error { return expectOK(ctx, r.url(smallPath)) })
}

// fill puts values for the {names} of a configuration text.
func fill(text string, pairs ...any) string {
	words := make([]string, len(pairs))
	for i, p := range pairs {
		words[i] = fmt.Sprint(p)
	}
	return strings.NewReplacer(words...).Replace(text)
}

// when returns text where it applies, else nothing: for the optional lines of a configuration.
func when(applies bool, text string) string {
	if applies {
		return text
	}
	return ""
}
