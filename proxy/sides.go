package proxy

import (
	"net/netip"

	"sluice/codec"
	"sluice/core/event"
)

// downstream is the client's side of an exchange: one request on a connection, whatever the protocol. Calls come on the worker's loop,
// in this order: any number of sendInformational, sendHead, any number of sendBody, at most one sendTrailer, done. Slices and heads are valid during the
// call only.
type downstream interface {
	sendInformational(resp *codec.Response)
	sendHead(resp *codec.Response)
	sendBody(p []byte)
	sendTrailer(trailer *codec.Header)
	// done tells that the exchange is over: it must not be touched afterwards. cut asks for the answer to be ended so that the client can tell that it is
	// not whole, or for the connection to be closed where no answer was begun.
	done(cut bool)
	// congested reports whether the client takes the answer slower than it comes; drained follows.
	congested() bool
	// holdBody stops and wantBody continues the arrival of the request body.
	holdBody()
	wantBody()
	// socket returns the connection to which a body may pass as it comes, without sendBody; nil where it is framed or encrypted on its way.
	socket() *event.Conn
	// tunnel turns the connection into one of bytes, after the head of a 101; endTunnel ends the direction towards the client.
	tunnel()
	endTunnel()
}

// call is the node's side of an exchange: one try. Order of calls: sendHead, any number of sendBody, sendEnd; cancel at any time, after which neither side
// calls the other again.
type call interface {
	sendHead(req *codec.Request)
	sendBody(p []byte)
	// sendEnd tells that the request is whole; trailer may be nil.
	sendEnd(trailer *codec.Header)
	// congested reports whether the node takes the request slower than it comes; callDrained follows.
	congested() bool
	// hold stops and want continues the arrival of the response body.
	hold()
	want()
	// socket is the node's, as the client's is of downstream.
	socket() *event.Conn
	// connected reports whether the connection to the node is there, reused whether it has served before.
	connected() bool
	reused() bool
	// taken returns how many bytes the node has taken so far.
	taken() uint64
	// tunnel turns the connection into one of bytes, after a 101; closeTunnel is cancel for one that has ended in order.
	tunnel()
	closeTunnel()
	cancel()
}

// client is what an exchange knows of the connection it came on.
type client struct {
	addr     netip.AddrPort
	text     []byte       // the address without its port
	trusted  bool         // it may say who the client is
	redirect int          // its requests are sent to HTTPS on that port; 0 = they are not
	tls      *secured     // nil for plain text
	counted  *clientCount // nil while its connections are not counted
}
