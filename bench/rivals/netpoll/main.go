// Command netpoll is a proxy on cloudwego/netpoll's own connection layer: a goroutine for each request, heads parsed by net/http, pooled
// connections to the origin.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	mrand "math/rand/v2"

	"github.com/cloudwego/netpoll"

	"sluice/bench/rivals/internal/job"
)

type proxy struct {
	origin  string
	idle    chan *upstream
	sources sync.Pool
}

// upstream is one connection to the origin.
type upstream struct {
	net.Conn
	reader *bufio.Reader
	writer *bufio.Writer // one write for a head: net/http writes field by field to what can take a byte, as netpoll's connections do
}

// client is what a connection of a client keeps between its requests.
type client struct {
	reader *bufio.Reader
	writer *bufio.Writer
}

type clientKey struct{}

func main() {
	o := job.Parse("github.com/cloudwego/netpoll")
	p := &proxy{origin: o.Origin, idle: make(chan *upstream, o.Idle), sources: sync.Pool{New: func() any { return job.NewSource() }}}
	job.Must(netpoll.Configure(netpoll.Config{PollerNum: o.Workers}))
	listener, err := netpoll.CreateListener("tcp", o.Listen)
	job.Must(err)
	loop, err := netpoll.NewEventLoop(p.serve, netpoll.WithIdleTimeout(2*time.Minute), netpoll.WithOnPrepare(func(c netpoll.Connection) context.Context {
		return context.WithValue(context.Background(), clientKey{}, &client{bufio.NewReader(c), bufio.NewWriter(c)})
	}))
	job.Must(err)
	job.Must(loop.Serve(listener))
}

// serve answers the requests that have come.
func (p *proxy) serve(ctx context.Context, c netpoll.Connection) error {
	cl := ctx.Value(clientKey{}).(*client)
	for again := true; again; again = cl.reader.Buffered() > 0 {
		if err := p.exchange(cl, c.RemoteAddr().String()); err != nil {
			return c.Close()
		}
	}
	return nil
}

func (p *proxy) exchange(cl *client, remote string) error {
	req, err := http.ReadRequest(cl.reader)
	if err != nil {
		return err
	}
	ip := job.IP(remote)
	source := p.sources.Get().(*mrand.ChaCha8)
	id := job.NewID(source)
	p.sources.Put(source)
	ends := req.Close
	req.Close = false // of the client's connection, not of ours to the origin
	req.Header.Del("Connection")
	req.Header.Set("X-Forwarded-For", ip)
	req.Header.Set("X-Forwarded-Proto", "http")
	req.Header.Set("X-Forwarded-Host", req.Host)
	req.Header.Set("X-Real-IP", ip)
	req.Header.Set("X-Request-Id", id)
	up, err := p.acquire()
	if err != nil {
		return err
	}
	if err := errors.Join(req.Write(up.writer), up.writer.Flush()); err != nil {
		up.Close()
		return err
	}
	res, err := http.ReadResponse(up.reader, req)
	if err != nil {
		up.Close()
		return err
	}
	res.Header.Set("X-Request-Id", id)
	if err := res.Write(cl.writer); err != nil { // it reads the body to its end, and closes it
		up.Close()
		return err
	}
	if res.Close {
		up.Close()
	} else {
		p.release(up)
	}
	if err := cl.writer.Flush(); err != nil {
		return err
	}
	if ends {
		return fmt.Errorf("the client asked to close")
	}
	return nil
}

func (p *proxy) acquire() (*upstream, error) {
	select {
	case up := <-p.idle:
		return up, nil
	default:
	}
	conn, err := netpoll.DialConnection("tcp", p.origin, 3*time.Second)
	if err != nil {
		return nil, err
	}
	return &upstream{conn, bufio.NewReader(conn), bufio.NewWriter(conn)}, nil
}

func (p *proxy) release(up *upstream) {
	select {
	case p.idle <- up:
	default:
		up.Close()
	}
}
