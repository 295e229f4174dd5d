package main

import (
	"cmp"
	"fmt"
	"strings"
)

// job is what one load asks for, again and again.
type job struct {
	path        string // of the origin
	size        int64  // of its answer's body, in bytes; checked
	connections int
	threads     int    // of wrk; 0 = 1
	upload      int64  // bytes of a request body; 0 = a GET
	pipeline    int    // requests that are sent at once; 0 = one, by wrk
	streams     int    // requests at once on each connection, over HTTP/2; 0 = HTTP/1.1
	grpc        bool   // unary calls, over HTTP/2
	h2load      bool   // of those by h2load, which takes their messages for bodies and knows no status
	page        string // of another origin that asks, as its Origin says; "" = none
	fresh       bool   // a new connection for every request
	changes     int    // routes that are changed each second meanwhile, where the rival can be told without a reload
	elsewhere   bool   // they are of keys that the rival does not follow
	handshake   handshake
}

// smallJob is a small GET over kept connections.
func smallJob(connections int) job {
	return job{path: smallPath, size: int64(len(smallBody)), connections: connections}
}

func (j job) threadCount() int { return cmp.Or(j.threads, 1) }

// concurrency is how many requests are under way at once: so many connections to the origin a gateway must be able to keep.
func (j job) concurrency() int { return j.connections * max(1, j.streams) }

// script is what wrk is told in Lua. Only what runs at the beginning and the end is in it, since a function that is called for every request would
// slow wrk itself down.
func (j job) script() string {
	var b strings.Builder
	if j.fresh {
		b.WriteString("wrk.headers[\"Connection\"] = \"close\"\n")
	}
	if j.page != "" {
		fmt.Fprintf(&b, "wrk.headers[\"Origin\"] = %q\n", j.page)
	}
	if j.upload > 0 {
		fmt.Fprintf(&b, "wrk.method = \"POST\"\nwrk.body = string.rep(\"x\", %d)\n", j.upload)
	}
	b.WriteString(wrkReport)
	return b.String()
}

// wrkReport makes wrk end with one line that a program can read; its own text has no 99.9 %.
const wrkReport = `function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('report {"requests":%d,"bytes":%d,"duration_us":%d,"p50_us":%d,"p99_us":%d,"p999_us":%d,' ..
    '"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}\n', summary.requests, summary.bytes, summary.duration,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9), e.connect, e.read, e.write, e.status, e.timeout))
end
`
