package proxy

import (
	"errors"
	"time"

	"sluice/codec"
	"sluice/codec/h1"
	"sluice/core/event"
	"sluice/internal/ascii"
	"sluice/internal/fault"
	"sluice/upstream"
)

// h1Call is one try at a node over HTTP/1.1: it owns the connection from Acquire until the answer is whole, and is the worker's again
// afterwards.
type h1Call struct {
	x    *Exchange
	conn *upstream.Conn

	body     h1.BodyDecoder // of the response
	inBody   bool           // the final head has come
	began    bool           // some byte of an answer has come
	chunked  bool           // the request body is sent in chunks
	bodiless bool           // the request has no body: what came behind its head would be another request
	sentAll  bool           // the whole request was handed to the connection
	tunneled bool           // the connection is one of bytes
	passed   bool           // some of the answer has passed without being read
	sentMark uint64         // conn.Sent when the call began
}

// responseLimits bounds what a node may answer. Nodes are trusted more than clients, and cookies of some applications need more than a request may have.
var responseLimits = codec.Limits{RequestLine: 16 << 10, Headers: 128 << 10, HeaderCount: 500}

var (
	errUpgrade    = errors.New("proxy: the node switched to a protocol that nobody had asked for")
	errNodeClosed = errors.New("proxy: the node closed the connection before its answer was whole")
)

func (k *h1Call) start(x *Exchange, conn *upstream.Conn) {
	*k = h1Call{x: x, conn: conn, body: k.body, sentMark: conn.Sent()}
}

// The call as its exchange sees it.

func (k *h1Call) sendHead(req *codec.Request) {
	k.chunked = req.Framing.Kind == codec.BodyStream
	k.bodiless = req.Framing.Kind == codec.BodyNone
	k.conn.Commit(h1.AppendRequestHead(k.conn.Buffer(), req, k.conn.Node().Address))
}

func (k *h1Call) sendBody(p []byte) {
	if k.bodiless && !k.tunneled {
		return
	}
	if !k.chunked {
		k.conn.Write(p)
		return
	}
	k.conn.Commit(h1.AppendChunkHeader(k.conn.Buffer(), len(p)))
	k.conn.Write(p)
	k.conn.Commit(h1.AppendChunkEnd(k.conn.Buffer()))
}

func (k *h1Call) sendEnd(trailer *codec.Header) {
	k.sentAll = true
	if k.tunneled {
		k.conn.Shutdown()
	}
	if k.chunked {
		k.conn.Commit(h1.AppendLastChunk(k.conn.Buffer(), trailer))
	}
}

func (k *h1Call) congested() bool { return k.conn.Congested() }
func (k *h1Call) hold()           { k.conn.Pause() }
func (k *h1Call) want()           { k.conn.Resume() }
func (k *h1Call) connected() bool { return k.conn.IsConnected() }
func (k *h1Call) reused() bool    { return k.conn.Reused }
func (k *h1Call) taken() uint64   { return k.conn.Delivered() }

// cancel gives up the call. A connection with half a message on it cannot serve again.
func (k *h1Call) cancel() {
	conn, w := k.conn, k.x.worker
	k.x, k.conn = nil, nil
	conn.Discard()
	w.spareCalls.Put(k)
}

// The call as the owner of its connection.

// Opened tells that a new connection is established.
func (k *h1Call) Opened(*event.Conn) {
	k.conn.Established()
	k.sentMark = k.conn.Sent() // what TLS has sent so far is none of the request
	k.x.connectedBy(k)
}

// Drained tells that the node has caught up with the request.
func (k *h1Call) Drained(*event.Conn) { k.x.drainedBy(k) }

// Data parses what the node has sent. What the exchange does with it may end the call, which is then perhaps another's already: the connection tells.
func (k *h1Call) Data(c *event.Conn) {
	for k.conn != nil && k.conn.Conn == c && !c.IsPaused() {
		if !k.began {
			k.began = true
			k.x.callBegan(k)
		}
		if k.tunneled {
			k.readTunnel()
			return
		}
		var more bool
		if k.inBody {
			more = k.readBody()
		} else {
			more = k.readHead()
		}
		if !more {
			return
		}
	}
}

// readHead parses a response head and reports whether there is more to do.
func (k *h1Call) readHead() bool {
	x := k.x
	n, err := h1.ParseResponse(k.conn.Unread(), &x.resp, x.req.Method, &responseLimits)
	if err != nil {
		x.callFailed(fault.New("read response head", fault.Upstream, fault.UpstreamProtocol, err))
		return false
	}
	if n == 0 {
		return false
	}
	k.conn.Consume(n)
	if x.resp.Informational() {
		x.responseInformational()
		x.resp.Reset(nil)
		return len(k.conn.Unread()) > 0
	}
	if x.resp.Header.Seen(codec.FieldKeepAlive) {
		k.conn.LimitIdle(keepAliveTimeout(x.resp.Header.GetID(codec.FieldKeepAlive)))
	}
	k.inBody = true
	k.body.ResetResponse(x.resp.Framing, &responseLimits)
	conn := k.conn
	x.responseHead()
	if k.conn != conn {
		return false
	}
	if k.tunneled {
		return len(k.conn.Unread()) > 0
	}
	if k.body.Done() {
		k.end()
		return false
	}
	k.conn.Passes(k.body.Ahead() >= passLeast)
	return len(k.conn.Unread()) > 0
}

// keepAliveTimeout reads "timeout=5, max=100" (RFC 2068 §19.7.1.1): how long the node keeps the connection while it is idle, 0 where it does not say.
func keepAliveTimeout(list []byte) time.Duration {
	for len(list) > 0 {
		var item []byte
		item, list = codec.NextListItem(list)
		const name = "timeout="
		if len(item) <= len(name) || !ascii.EqualFold(item[:len(name)], name) {
			continue
		}
		seconds := 0
		for _, c := range item[len(name):] {
			if c < '0' || c > '9' || seconds > 86400 {
				return 0
			}
			seconds = 10*seconds + int(c-'0')
		}
		return time.Duration(seconds) * time.Second
	}
	return 0
}

// readBody hands on what there is of a response body and reports whether there is more to do.
func (k *h1Call) readBody() bool {
	data, n, err := k.body.Next(k.conn.Unread())
	if err != nil {
		k.x.callFailed(fault.New("read response body", fault.Upstream, fault.UpstreamProtocol, err))
		return false
	}
	k.conn.Consume(n)
	if len(data) > 0 {
		conn := k.conn
		k.x.responseBody(data)
		if k.conn != conn {
			return false
		}
	}
	if k.body.Done() {
		k.end()
		return false
	}
	return n > 0 && len(k.conn.Unread()) > 0
}

// end is the end of the answer: the connection goes back to its pool if the node will take another request and has taken all of this one.
func (k *h1Call) end() {
	x, conn, w, service := k.x, k.conn, k.x.worker, k.x.service
	reuse := x.resp.KeepAlive && k.sentAll && conn.Queued() == 0 && !(k.passed && !conn.Silent())
	k.x, k.conn = nil, nil
	x.responseEnd(k.body.Trailer())
	if reuse {
		conn.Release(service)
	} else {
		conn.Discard()
	}
	w.spareCalls.Put(k)
}

// EOF is the end of the node's side.
func (k *h1Call) EOF(*event.Conn) {
	if k.tunneled {
		k.x.tunnelDownEnd()
		return
	}
	if k.inBody && k.body.EOF() == nil {
		k.end()
		return
	}
	k.lost(errNodeClosed)
}

// Closed is the end of the connection.
func (k *h1Call) Closed(_ *event.Conn, err error) { k.lost(err) }

// lost says what a connection that has ended means for the request.
func (k *h1Call) lost(err error) {
	e := fault.New("read response", fault.Upstream, fault.UpstreamReset, err)
	switch {
	case k.x.waiting == waitConnect:
		k.x.worker.server.tls.warnUpstream(k.x.node, err)
		e = fault.New("connect", fault.Upstream, fault.UpstreamConnect, err).Retryable(fault.Always)
	case k.began:
		// Part of an answer has been seen.
	case k.conn.Sent() == k.sentMark:
		e.Retryable(fault.Always)
	case k.conn.Reused:
		e.Retryable(fault.IfReused)
	default:
		e.Retryable(fault.IfIdempotent)
	}
	k.x.callLost(k, e)
}

var (
	_ event.Passer = (*h1Call)(nil)
	_ call         = (*h1Call)(nil)
)
