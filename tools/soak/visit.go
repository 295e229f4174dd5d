package main

import (
	"bufio"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"time"
)

// visit is a connection to an origin.
type visit struct {
	origin *origin
	conn   net.Conn
	in     *bufio.Reader
}

// visits are what an origin does, by the last segment of the path. Each answers one request and reports whether the connection may go on.
var visits = map[string]func(*visit, *http.Request) bool{
	"echo":          (*visit).echo,
	"pattern":       (*visit).pattern,
	"sink":          (*visit).sink,
	"surprise":      (*visit).surprise,
	"endless-body":  (*visit).endlessBody,
	"endless-head":  (*visit).endlessHead,
	"endless-hints": (*visit).endlessHints,
}

// mostEchoed bounds the bodies that an origin keeps to send them back.
const mostEchoed = 1 << 20

// echo sends the body back, with the id and the checksum of what came, as the origin's mood allows.
func (v *visit) echo(req *http.Request) bool {
	body, err := io.ReadAll(io.LimitReader(req.Body, mostEchoed))
	if err != nil {
		return false
	}
	answer := echoAnswer(req, body)
	switch mood(v.origin.mood.Load()) {
	case moodSilent:
		v.awaitEnd()
		return false
	case moodGarbage:
		return v.write([]byte("HTTQ/1.1 twohundred maybe\r\n\r\n"))
	case moodHalf:
		v.write(answer[:len(answer)/2])
		reset(v.conn)
		return false
	case moodHangsUp:
		return false
	case moodSlow:
		third := len(answer)/3 + 1
		for len(answer) > third {
			if !v.write(answer[:third]) {
				return false
			}
			time.Sleep(pieceDelay)
			answer = answer[third:]
		}
	}
	return v.write(answer)
}

func echoAnswer(req *http.Request, body []byte) []byte {
	b := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nX-Soak-Id: %s\r\nX-Soak-Sum: %x\r\n", req.Header.Get("X-Soak-Id"), crc32.ChecksumIEEE(body))
	if req.FormValue("chunked") != "" {
		b = append(b, "Transfer-Encoding: chunked\r\n\r\n"...)
		return appendChunks(b, body)
	}
	b = fmt.Appendf(b, "Content-Length: %d\r\n\r\n", len(body))
	return append(b, body...)
}

// pattern sends size bytes of the pattern, as fast as they are taken.
func (v *visit) pattern(req *http.Request) bool {
	size, err := strconv.ParseInt(req.FormValue("size"), 10, 64)
	if err != nil || !v.write(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size)) {
		return false
	}
	for sent := int64(0); sent < size; {
		b := patternAt(sent, int(min(size-sent, patternPeriod)))
		if !v.write(b) {
			return false
		}
		sent += int64(len(b))
	}
	return true
}

// sink reads a body of the pattern at rate bytes a second, and answers how many bytes came. A body that is not the pattern gets a 500.
func (v *visit) sink(req *http.Request) bool {
	rate, err := strconv.ParseFloat(req.FormValue("rate"), 64)
	if err != nil {
		return false
	}
	got, err := takeSlowly(req.Body, rate, time.Time{})
	if err != nil {
		if errors.Is(err, errPattern) {
			v.origin.wrong.Add(1)
			v.write(fmt.Appendf(nil, "HTTP/1.1 500 Wrong\r\nX-Soak-Why: %s\r\nContent-Length: 0\r\n\r\n", err))
		}
		return false // else the client has left in the middle
	}
	return v.write(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nX-Soak-Count: %d\r\nContent-Length: 0\r\n\r\n", got))
}

// surprise answers as echo does, and then once more, which nobody has asked for: in the same segment, or (late=1) a moment later, when the connection rests in
// the gateway's pool. Then it waits for the gateway to close the connection, and counts that.
func (v *visit) surprise(req *http.Request) bool {
	answer := echoAnswer(req, nil)
	evil := []byte("HTTP/1.1 200 OK\r\nX-Soak-Id: evil\r\nX-Soak-Sum: 0\r\nContent-Length: 0\r\n\r\n")
	if req.FormValue("late") == "" {
		v.write(append(answer, evil...))
	} else if v.write(answer) {
		time.Sleep(surpriseDelay)
		v.write(evil)
	}
	if v.bound() == nil {
		if _, err := v.in.ReadByte(); err != nil && !isTimeout(err) {
			v.origin.surprises.Add(1)
		}
	}
	return false
}

// surpriseDelay is when a late surprise comes: long after the gateway has put the connection into its pool.
const surpriseDelay = 10 * time.Millisecond

// endlessBody sends chunks until nobody takes them.
func (v *visit) endlessBody(*http.Request) bool {
	if !v.write([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")) {
		return false
	}
	v.origin.endless.Add(1)
	defer v.origin.endless.Add(-1)
	w := httputil.NewChunkedWriter(v.conn)
	for at := int64(0); ; at += patternPeriod {
		if err := v.bound(); err != nil {
			return false
		}
		if _, err := w.Write(patternAt(at, patternPeriod)); err != nil {
			return false
		}
	}
}

// endlessHead sends header fields until nobody takes them.
func (v *visit) endlessHead(*http.Request) bool {
	return v.write([]byte("HTTP/1.1 200 OK\r\n")) && v.repeat("X-More: and more, and more, and more\r\n")
}

// endlessHints sends interim answers until nobody takes them.
func (v *visit) endlessHints(*http.Request) bool {
	return v.repeat("HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")
}

// repeat writes text until the connection ends.
func (v *visit) repeat(text string) bool {
	var b []byte
	for len(b) < 16<<10 {
		b = append(b, text...)
	}
	for v.write(b) {
	}
	return false
}

// awaitEnd returns when the gateway gives up the connection.
func (v *visit) awaitEnd() {
	if v.bound() == nil {
		_, _ = v.in.ReadByte() // whatever comes, this visit is over
	}
}

// visitTime bounds every write and every wait of an origin, so that none outlives its scenario by much.
const visitTime = time.Minute

func (v *visit) bound() error { return v.conn.SetDeadline(time.Now().Add(visitTime)) }

// write sends all of b and reports whether that went well.
func (v *visit) write(b []byte) bool {
	if v.bound() != nil {
		return false
	}
	_, err := v.conn.Write(b)
	return err == nil
}
