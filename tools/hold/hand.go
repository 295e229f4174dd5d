package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"sluice/internal/network"
)

const (
	openers    = 16               // connections that have a request in flight at once: few, so that the gateway's pool towards the origin stays small
	answerTime = 10 * time.Second // for one answer
)

// hand is the connections of one process.
type hand struct {
	opt      *options
	dialer   *net.Dialer
	patience time.Duration // for one answer
	conns    []net.Conn
}

func newHand(opt *options) *hand {
	return &hand{opt: opt, dialer: network.From(opt.from), patience: answerTime}
}

// hold implements holder.
func (h *hand) hold(n int) (int, error) {
	for len(h.conns) > n {
		last := len(h.conns) - 1
		_ = h.conns[last].Close() // nothing is owed to it
		h.conns = h.conns[:last]
	}
	opened := make([]net.Conn, n-len(h.conns))
	_, err := each(len(opened), func(i int, in *bufio.Reader) (err error) {
		opened[i], err = h.open(in)
		return err
	})
	for _, c := range opened {
		if c != nil {
			h.conns = append(h.conns, c)
		}
	}
	return len(h.conns), err
}

// ask implements holder.
func (h *hand) ask() (int, error) {
	return each(len(h.conns), func(i int, in *bufio.Reader) error { return h.askOn(h.conns[i], in) })
}

func (h *hand) close() {
	for _, c := range h.conns {
		_ = c.Close() // nothing is owed to it
	}
}

// each does something n times, a few at once, and returns how often it went well and why not the first time that it did not. Once something has taken too long no more is begun: where nobody
// answers any more, thousands would be waited for one after the other. The reader is for the caller's use.
func each(n int, do func(i int, in *bufio.Reader) error) (good int, first error) {
	var mu sync.Mutex // guards the results
	var late atomic.Bool
	var wg sync.WaitGroup
	for k := range openers {
		wg.Go(func() {
			in := bufio.NewReader(nil)
			for i := k; i < n && !late.Load(); i += openers {
				err := do(i, in)
				if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
					late.Store(true)
				}
				mu.Lock()
				if err == nil {
					good++
				} else if first == nil {
					first = err
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return good, first
}

// open returns a connection that has had its answer.
func (h *hand) open(in *bufio.Reader) (net.Conn, error) {
	c, err := h.dialer.Dial("tcp", h.opt.target.Host)
	if err != nil {
		return nil, err
	}
	if h.opt.target.Scheme == "https" {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true, ServerName: "hold.test", NextProtos: []string{"http/1.1"}})
	}
	if err := h.askOn(c, in); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// askOn sends one request and reads its answer to the end, so that the connection is at rest afterwards.
func (h *hand) askOn(c net.Conn, in *bufio.Reader) error {
	if err := c.SetDeadline(time.Now().Add(h.patience)); err != nil {
		return err
	}
	request := "GET " + h.opt.target.RequestURI() + " HTTP/1.1\r\nHost: " + h.opt.target.Host + "\r\n"
	id := ""
	if h.opt.echo != "" {
		id = c.LocalAddr().String() + "/" + strconv.FormatInt(time.Now().UnixNano(), 36)
		request += h.opt.echo + ": " + id + "\r\n"
	}
	if _, err := io.WriteString(c, request+"\r\n"); err != nil {
		return err
	}
	in.Reset(c)
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return err
	case res.StatusCode != http.StatusOK || res.Close || string(body) != h.opt.body:
		return fmt.Errorf("%s, close=%v, body %.100q", res.Status, res.Close, body)
	case h.opt.echo != "" && res.Header.Get(h.opt.echo) != id:
		return fmt.Errorf("the answer to %q came to %q", res.Header.Get(h.opt.echo), id)
	case in.Buffered() > 0:
		return errors.New("there is more behind the answer")
	}
	return c.SetDeadline(time.Time{})
}
