package archcheck

import (
	"fmt"
	"strings"
)

// library is the place of a package that is not ours.
type library struct {
	prefix string   // import path, and all below it
	places []string // folders that may import it; tests may everywhere where tests is set
	tests  bool
	why    string
}

var everywhere = []string{".", "tools/*", "control", "control/*", "proxy", "plugin", "plugin/*", "upstream", "core/*", "codec", "codec/*", "router", "internal/*"}

// libraries: the first row whose prefix matches counts. A package of the standard library that is not listed has its place
// everywhere; any other has none until it gets a row.
var libraries = []library{
	// What would bring goroutines, locks or hidden system calls into the data path.
	{"net/http", []string{"control/acme", "control/admin", "control/admin/*", "tools/*", "bench", "bench/*"}, true, "requests that are forwarded never pass through net/http: it is for the admin API and for tools"},
	{"golang.org/x/net/http2/hpack", []string{"codec/h2", "upstream", "bench"}, true, "header compression belongs to HTTP/2, and to the probe and the benchmark's origin, which speak a few frames of it"},
	{"golang.org/x/net/http2", nil, true, "frames of another implementation, for the peers of tests"},
	{"golang.org/x/net/dns/dnsmessage", []string{"upstream"}, true, "it tells how long an answer of the standard resolver may be kept"},
	{"github.com/cloudwego/netpoll", []string{"core/event", "core/tlsconn", "bench/*"}, true, "only its LinkBuffer is taken, as the queue of a writer, behind core/event"},
	{"golang.org/x/sys/unix", []string{"core/event", "core/tlsconn", "bench"}, true, "the loop alone talks to the kernel, and the benchmark, which has it count system calls"},

	// The store.
	{"go.etcd.io/etcd/client/v3", []string{"control/etcd", "upstream/register"}, true, "a store is replaceable: nobody else in the gateway knows that it is etcd; a service that registers itself has a client of its own"},
	{"go.etcd.io/etcd/api/v3/v3rpc/rpctypes", []string{"control/etcd", "upstream/register"}, true, "the errors of that client"},
	{"go.etcd.io", []string{"control/etcd"}, true, "a store is replaceable: nobody else knows that it is etcd"},
	{"google.golang.org/grpc", []string{"control/etcd", "bench"}, true, "gRPC is how etcd is reached, and what the benchmark calls with"},
	{"go.uber.org/zap", []string{"control/acme", "control/etcd"}, true, "etcd's logger, and certmagic's; ours is log/slog"},

	// What is wanted, and who asks for it.
	{"github.com/bytedance/sonic", []string{"control", "control/*", "plugin", "plugin/*", "internal/*"}, true, "JSON is read where configuration is, never per request"},
	{"github.com/goccy/go-yaml", []string{"control/file", "tools/cli"}, true, "YAML is how files are written; inside, everything is JSON"},
	{"github.com/danielgtaylor/huma", []string{"control/admin"}, true, "it describes the admin API"},
	{"github.com/go-jose/go-jose", []string{"control/admin", "plugin/*"}, true, "signed tokens: of the panel's sessions, and of those that a plugin checks"},
	{"golang.org/x/crypto/argon2", []string{"control/admin"}, true, "passwords are checked where people log in, and nowhere on the way of a request"},
	{"golang.org/x/term", []string{"tools/cli"}, true, "a password is typed without being shown"},
	{"github.com/spf13/cobra", []string{"tools/cli"}, true, "commands are in tools/cli"},
	{"github.com/spf13/pflag", []string{"tools/cli"}, true, "commands are in tools/cli"},
	{"go.uber.org/automaxprocs", []string{".", "tools/cli", "core/event"}, true, "how many CPUs there are is asked once, at the start"},
	{"github.com/expr-lang/expr", []string{"router", "control", "internal/*"}, true, "conditions are compiled when a route is, and only run later"},

	{"github.com/caddyserver/certmagic", []string{"control/acme"}, true, "authorities are asked off the loops, by whom the store has elected"},
	{"github.com/mholt/acmez", []string{"control/acme"}, true, "certmagic's own protocol library, for what is not the same for everybody: where challenges are answered"},
	{"github.com/letsencrypt/pebble", nil, true, "a real authority for tests"},
	{"github.com/miekg/dns", nil, true, "the names that it asks for"},

	// Counting.
	{"github.com/prometheus", []string{"core/observe", "control/admin"}, true, "the data path counts in its own cells; they meet Prometheus at the scrape"},

	// Free of I/O, goroutines and surprises.
	{"github.com/cespare/xxhash", everywhere, true, "a hash function"},
	{"github.com/gaissmai/bart", []string{"proxy", "control", "plugin/*", "internal/*"}, true, "tables of networks"},

	// Measuring.
	{"gonum.org/v1/plot", []string{"bench"}, true, "it draws the plots of reports"},
	{"github.com/caddyserver/caddy", []string{"bench/rivals/*"}, true, "a rival"},
	{"github.com/julienschmidt/httprouter", []string{"bench/rivals/*"}, true, "a rival"},
	{"github.com/valyala/fasthttp", []string{"bench/rivals/*"}, true, "a rival"},

	// Tests.
	{"github.com/summerwind/h2spec", nil, true, "for tests"},
	{"pgregory.net/rapid", nil, true, "for tests"},
	{"go.uber.org/goleak", nil, true, "for tests"},
}

// checkLibraries holds imports of what is not ours to the table.
func checkLibraries(t *tree) []Problem {
	var problems []Problem
	for _, s := range t.sources {
		for _, i := range s.imports {
			if _, ours := ownFolder(i.path); ours {
				continue
			}
			if reason := misplaced(s, i.path); reason != "" {
				problems = append(problems, Problem{s.name, i.line, reason})
			}
		}
	}
	return problems
}

// misplaced returns why a file must not import the path, "" when it may.
func misplaced(s source, importPath string) string {
	for _, l := range libraries {
		if importPath != l.prefix && !strings.HasPrefix(importPath, l.prefix+"/") {
			continue
		}
		if matchesAny(l.places, s.folder) || l.tests && (s.test || forTests(s.folder)) {
			return ""
		}
		if len(l.places) == 0 {
			return fmt.Sprintf("imports %s outside a test: %s", importPath, l.why)
		}
		return fmt.Sprintf("imports %s, whose place is %s: %s", importPath, strings.Join(l.places, ", "), l.why)
	}
	first, _, _ := strings.Cut(importPath, "/")
	if strings.Contains(first, ".") {
		return fmt.Sprintf("imports %s, which has no place in the table of libraries (tools/archcheck/library.go): give it one, with the reason, or do without it", importPath)
	}
	return ""
}
