package micro

import (
	"bufio"
	"bytes"
	"net/http"
	"testing"

	"github.com/valyala/fasthttp"
)

// The requests are those of codec/h1's benchmarks, to the byte.
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

func benchmarkNetHTTP(b *testing.B, in string) {
	source := bytes.NewReader(nil)
	reader := bufio.NewReaderSize(source, 4096)
	data := []byte(in)
	b.ReportAllocs()
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		source.Reset(data)
		reader.Reset(source)
		if _, err := http.ReadRequest(reader); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseRequestBrowserNetHTTP(b *testing.B) { benchmarkNetHTTP(b, browserGET) }
func BenchmarkParseRequestSmallNetHTTP(b *testing.B)   { benchmarkNetHTTP(b, wrkGET) }

func benchmarkFasthttp(b *testing.B, in string) {
	source := bytes.NewReader(nil)
	reader := bufio.NewReaderSize(source, 4096)
	data := []byte(in)
	var req fasthttp.Request
	b.ReportAllocs()
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		source.Reset(data)
		reader.Reset(source)
		if err := req.Header.Read(reader); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseRequestBrowserFasthttp(b *testing.B) { benchmarkFasthttp(b, browserGET) }
func BenchmarkParseRequestSmallFasthttp(b *testing.B)   { benchmarkFasthttp(b, wrkGET) }
