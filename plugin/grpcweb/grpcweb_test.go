package grpcweb

import (
	"bytes"
	"encoding/base64"
	"math/rand/v2"
	"testing"

	"sluice/codec"
	"sluice/plugin"
	"sluice/plugin/plugintest"
)

// translated builds the plugin, shows it a request, and returns what it makes of the exchange; nil when it leaves it alone.
func translated(t *testing.T, line string, fields ...string) (*plugintest.Exchange, plugin.Transformer) {
	t.Helper()
	filter, err := Kind.Build(Kind.Name, []byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	x := plugintest.New(line, fields...)
	if v := filter.(plugin.RequestFilter).RequestHead(x); v.Action != plugin.Continue {
		t.Fatal(v)
	}
	if len(x.Transformers) == 0 {
		return x, nil
	}
	return x, x.Transformers[0]
}

func TestOnlyCallsOfGRPCWebAreTranslated(t *testing.T) {
	for media, want := range map[string]string{
		"application/grpc-web": "application/grpc", "application/grpc-web+proto": "application/grpc+proto", "application/grpc-web-text": "application/grpc",
		"application/grpc-web-text+proto": "application/grpc+proto", "application/grpc-web;a=b": "application/grpc;a=b",
		"application/grpc": "", "application/grpc-webx": "", "text/plain": "",
	} {
		x, tr := translated(t, "POST /a.B/C", "Content-Type: "+media)
		if got := string(x.Req.Header.Get("Content-Type")); tr != nil && got != want || tr == nil && (want != "" || got != media) {
			t.Errorf("%s: %s", media, got)
		}
	}
	if _, tr := translated(t, "GET /", "Content-Type: application/grpc-web"); tr != nil {
		t.Error("a GET is no call")
	}
}

func TestABinaryCallKeepsItsBytes(t *testing.T) {
	x, tr := translated(t, "POST /a.B/C", "Content-Type: application/grpc-web+proto")
	if out, err := tr.RequestBody(nil, []byte("\x00\x00\x00\x00\x01a"), true); err != nil || string(out) != "\x00\x00\x00\x00\x01a" {
		t.Errorf("%q %v", out, err)
	}
	x.Resp.Header.Add("Content-Type", []byte("application/grpc+proto"))
	tr.ResponseHead(x)
	if got := x.Resp.Header.Get("Content-Type"); string(got) != "application/grpc-web+proto" {
		t.Errorf("%s", got)
	}
	out := tr.ResponseBody(nil, []byte("message"))
	var trailer codec.Header
	trailer.Add("Grpc-Status", []byte("0"))
	out, rest := tr.ResponseEnd(out, &trailer)
	if want := "message\x80\x00\x00\x00\x10grpc-status: 0\r\n"; string(out) != want || rest != nil {
		t.Errorf("%q %v", out, rest)
	}
}

// Texts are cut anywhere, and may be several with their own padding.
func TestATextIsDecodedAndEncodedHoweverItIsCut(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		var plain, text []byte
		for range 1 + rnd.IntN(3) {
			part := make([]byte, rnd.IntN(40))
			for i := range part {
				part[i] = byte(rnd.IntN(256))
			}
			plain = append(plain, part...)
			text = base64.StdEncoding.AppendEncode(text, part)
		}
		x, tr := translated(t, "POST /a.B/C", "Content-Type: application/grpc-web-text", "Content-Length: 100")
		if x.Req.Framing.Kind != codec.BodyStream || x.Req.Header.FindID(codec.FieldContentLength) >= 0 {
			t.Fatal("a text keeps its length")
		}
		var got []byte
		var err error
		for _, run := range runs(rnd, text) {
			if got, err = tr.RequestBody(got, run, false); err != nil {
				t.Fatal(err)
			}
		}
		if got, err = tr.RequestBody(got, nil, true); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("%q %v, want %q", got, err, plain)
		}
		x.Resp.Header.Add("Content-Type", []byte("application/grpc"))
		tr.ResponseHead(x)
		var out []byte
		for _, run := range runs(rnd, plain) {
			out = tr.ResponseBody(out, run)
		}
		out, _ = tr.ResponseEnd(out, nil)
		if back, err := base64.StdEncoding.DecodeString(string(out)); err != nil || !bytes.Equal(back, plain) {
			t.Fatalf("%q %v, want %q", back, err, plain)
		}
	}
}

func runs(rnd *rand.Rand, b []byte) [][]byte {
	var list [][]byte
	for len(b) > 0 {
		n := 1 + rnd.IntN(len(b))
		list = append(list, b[:n])
		b = b[n:]
	}
	return list
}

func TestWhatIsNoBase64IsRefused(t *testing.T) {
	for _, text := range []string{"!!!!", "YQ", "YQ=", "YR==", "Y=Q="} {
		_, tr := translated(t, "POST /a.B/C", "Content-Type: application/grpc-web-text")
		if out, err := tr.RequestBody(nil, []byte(text), true); err == nil {
			t.Errorf("%s: %q", text, out)
		}
	}
}

func TestAnswersThatAreNotGRPCPass(t *testing.T) {
	x, tr := translated(t, "POST /a.B/C", "Content-Type: application/grpc-web-text")
	x.Resp.Header.Add("Content-Type", []byte("application/json"))
	tr.ResponseHead(x)
	var trailer codec.Header
	if out := tr.ResponseBody(nil, []byte("{}")); string(out) != "{}" || string(x.Resp.Header.Get("Content-Type")) != "application/json" {
		t.Errorf("%q", out)
	}
	if out, rest := tr.ResponseEnd(nil, &trailer); len(out) > 0 || rest != &trailer {
		t.Errorf("%q %v", out, rest)
	}
}

func TestTheConfigurationIsEmpty(t *testing.T) {
	plugintest.CheckSchema(t, &Kind, []string{`{}`}, []string{`{"x":1}`, `[]`}, nil)
}
