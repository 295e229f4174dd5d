package h2

import (
	"bytes"
	"strings"
	"testing"

	"sluice/codec"
)

func expect(t *testing.T, got string, want ...string) {
	t.Helper()
	rest := got
	for _, w := range want {
		i := strings.Index(rest, w)
		if i < 0 {
			t.Fatalf("no %q (in this order) in\n%s", w, got)
		}
		rest = rest[i+len(w):]
	}
}

func TestARequestIsReadAsHTTP1WouldHaveIt(t *testing.T) {
	got := serve(t, opening(getRequest(1, "user-agent: x", "cookie: a=b", "accept: */*", "cookie: c=d", "te: trailers")))
	expect(t, got, "settings\n", "< type 4 flags 1 stream 0", "request 1 end true: GET /a?b host example.com framing {0 0}",
		"  user-agent: x\n", "  cookie: a=b; c=d\n", "  accept: */*\n")
	if strings.Count(got, "cookie") != 1 { // RFC 9113 §8.2.3
		t.Error(got)
	}
}

func TestBodiesAndTrailersOfSeveralStreamsAreToldApart(t *testing.T) {
	got := serve(t, opening(
		postRequest(1, "content-length: 5"), postRequest(3), data(1, false, "he"), data(3, false, "x"), data(1, true, "llo"),
		headers(3, true, "grpc-status: 0", "content-length: 7"),
	))
	expect(t, got, "request 1 end false: POST / host a framing {1 5}", "request 3 end false: POST / host a framing {2 0}",
		`data 1: "he"`, `data 3: "x"`, `data 1: "llo"`, "end 1\n", "trailer 3\n  grpc-status: 0\n")
	if strings.Contains(got, "content-length: 7") { // RFC 9110 §6.5.1
		t.Error(got)
	}
}

func TestPaddingAndPriorityAreNotData(t *testing.T) { // RFC 9113 §6.1, §6.2
	block := packed(request...)
	head := append([]byte{3, 0, 0, 0, 0, 16}, block...)
	in := opening(
		frame(frameHeaders, flagEndHeaders|flagPadded|flagPriority, 1, append(head, 0, 0, 0)...),
		frame(frameData, flagPadded, 1, 2, 'h', 'i', 0, 0), frame(frameData, flagPadded|flagEndStream, 1, 4, 0, 0, 0, 0),
	)
	expect(t, serve(t, in), "request 1 end false: GET /a?b", `data 1: "hi"`, "end 1")
}

func TestAHeaderBlockMayComeInPieces(t *testing.T) { // RFC 9113 §6.10
	block := packed(with(request, "x: "+strings.Repeat("y", 100))...)
	in := opening(frame(frameHeaders, flagEndStream, 1, block[:3]...), frame(frameContinuation, 0, 1),
		frame(frameContinuation, 0, 1, block[3:20]...), frame(frameContinuation, flagEndHeaders, 1, block[20:]...))
	expect(t, serve(t, in), "request 1 end true: GET /a?b", "  x: yyy")
}

// RFC 3875 §4.1.18: to CGI and WSGI "x_forwarded_for" is the field that the gateway sets. Other underscores are as good as dashes.
func TestUnderscoredNamesOfFramingAndForwardedFieldsGoNoFurther(t *testing.T) {
	got := serve(t, opening(headers(1, true, ":method: GET", ":scheme: http", ":path: /", ":authority: a", "content_length: 5", "x_forwarded_for: 127.0.0.1", "my_name: v")))
	expect(t, got, "request 1 end true: GET /", "  my_name: v\n")
	if strings.Contains(got, "content_length") || strings.Contains(got, "x_forwarded_for") {
		t.Errorf("got\n%s", got)
	}
}

func TestExtendedConnectIsAnUpgrade(t *testing.T) { // RFC 8441 §4
	got := serve(t, opening(headers(1, false, ":method: CONNECT", ":protocol: websocket", ":scheme: https", ":path: /chat", ":authority: a", "sec-websocket-version: 13")))
	expect(t, got, "request 1 end false: GET /chat host a framing {0 0}", "  sec-websocket-version: 13\n", "  Upgrade: websocket\n")
}

func TestAResponseIsRead(t *testing.T) {
	got := receive(t, bytes.Join([][]byte{
		settings(), headers(1, false, ":status: 103", "link: </a>"), headers(1, false, ":status: 200", "content-length: 2", "x-pad:  a "),
		data(1, true, "ok"), headers(3, true, ":status: 200", "grpc-status: 5"),
		headers(5, false, ":status: 200"), data(5, false, "m"), headers(5, true, "grpc-status: 0"),
	}, nil))
	expect(t, got, "response 1 end false: 103", "link: </a>", "response 1 end false: 200 framing {1 2}", "x-pad: a\n", `data 1: "ok"`, "end 1",
		"response 3 end true: 200 framing {0 0}", "response 5 end false: 200 framing {2 0}", `data 5: "m"`, "trailer 5", "grpc-status: 0")
}

func TestAnswersWithoutABodyHaveNone(t *testing.T) { // RFC 9110 §6.4.1
	for _, status := range []string{"204", "304"} {
		got := receive(t, append(settings(), append(headers(1, false, ":status: "+status, "content-length: 5"), data(1, true, "hello")...)...))
		expect(t, got, "response 1 end false: "+status+" framing {0 0}", "reset 1: PROTOCOL_ERROR h2: data does not fit content-length")
	}
}

// What one side writes the other reads, compressed by us and read by golang.org/x/net too, see hpack_test.go.
func TestWhatIsWrittenIsRead(t *testing.T) {
	var req codec.Request
	req.Reset(nil)
	req.SetMethod([]byte("PATCH"))
	req.SetTarget([]byte("/x?y=z"))
	req.SetHost([]byte("example.com:8080"))
	req.Framing = codec.Framing{Kind: codec.BodyStream}
	req.Header.Add("Content-Type", []byte("text/plain"))
	req.Header.Add("Transfer-Encoding", []byte("chunked"))
	req.Header.Add("X-Long", bytes.Repeat([]byte("v"), 20000))
	client := newPeer(true)
	var s Stream
	client.Conn = Conn{}
	client.Reset(Options{Client: true, StreamWindow: defaultWindow, ConnWindow: 1 << 20, MaxBlock: 1 << 20})
	client.OpenNext(&s)
	in := client.AppendPreface(nil)
	in = client.AppendRequestHead(in, &s, &req, RequestOptions{Scheme: "https", Trailers: true}, false)
	in = client.AppendData(in, &s, bytes.Repeat([]byte("d"), 20000), true)
	got, err := whole(in)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, got, "request 1 end false: PATCH /x?y=z host example.com:8080 framing {2 0}\n", "  content-type: text/plain\n", "  x-long: vvvv", "  te: trailers\n", `data 1: "dddd`, "end 1")
	if strings.Contains(got, "chunked") {
		t.Error("transfer-encoding was written")
	}

	server := newPeer(false)
	if _, done := server.feed(in); done {
		t.Fatal(server.err)
	}
	var resp codec.Response
	resp.Reset(nil)
	resp.Status = 404
	resp.Framing = codec.Framing{Kind: codec.BodyLength, Length: 3}
	resp.Header.Add("Server", []byte("n"))
	out := server.AppendPreface(nil)
	out = server.AppendResponseHead(out, server.streams[1], &resp, false)
	out = server.AppendData(out, server.streams[1], []byte("not"), false)
	var trailer codec.Header
	trailer.Add("Grpc-Status", []byte("0"))
	out = server.AppendTrailer(out, server.streams[1], &trailer)
	if !server.streams[1].Ended() {
		t.Error("the stream has not ended")
	}
	got = receive(t, out)
	expect(t, got, "settings", "response 1 end false: 404 framing {1 3}", "  server: n\n", "  content-length: 3\n", `data 1: "not"`, "trailer 1\n  grpc-status: 0")
}

func TestWindowsBoundWhatIsSentAndCome(t *testing.T) { // RFC 9113 §6.9
	p := newPeer(false)
	p.feed(opening(getRequest(1)))
	s := p.streams[1]
	if got := p.Room(s); got != defaultWindow {
		t.Errorf("room %d", got)
	}
	p.AppendDataHeader(nil, s, MaxFrame, false)
	if got := p.Room(s); got != defaultWindow-MaxFrame {
		t.Errorf("room %d", got)
	}
	in := opening(getRequest(1), settings(uint32(settingWindow), 10))
	p.feed(in)
	if got := p.Room(s); got != 0 || s.send != 10-MaxFrame { // a window may be below zero (RFC 9113 §6.9.2)
		t.Errorf("room %d, window %d", got, s.send)
	}
	in = append(in, frame(frameWindow, 0, 1, u32(MaxFrame)...)...)
	p.feed(in)
	if got := p.Room(s); got != 10 {
		t.Errorf("room %d", got)
	}
}

func TestWhatIsPassedOnIsGivenBack(t *testing.T) {
	full := strings.Repeat("x", MaxFrame)
	in := opening(postRequest(1), data(1, false, full), data(1, false, full), data(1, false, full), data(1, false, full[:100]))
	got, err := whole(in)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(got, "< type 8 flags 0 stream 1: 0000"); n != 1 { // half a window, 32767, was reached once more than 48 KiB bring
		t.Errorf("%d window updates in %.300s", n, got)
	}
}

func TestGoAwayComesInTwoSteps(t *testing.T) { // RFC 9113 §6.8
	p := newPeer(false)
	in := opening(getRequest(1))
	p.feed(in)
	if got := p.AppendGoAway(nil, NoError, true); !bytes.Equal(got, frame(frameGoAway, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0)) {
		t.Errorf("%x", got)
	}
	in = append(in, getRequest(3)...)
	p.feed(in)
	if got := p.AppendGoAway(nil, NoError, false); !bytes.Equal(got, frame(frameGoAway, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0)) {
		t.Errorf("%x", got)
	}
	in = append(in, postRequest(5)...)
	in = append(in, data(5, true, "ignored")...)
	got, done := p.feed(in)
	if done || strings.Contains(got, "request 5") || strings.Contains(got, "ignored") {
		t.Errorf("a stream behind the last word: %s", got)
	}
}

// RFC 9113 §5.1: frames that the peer sent before it could know of our reset are ignored, data beyond a stream's end are not.
func TestFramesBehindAResetOfOursAreIgnored(t *testing.T) {
	p := newPeer(false)
	in := opening(postRequest(1))
	p.feed(in)
	if got := p.AppendReset(nil, p.streams[1], Cancel); !bytes.Equal(got, frame(frameReset, 0, 1, 0, 0, 0, 8)) {
		t.Errorf("%x", got)
	}
	in = append(in, data(1, false, "late")...)
	in = append(in, headers(1, true, "late: trailer")...)
	in = append(in, frame(frameWindow, 0, 1, u32(1)...)...)
	in = append(in, frame(frameReset, 0, 1, u32(8)...)...)
	if got, done := p.feed(in); done || strings.Contains(got, "late") || strings.Contains(got, "type 3") {
		t.Error(got)
	}
	in = append(in, postRequest(3)...) // the compression's state has survived the trailer that was skipped
	got, _ := p.feed(in)
	expect(t, got, "request 3 end false: POST / host a")
}

func TestMoreStreamsThanAllowedAreRefused(t *testing.T) { // RFC 9113 §5.1.2
	var frames [][]byte
	for i := range uint32(MaxStreams + 1) {
		frames = append(frames, postRequest(2*i+1))
	}
	got, err := whole(opening(frames...))
	if err != nil || strings.Count(got, "request ") != MaxStreams || !strings.Contains(got, "< type 3 flags 0 stream 201: 00000007") {
		t.Errorf("%v, %d requests", err, strings.Count(got, "request "))
	}
}
