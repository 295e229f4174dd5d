// Command fasthttp is a reverse proxy of valyala/fasthttp's server and its HostClient, without copies where the library allows it.
package main

import (
	"sync"
	"time"

	mrand "math/rand/v2"

	"github.com/valyala/fasthttp"

	"sluice/bench/rivals/internal/job"
)

var sources = sync.Pool{New: func() any { return job.NewSource() }}

func main() {
	o := job.Parse("github.com/valyala/fasthttp")
	client := &fasthttp.HostClient{
		Addr: o.Origin, MaxConns: 2 * o.Idle, MaxIdleConnDuration: time.Minute,
		NoDefaultUserAgentHeader: true, DisableHeaderNamesNormalizing: true, DisablePathNormalizing: true,
	}
	server := &fasthttp.Server{
		NoDefaultServerHeader: true, NoDefaultDate: true, NoDefaultContentType: true, IdleTimeout: 2 * time.Minute,
		MaxRequestBodySize: 100 << 20, StreamRequestBody: true,
		Handler: func(ctx *fasthttp.RequestCtx) { forward(ctx, client) },
	}
	job.Must(server.ListenAndServe(o.Listen))
}

func forward(ctx *fasthttp.RequestCtx, client *fasthttp.HostClient) {
	req := &ctx.Request
	host := string(req.Host())
	ip := job.IP(ctx.RemoteAddr().String())
	source := sources.Get().(*mrand.ChaCha8)
	id := job.NewID(source)
	sources.Put(source)
	h := &req.Header
	h.Del("Connection")
	h.Set("X-Forwarded-For", ip)
	h.Set("X-Forwarded-Proto", "http")
	h.Set("X-Forwarded-Host", host)
	h.Set("X-Real-IP", ip)
	h.Set("X-Request-Id", id)
	if err := client.Do(req, &ctx.Response); err != nil {
		ctx.Error(err.Error(), fasthttp.StatusBadGateway)
		return
	}
	ctx.Response.Header.Del("Connection")
	ctx.Response.Header.Set("X-Request-Id", id)
}
