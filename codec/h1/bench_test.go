package h1

import (
	"testing"

	"sluice/codec"
)

const browserGET = "GET /assets/app/main.7f3c1d2e.js?v=20240611 HTTP/1.1\r\n" +
	"Host: www.example.com\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n" +
	"Accept-Language: en-US,en;q=0.9,de;q=0.8\r\n" +
	"Accept-Encoding: gzip, deflate, br, zstd\r\n" +
	"Referer: https://www.example.com/products/list?page=2\r\n" +
	"Cookie: session=0c9f2b1e6f4a4f7f9c0d; theme=dark; _ga=GA1.2.1112223334.1718000000\r\n" +
	"Connection: keep-alive\r\n\r\n"

const wrkGET = "GET /bench HTTP/1.1\r\nHost: 127.0.0.1:10000\r\n\r\n"

const nodeResponse = "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Tue, 11 Jun 2024 10:00:00 GMT\r\n" +
	"Content-Type: application/json\r\nContent-Length: 128\r\nConnection: keep-alive\r\n\r\n"

func benchmarkRequest(b *testing.B, in string) {
	buf, lim := []byte(in), codec.DefaultLimits()
	var req codec.Request
	b.ReportAllocs()
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		req.Reset(buf)
		if n, err := ParseRequest(buf, &req, &lim); n != len(buf) || err != nil {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkParseRequestBrowser(b *testing.B) { benchmarkRequest(b, browserGET) }
func BenchmarkParseRequestSmall(b *testing.B)   { benchmarkRequest(b, wrkGET) }

func BenchmarkParseResponse(b *testing.B) {
	buf, lim := []byte(nodeResponse), codec.DefaultLimits()
	var resp codec.Response
	b.ReportAllocs()
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		resp.Reset(buf)
		if n, err := ParseResponse(buf, &resp, codec.MethodGet, &lim); n != len(buf) || err != nil {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkAppendRequestHead(b *testing.B) {
	buf, lim := []byte(browserGET), codec.DefaultLimits()
	var req codec.Request
	req.Reset(buf)
	if _, err := ParseRequest(buf, &req, &lim); err != nil {
		b.Fatal(err)
	}
	req.Header.StripHopByHop()
	req.Header.Add("X-Forwarded-For", []byte("192.0.2.1"))
	dst := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendRequestHead(dst[:0], &req, "node")
	}
}

func BenchmarkAppendResponseHead(b *testing.B) {
	buf, lim := []byte(nodeResponse), codec.DefaultLimits()
	var resp codec.Response
	resp.Reset(buf)
	if _, err := ParseResponse(buf, &resp, codec.MethodGet, &lim); err != nil {
		b.Fatal(err)
	}
	resp.Header.StripHopByHop()
	dst := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendResponseHead(dst[:0], &resp, ResponseOptions{Version: codec.HTTP11, KeepAlive: true, Framing: resp.Framing})
	}
}

func BenchmarkChunkedBody(b *testing.B) {
	var body []byte
	data := make([]byte, 4096)
	for range 16 {
		body = append(AppendChunkEnd(append(AppendChunkHeader(body, len(data)), data...)), ""...)
	}
	body = AppendLastChunk(body, nil)
	lim := codec.DefaultLimits()
	var d BodyDecoder
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		d.Reset(codec.Framing{Kind: codec.BodyStream}, &lim)
		for rest := body; !d.Done(); {
			_, n, err := d.Next(rest)
			if n == 0 || err != nil {
				b.Fatal(n, err)
			}
			rest = rest[n:]
		}
	}
}
