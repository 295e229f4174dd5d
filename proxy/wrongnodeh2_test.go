package proxy

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"sluice/codec"
	"sluice/codec/h2"
)

// frameH2 is a frame as a node may write it, right or wrong.
func frameH2(kind, flags byte, stream uint32, payload string) string {
	n := len(payload)
	return string(binary.BigEndian.AppendUint32([]byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags}, stream)) + payload
}

// literalH2 is a field of a header block, never indexed and without Huffman code.
func literalH2(name, value string) string {
	return "\x10" + string(rune(len(name))) + name + string(rune(len(value))) + value
}

const statusOK = "\x88" // ":status: 200" in the static table

// A node that breaks a rule of HTTP/2 fails the call that it concerns, so that the client can tell, and where the rule is one of the connection no call after it: the next has
// another connection. What a node may do passes.
func TestANodeThatBreaksARuleOfHTTP2FailsItsCall(t *testing.T) {
	const (
		headers, priority, reset, settings, push, ping, window, continuation = 1, 2, 3, 4, 5, 6, 8, 9

		end, whole, padded = 1, 4, 8
	)
	good := func(id uint32) string { return frameH2(headers, whole, id, statusOK) + frameH2(0, end, id, "ok") }
	head := func(id uint32, more string) string { return frameH2(headers, whole, id, statusOK+more) }
	for name, c := range map[string]struct {
		says  func(id uint32) string
		want  string // "502 upstream_protocol", "cut" for an answer that has begun, or "ok"
		conns int32  // to the node, with the call behind it
	}{
		// Of the message: the stream ends.
		"no status":                 {func(id uint32) string { return frameH2(headers, whole, id, literalH2("a", "b")) }, "502 upstream_protocol", 1},
		"status 101":                {func(id uint32) string { return frameH2(headers, whole, id, literalH2(":status", "101")) }, "502 upstream_protocol", 1},
		"status of two digits":      {func(id uint32) string { return frameH2(headers, whole, id, literalH2(":status", "20")) }, "502 upstream_protocol", 1},
		"two statuses":              {func(id uint32) string { return head(id, statusOK) }, "502 upstream_protocol", 1},
		"status behind a field":     {func(id uint32) string { return frameH2(headers, whole, id, literalH2("a", "b")+statusOK) }, "502 upstream_protocol", 1},
		"pseudo-field of a request": {func(id uint32) string { return head(id, literalH2(":path", "/")) }, "502 upstream_protocol", 1},
		"upper case":                {func(id uint32) string { return head(id, literalH2("X-A", "b")) }, "502 upstream_protocol", 1},
		"line end in a value":       {func(id uint32) string { return head(id, literalH2("a", "b\r\nc: d")) }, "502 upstream_protocol", 1},
		"connection":                {func(id uint32) string { return head(id, literalH2("connection", "close")) }, "502 upstream_protocol", 1},
		"transfer-encoding":         {func(id uint32) string { return head(id, literalH2("transfer-encoding", "chunked")) }, "502 upstream_protocol", 1},
		"two lengths": {func(id uint32) string {
			return head(id, literalH2("content-length", "1")+literalH2("content-length", "1"))
		}, "502 upstream_protocol", 1},
		"length without a body": {func(id uint32) string {
			return frameH2(headers, whole|end, id, statusOK+literalH2("content-length", "1"))
		}, "502 upstream_protocol", 1},
		"early hints that end":        {func(id uint32) string { return frameH2(headers, whole|end, id, literalH2(":status", "103")) }, "502 upstream_protocol", 1},
		"data before the head":        {func(id uint32) string { return frameH2(0, end, id, "x") }, "502 upstream_protocol", 1},
		"window update of 0":          {func(id uint32) string { return frameH2(window, 0, id, "\x00\x00\x00\x00") }, "502 upstream_protocol", 1},
		"window that overflows":       {func(id uint32) string { return frameH2(window, 0, id, "\x7f\xff\xff\xff") }, "502 upstream_protocol", 1},
		"a stream that is its parent": {func(id uint32) string { return frameH2(priority, 0, id, fmt.Sprintf("\x00\x00\x00%c\x05", id)) }, "502 upstream_protocol", 1},
		"reset":                       {func(id uint32) string { return frameH2(reset, 0, id, "\x00\x00\x00\x02") }, "502 upstream_reset", 1},
		"less than content-length":    {func(id uint32) string { return head(id, literalH2("content-length", "5")) + frameH2(0, end, id, "ab") }, "cut", 1},
		"more than content-length":    {func(id uint32) string { return head(id, literalH2("content-length", "1")) + frameH2(0, end, id, "ab") }, "cut", 1},
		"trailer with a status": {func(id uint32) string {
			return head(id, "") + frameH2(0, 0, id, "ab") + frameH2(headers, whole|end, id, statusOK)
		}, "cut", 1},
		"trailer that does not end": {func(id uint32) string {
			return head(id, "") + frameH2(0, 0, id, "ab") + frameH2(headers, whole, id, literalH2("a", "b"))
		}, "cut", 1},

		// Of the connection.
		"no field compression":          {func(id uint32) string { return frameH2(headers, whole, id, "\xff\xff\xff\xff\xff\xff") }, "502 upstream_protocol", 2},
		"push":                          {func(id uint32) string { return frameH2(push, whole, id, "\x00\x00\x00\x02"+statusOK) }, "502 upstream_protocol", 2},
		"answer to nobody":              {func(id uint32) string { return head(id+100, "") }, "502 upstream_protocol", 2},
		"answer on a stream of its own": {func(uint32) string { return head(2, "") }, "502 upstream_protocol", 2},
		"answer on stream 0":            {func(uint32) string { return head(0, "") }, "502 upstream_protocol", 2},
		"data on stream 0":              {func(uint32) string { return frameH2(0, 0, 0, "x") }, "502 upstream_protocol", 2},
		"frame that is too large":       {func(id uint32) string { return "\x00\x40\x01\x00\x00\x00\x00\x00\x01" }, "502 upstream_protocol", 2},
		"ping within a block":           {func(id uint32) string { return frameH2(headers, 0, id, statusOK) + frameH2(ping, 0, 0, "12345678") }, "502 upstream_protocol", 2},
		"continuation of nothing":       {func(id uint32) string { return frameH2(continuation, whole, id, statusOK) }, "502 upstream_protocol", 2},
		"continuations without an end": {func(id uint32) string {
			return frameH2(headers, 0, id, statusOK) + strings.Repeat(frameH2(continuation, 0, id, ""), 100)
		}, "502 upstream_protocol", 2},
		"padding as long as the head": {func(id uint32) string { return frameH2(headers, whole|padded, id, "\x05"+statusOK) }, "502 upstream_protocol", 2},
		"window update of 0 for all":  {func(uint32) string { return frameH2(window, 0, 0, "\x00\x00\x00\x00") }, "502 upstream_protocol", 2},
		"window for all overflows": {func(uint32) string {
			return frameH2(window, 0, 0, "\x7f\xff\xff\xff") + frameH2(window, 0, 0, "\x7f\xff\xff\xff")
		}, "502 upstream_protocol", 2},
		"window of an idle stream": {func(id uint32) string { return frameH2(window, 0, id+100, "\x00\x00\x00\x01") }, "502 upstream_protocol", 2},
		"reset of an idle stream":  {func(id uint32) string { return frameH2(reset, 0, id+100, "\x00\x00\x00\x02") }, "502 upstream_protocol", 2},
		"settings of a stream":     {func(id uint32) string { return frameH2(settings, 0, id, "") }, "502 upstream_protocol", 2},
		"settings cut":             {func(uint32) string { return frameH2(settings, 0, 0, "\x00\x01\x00") }, "502 upstream_protocol", 2},
		"push allowed":             {func(uint32) string { return frameH2(settings, 0, 0, "\x00\x02\x00\x00\x00\x01") }, "502 upstream_protocol", 2},
		"initial window of 2^31":   {func(uint32) string { return frameH2(settings, 0, 0, "\x00\x04\x80\x00\x00\x00") }, "502 upstream_protocol", 2},
		"largest frame of 2^24":    {func(uint32) string { return frameH2(settings, 0, 0, "\x00\x05\x01\x00\x00\x00") }, "502 upstream_protocol", 2},
		"ping of 7 bytes":          {func(uint32) string { return frameH2(ping, 0, 0, "1234567") }, "502 upstream_protocol", 2},
		"padding as long as the data": {func(id uint32) string {
			return head(id, "") + frameH2(0, 0, id, "ab") + frameH2(0, padded, id, "\x02a")
		}, "cut", 2},

		// Nothing is wrong with these.
		"an extension":     {func(id uint32) string { return frameH2(0x42, 0xff, id, "xyz") + frameH2(0x42, 0, 0, "") + good(id) }, "ok", 1},
		"settings unknown": {func(id uint32) string { return frameH2(settings, 0, 0, "\xff\xff\x80\x00\x00\x00") + good(id) }, "ok", 1},
		"priority":         {func(id uint32) string { return frameH2(priority, 0, id+2, "\x00\x00\x00\x00\x05") + good(id) }, "ok", 1},
		"padding": {func(id uint32) string {
			return frameH2(headers, whole|padded, id, "\x03"+statusOK+"\x00\x00\x00") + frameH2(0, end|padded, id, "\x02ok\x00\x00")
		}, "ok", 1},
		"a block in pieces": {func(id uint32) string {
			return frameH2(headers, 0, id, "") + frameH2(continuation, 0, id, "") + frameH2(continuation, whole, id, statusOK) + frameH2(0, end, id, "ok")
		}, "ok", 1},
		"empty data": {func(id uint32) string {
			return head(id, "") + strings.Repeat(frameH2(0, 0, id, ""), 2000) + frameH2(0, end, id, "ok")
		}, "ok", 1},
		"many pings": {func(id uint32) string { return strings.Repeat(frameH2(ping, 0, 0, "12345678"), 400) + good(id) }, "ok", 1},
		"frames behind the end": {func(id uint32) string {
			return good(id) + frameH2(window, 0, id, "\x00\x00\x00\x01") + frameH2(reset, 0, id, "\x00\x00\x00\x00")
		}, "ok", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t, speakH2(func(_ *nodeConn, conn *h2.Conn, s *h2.Stream, req *codec.Request) []byte {
				if string(req.Target()) == "/wrong" {
					return []byte(c.says(s.ID))
				}
				return okH2(conn, s)
			}))
			g := newGateway(t, []string{n.addr}, overHTTP2, withAttempts(1))
			g.connect(t).wantGet("ok") // the connection is there, and its settings have been exchanged
			b := g.connect(t)
			b.send("GET /wrong HTTP/1.1\r\nHost: a\r\n\r\n")
			a := b.answer()
			switch status, code, failed := strings.Cut(c.want, " "); {
			case failed:
				if err := a.contractError(); err != nil || fmt.Sprint(a.status) != status || !strings.Contains(a.body, `"code":"`+code+`"`) {
					t.Errorf("%+v, %v", a, err)
				}
			case c.want == "cut":
				if a.status != 200 || a.cut == nil {
					t.Errorf("%+v", a)
				}
			default:
				a.want(t, 200, "ok")
			}
			g.connect(t).wantGet("ok")
			if opened := n.opened.Load(); opened != c.conns {
				t.Errorf("%d connections to the node, want %d", opened, c.conns)
			}
		})
	}
}
