package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"sluice/internal/testnet"
)

// chaosRequest is one request and what kind of answer it may get.
type chaosRequest struct {
	id, method, wire string
	old              bool // HTTP/1.0, and the connection is not kept
	malformed        bool // it is refused, and what is hidden behind it is read by nobody
}

// client opens a connection, sends some requests in one of many ways, and checks every answer.
func (x *chaos) client(addr string, rnd *rand.Rand) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		if !x.stopping.Load() {
			x.t.Errorf("dial: %v", err)
		}
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(testnet.Patience))
	var requests []*chaosRequest
	all := ""
	for range 1 + rnd.IntN(8) {
		r := x.request(rnd)
		requests = append(requests, r)
		if all += r.wire; r.old || r.malformed {
			break // nothing is read behind it
		}
	}
	const plain, leaveWriting, leaveReading, halfClose, trickle, slow = 0, 1, 2, 3, 4, 5
	manner := max(plain, rnd.IntN(12)-6)
	if manner == leaveWriting {
		all = all[:rnd.IntN(len(all))]
	}
	pieces := 1
	if manner == trickle {
		pieces = 20
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		for i := range pieces {
			// It fails where the gateway has ended the connection, which the reader sees.
			_, _ = io.WriteString(conn, all[i*len(all)/pieces:(i+1)*len(all)/pieces])
		}
		if manner == halfClose {
			_ = conn.(*net.TCPConn).CloseWrite()
		}
	}()
	switch manner {
	case leaveReading:
		_, _ = io.CopyN(io.Discard, conn, int64(1+rnd.IntN(len("HTTP/1.1 200 OK"))))
		fallthrough
	case leaveWriting:
		<-written
		_ = conn.(*net.TCPConn).SetLinger(0)
		x.gone.Add(1)
		return
	case slow:
		x.checkAll(bufio.NewReaderSize(conn, 16), requests)
	default:
		x.checkAll(bufio.NewReader(conn), requests)
	}
	conn.Close()
	<-written
}

// request makes a request.
func (x *chaos) request(rnd *rand.Rand) *chaosRequest {
	r := &chaosRequest{id: strconv.FormatInt(x.ids.Add(1), 10), method: [...]string{"GET", "GET", "HEAD", "DELETE", "POST", "POST", "PUT"}[rnd.IntN(7)]}
	if rnd.IntN(25) == 0 {
		r.method, r.malformed = "POST", true
		line := fmt.Sprintf("POST /%s HTTP/1.1\r\nHost: a\r\nX-Id: %s\r\nX-Sum: 0\r\n", r.id, r.id)
		r.wire = line + malformedEnds[rnd.IntN(len(malformedEnds))] + "GET /evil HTTP/1.1\r\nHost: a\r\nX-Id: evil\r\n\r\n"
		x.malformed.Add(1)
		return r
	}
	version, chunked := "1.1", rnd.IntN(2) == 0
	if rnd.IntN(15) == 0 {
		version, chunked, r.old = "1.0", false, true
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s /%s HTTP/%s\r\nHost: a\r\nX-Id: %s\r\n", r.method, r.id, version, r.id)
	if r.method[0] != 'P' {
		b.WriteString("\r\n")
		r.wire = b.String()
		return r
	}
	body := strings.Repeat("("+r.id+")", rnd.IntN(1+[...]int{10, 1000, 20000}[rnd.IntN(3)])/(len(r.id)+2)+1)
	fmt.Fprintf(&b, "X-Sum: %d\r\n", crc32.ChecksumIEEE([]byte(body)))
	if rnd.IntN(4) == 0 && !mode.up.http2 { // there net/http answers it itself
		b.WriteString("Expect: 100-continue\r\n")
	}
	if !chunked {
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	} else {
		writeChunks(&b, rnd, r.id, body)
	}
	r.wire = b.String()
	return r
}

// writeChunks writes the end of a head and a body in chunks, with extensions and perhaps a trailer.
func writeChunks(b *strings.Builder, rnd *rand.Rand, id, body string) {
	trailer := ""
	if rnd.IntN(2) == 0 {
		b.WriteString("Trailer: X-Trailer\r\n")
		trailer = "X-Trailer: " + id + "\r\nHost: evil\r\n"
	}
	b.WriteString("Transfer-Encoding: chunked\r\n\r\n")
	for body != "" {
		n := min(len(body), 1+rnd.IntN(9000))
		fmt.Fprintf(b, "%x;a=\"%d\"\r\n%s\r\n", n, n, body[:n])
		body = body[n:]
	}
	b.WriteString("0\r\n" + trailer + "\r\n")
}

// malformedEnds are ends of requests that two parsers could end in different places.
var malformedEnds = []string{
	"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"Transfer-Encoding: xchunked\r\nContent-Length: 0\r\n\r\n",
	"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
	"Transfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n\r\n0\r\n\r\n",
	"Content-Length: 0\r\nContent-Length: 60\r\n\r\n",
	"Content-Length: +60\r\n\r\n",
	"X: 1\nContent-Length: 60\r\n\r\n",
	"X: 1\rContent-Length: 60\r\n\r\n",
	"X: 1\r\n Content-Length: 60\r\n\r\n",
	"Content-Length\x00: 60\r\n\r\n",
	"Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n",
	"Transfer-Encoding: chunked\r\n\r\n0\n\r\n",
	"Transfer-Encoding: chunked\r\n\r\n0;\n\r\n\r\n",
	"Transfer-Encoding: chunked\r\n\r\n0\r\n\n",
	"Transfer-Encoding: chunked\r\n\r\n1\r\nxXX0\r\n\r\n",
	"Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n\r\n",
	"Transfer-Encoding: chunked\r\n\r\n0\r\nX\r\n\r\n",
}

// checkAll reads the answers as far as the connection gives them.
func (x *chaos) checkAll(r *bufio.Reader, requests []*chaosRequest) {
	for _, q := range requests {
		if !x.check(r, q) {
			return
		}
		if q.malformed {
			if rest, _ := io.ReadAll(r); len(rest) > 0 {
				x.t.Errorf("behind the malformed %q came %q", q.wire, rest)
			}
		}
	}
}

// check reads the answer to a request and reports whether another may follow.
func (x *chaos) check(r *bufio.Reader, q *chaosRequest) bool {
	a, err := readAnswer(r, q.method)
	for err == nil && a.status < 200 {
		if a.get("X-Id") != q.id || q.old {
			x.t.Errorf("%s got %q", q.id, a.head)
		}
		a, err = readAnswer(r, q.method)
	}
	if err != nil {
		if !x.stopping.Load() && (!q.old || !errors.Is(err, syscall.ECONNRESET)) { // what ends with the connection is cut by a reset, which may overtake it
			x.t.Errorf("no answer to %s: %v", q.id, err)
		}
		x.cut.Add(1)
		return false
	}
	switch {
	case a.status == 503 && a.get("X-Id") == q.id: // the node's own
		x.refused.Add(1)
	case a.status != 200 && a.status != 204:
		x.checkRefusal(a, q)
	case a.get("X-Id") != q.id:
		x.t.Errorf("%s got the answer to %s", q.id, a.get("X-Id"))
	default:
		return x.checkBody(a, q) && a.get("Connection") != "close"
	}
	return a.get("Connection") != "close"
}

// checkRefusal checks an error of the gateway's own.
func (x *chaos) checkRefusal(a *answer, q *chaosRequest) {
	x.refused.Add(1)
	if q.method == "HEAD" {
		return // there is no body to check
	}
	err := a.contractError()
	if refused := a.status >= 502 || q.malformed && (a.status == 400 || a.status == 501); err != nil || !refused || !x.bounded && strings.Contains(a.body, "overloaded") {
		x.t.Errorf("%s got %d %q: %v", q.wire, a.status, a.body, err)
	}
}

// checkBody checks the body and the trailer of a node's answer, and reports whether they were whole. A malformed request may have been answered before it was read to its
// end.
func (x *chaos) checkBody(a *answer, q *chaosRequest) bool {
	want := chaosBody(q.id)
	if q.method == "HEAD" || a.status == 204 {
		want = ""
	}
	switch {
	case a.cut != nil:
		if !strings.HasPrefix(want, a.body) && a.body != "<cut>" {
			x.t.Errorf("%s got the beginning of something else: %.100q", q.id, a.body)
		}
		x.cut.Add(1)
		return false
	case a.body != want:
		x.t.Errorf("%s got %d bytes, want %d: %q", q.id, len(a.body), len(want), a.head)
	case a.trailer != "" && !strings.EqualFold(a.trailer, "X-Trailer: "+q.id+"\r\n"):
		x.t.Errorf("%s got the trailer %q", q.id, a.trailer)
	default:
		x.right.Add(1)
	}
	return true
}
