// Command reverseproxy is net/http's own reverse proxy, tuned as its documentation says: as many idle connections as the load has, no
// compression, a pool of copy buffers.
package main

import (
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"

	mrand "math/rand/v2"

	"sluice/bench/rivals/internal/job"
)

var sources = sync.Pool{New: func() any { return job.NewSource() }}

func main() {
	o := job.Parse("net/http")
	origin := &url.URL{Scheme: "http", Host: o.Origin}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(origin)
			r.Out.Host = r.In.Host
			r.SetXForwarded()
			ip := job.IP(r.In.RemoteAddr)
			r.Out.Header.Set("X-Real-IP", ip)
			source := sources.Get().(*mrand.ChaCha8)
			id := job.NewID(source)
			sources.Put(source)
			r.Out.Header.Set("X-Request-Id", id)
		},
		ModifyResponse: func(res *http.Response) error {
			res.Header.Set("X-Request-Id", res.Request.Header.Get("X-Request-Id"))
			return nil
		},
		Transport: &http.Transport{
			MaxIdleConns: o.Idle, MaxIdleConnsPerHost: o.Idle, IdleConnTimeout: time.Minute, DisableCompression: true,
		},
		BufferPool: &buffers{},
	}
	server := &http.Server{Addr: o.Listen, Handler: proxy, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	job.Must(server.ListenAndServe())
}

// buffers are those that bodies are copied with.
type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return *p
	}
	return make([]byte, 32<<10)
}

func (b *buffers) Put(p []byte) { b.pool.Put(&p) }
