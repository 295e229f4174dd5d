package micro

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/julienschmidt/httprouter"
)

// sizes of tables; a million takes net/http's ServeMux minutes to make.
var sizes = []int{10, 1_000, 100_000}

// paths are those that router's BenchmarkMatchPath asks for: 1,024 that go to different parts of a table of n.
func paths(n int) []string {
	list := make([]string, 1024)
	for i := range list {
		list[i] = fmt.Sprintf("/r/%07d", i*7919%n)
	}
	return list
}

func BenchmarkMatchPathServeMux(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			mux := http.NewServeMux()
			for i := range n {
				mux.Handle(fmt.Sprintf("GET /r/%07d", i), http.NotFoundHandler())
			}
			var requests []*http.Request
			for _, p := range paths(n) {
				requests = append(requests, &http.Request{Method: http.MethodGet, Host: "www.example.com", URL: &url.URL{Path: p}})
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if _, pattern := mux.Handler(requests[i]); pattern == "" {
					b.Fatal(requests[i].URL.Path)
				}
				i = (i + 1) % len(requests)
			}
		})
	}
}

func BenchmarkMatchPathHTTPRouter(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			router := httprouter.New()
			for i := range n {
				router.GET(fmt.Sprintf("/r/%07d", i), func(http.ResponseWriter, *http.Request, httprouter.Params) {})
			}
			asked := paths(n)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if h, _, _ := router.Lookup(http.MethodGet, asked[i]); h == nil {
					b.Fatal(asked[i])
				}
				i = (i + 1) % len(asked)
			}
		})
	}
}
