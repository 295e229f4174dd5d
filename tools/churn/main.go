// Command churn changes routes, or routes and nodes, of a running gateway at a fixed rate for as long as its standard input is open, and then prints how many of the changes
// were acknowledged, as one line of JSON. It stands for operators, at the admin API, or for a fleet of services, which write to etcd:
//
//	go run ./tools/churn -admin http://127.0.0.1:9180 -token "$(cat sluice-data/admin-token)" -rate 100
//	go run ./tools/churn -etcd unix://$PWD/sluice-data/etcd/etcd.sock -rate 1000 -node 127.0.0.1:8080
//
// It is a process of its own, so that a generator of load beside it keeps its processors' time, and bench/run gives it a lower precedence: what it stands for is on
// other machines.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"sluice/control"
)

// options is the command line.
type options struct {
	admin, token string
	etcd, prefix string
	rate         int
	routes       int // that there are: other-0, other-1…
	service      string
	node         string // address of the nodes that are changed too; "" = routes alone
	writers      int
	run          int64 // differs from that of every run before
}

// services is how many services the nodes belong to, one each.
const services = 200

// target takes one change.
type target interface {
	put(ctx context.Context, key string, value []byte) error
}

// Report is what is printed at the end.
type Report struct {
	Changes int64   `json:"changes"` // that were acknowledged
	Seconds float64 `json:"seconds"`
	Error   string  `json:"error,omitempty"` // the first that was not
}

func main() {
	var o options
	flag.StringVar(&o.admin, "admin", "", "address of the admin API, as http://127.0.0.1:9180")
	flag.StringVar(&o.token, "token", "", "its token")
	flag.StringVar(&o.etcd, "etcd", "", "endpoint of etcd, in place of the admin API")
	flag.StringVar(&o.prefix, "prefix", "/sluice/", "of the keys in etcd")
	flag.IntVar(&o.rate, "rate", 100, "changes a second")
	flag.IntVar(&o.routes, "routes", 2000, "how many routes are changed, one after the other; they are named other-0 and so on")
	flag.StringVar(&o.service, "service", "bench", "that the routes lead to where no nodes are changed")
	flag.StringVar(&o.node, "node", "", "every second change is of a node at this address, in one of 200 services; etcd only")
	flag.IntVar(&o.writers, "writers", 64, "changes under way at once, at most")
	flag.Parse()
	o.run = time.Now().UnixNano()
	to, stop, err := o.target()
	if err != nil {
		fmt.Fprintln(os.Stderr, "churn:", err)
		os.Exit(2)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	report := run(ctx, &o, to)
	stop()
	if err := json.NewEncoder(os.Stdout).Encode(report); err != nil || report.Error != "" {
		os.Exit(1)
	}
}

func (o *options) target() (target, func(), error) {
	switch {
	case flag.NArg() > 0, (o.admin == "") == (o.etcd == ""), o.rate < 1, o.routes < 1, o.writers < 1, o.node != "" && o.etcd == "":
		return nil, nil, errors.New("bad usage: one of -admin and -etcd, and see -h")
	case o.admin != "":
		return newAPI(o.admin, o.token, o.writers), func() {}, nil
	}
	return newStore(o.etcd, o.prefix)
}

// run makes changes until ctx ends. What a writer is late with it makes at once; the first failure ends all.
func run(ctx context.Context, o *options, to target) Report {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	begin := time.Now()
	var done atomic.Int64
	var writing sync.WaitGroup
	for w := range o.writers {
		writing.Go(func() {
			for n := w; pause(ctx, begin.Add(time.Duration(n)*time.Second/time.Duration(o.rate))); n += o.writers {
				key, value := o.change(n)
				err := to.put(ctx, key, value)
				if ctx.Err() != nil {
					return // it was cut short
				}
				if err != nil {
					cancel(err)
					return
				}
				done.Add(1)
			}
		})
	}
	writing.Wait()
	report := Report{Changes: done.Load(), Seconds: time.Since(begin).Seconds()}
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		report.Error = err.Error()
	}
	return report
}

// pause waits until a moment and reports whether ctx is still alive then.
func pause(ctx context.Context, until time.Time) bool {
	wait := time.NewTimer(time.Until(until))
	defer wait.Stop()
	select {
	case <-wait.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// change returns the n-th change: a route whose path is another each time, and another than those of earlier runs, whose routes may still be there; or, where nodes are changed, in turns with it a
// node of which the same holds.
func (o *options) change(n int) (key string, value []byte) {
	service := o.service
	if o.node != "" {
		i := n / 2 % services
		service = fmt.Sprintf("fleet-%d", i)
		if n%2 == 1 {
			key = control.Nodes.Key(fmt.Sprintf("%s.%d", service, i))
			return key, fmt.Appendf(nil, `{"service_name":"%s","upstream":"%s","weight":%d,"metadata":{"run":"%x"}}`, service, o.node, 1+n/2/services%100, o.run)
		}
		n /= 2
	}
	i := n % o.routes
	value = fmt.Appendf(nil, `{"id":"other-%d","prefix":"/tenant-%d/service-%d/v1/run-%x/round-%d/*","service_name":"%s","plugins":{"request-id":{}}}`,
		i, i%100, i, o.run, n/o.routes, service)
	return control.Routes.Key(fmt.Sprintf("other-%d", i)), value
}
