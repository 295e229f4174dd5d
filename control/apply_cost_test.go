package control

import (
	"fmt"
	"runtime"
	"testing"
)

// The cost of one change must not grow with the number of routes.
func BenchmarkOneRouteChange(b *testing.B) {
	for _, routes := range []int{10, 1000, 100000} {
		b.Run(fmt.Sprint(routes), func(b *testing.B) {
			e := newBench(b)
			var changes []Change
			for i := range routes {
				changes = append(changes, put(fmt.Sprintf("routes/r%d", i), route(fmt.Sprintf("/svc%d/v1/*", i), fmt.Sprintf("s%d", i%100))))
			}
			e.resync(changes...)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				e.revision++
				e.Apply(Batch{Revision: e.revision, Changes: []Change{{Entry: Entry{
					Key: fmt.Sprintf("routes/r%d", i%routes), Value: []byte(route(fmt.Sprintf("/svc%d/v%d/*", i%routes, i), "s1")), ModRevision: e.revision}}}})
			}
		})
	}
}

// DESIGN: a route costs less than 2 KiB of memory, all that is kept of it together.
func TestARouteCostsLessThanTwoKiB(t *testing.T) {
	const routes = 20000
	b := newBench(t)
	b.resync()
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	var changes []Change
	for i := range routes {
		value := fmt.Sprintf(`{"prefix":"/openapi/service-%d/v1/*","service_name":"service-%d","methods":["GET","POST"],"plugins":{"request-id":{}}}`, i, i%100)
		changes = append(changes, put(fmt.Sprintf("routes/%s", RouteID(fmt.Sprint(i))), value))
	}
	b.resync(changes...)
	clear(changes)
	if each := (heap() - before) / routes; each > 2048 {
		t.Errorf("%d bytes for each route", each)
	} else {
		t.Logf("%d bytes for each route", each)
	}
	runtime.KeepAlive(b)
}

// A node of a large service comes, goes or changes its weight all the time: the goroutine of the watch has other changes to bring meanwhile.
func BenchmarkOneNodeChange(b *testing.B) {
	for _, nodes := range []int{10, 3000} {
		b.Run(fmt.Sprint(nodes), func(b *testing.B) {
			e := newBench(b)
			changes := []Change{put("routes/a", route("/a", "s"))}
			for i := range nodes {
				changes = append(changes, put(fmt.Sprintf("discovery/s.%d", i), fmt.Sprintf(`{"service_name":"s","upstream":"10.0.%d.%d:80"}`, i/250, i%250)))
			}
			e.resync(changes...)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				e.revision++
				e.Apply(Batch{Revision: e.revision, Changes: []Change{{Entry: Entry{
					Key: "discovery/s.7", Value: fmt.Appendf(nil, `{"service_name":"s","upstream":"10.0.0.7:80","weight":%d}`, 1+i%2), ModRevision: e.revision}}}})
			}
		})
	}
}
