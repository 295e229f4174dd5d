package proxy

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"sluice/codec/h2"
)

// The window of a connection bounds data alone. A stream that has only its end to send, and was held since the client was behind with what was written, goes on while the data of another wait
// for that window: a client that reads the other later would never see the end of this one.
func TestAStreamWithoutDataDoesNotWaitForTheWindowOfTheConnection(t *testing.T) {
	small := make(chan struct{})
	node := origin(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/large" {
			fmt.Fprint(w, strings.Repeat("x", 200_000))
			return
		}
		fmt.Fprint(w, "x")
		w.(http.Flusher).Flush()
		<-small
	})
	g := newGateway(t, []string{node})
	p := g.dialH2(t)
	p.quiet = true
	b := p.ask("GET", "/small", true)
	p.until("the byte", func() bool { return p.body[b.ID] != nil })
	a := p.ask("GET", "/large", true)
	p.until("the window", func() bool { return p.body[a.ID] != nil && p.body[a.ID].Len() == 65534 })
	g.await(t, "the other's data to wait", func(w *worker) bool {
		s := w.firstH2()
		return s.waiting.first != nil && s.waiting.first.backlog.size > 0 && s.codec.ConnRoom() == 0
	})
	g.onLoop(func(w *worker) bool { // what responseBody does while the socket is full, and what follows once it is not
		s := w.firstH2()
		s.codec.Each(func(stream *h2.Stream) {
			if r := stream.Owner.(*requestH2); stream.ID == b.ID {
				r.told = true
				s.want(&r.outlet)
				r.x.call.hold()
			}
		})
		s.pump()
		return true
	})
	close(small)
	p.answered(b)
}
