// Command fill writes new resources to the etcd that a gateway follows, one a line of its standard input: the key below the prefix, a space, and the value.
// It is the way for very many of them, since the admin API takes them one by one, or some thousands at once. Nothing is checked: the gateway that follows does that.
//
//	go run ./tools/fill -etcd unix://$PWD/sluice-data/etcd/etcd.sock <<< 'routes/demo {"prefix":"/demo/*","service_name":"demo"}'
package main

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"iter"
	"os"
	"os/signal"
	"syscall"

	"sluice/control"
	"sluice/control/etcd"
	"sluice/tools/bulk"
)

func main() {
	endpoint := flag.String("etcd", "", "endpoint of etcd")
	prefix := flag.String("prefix", "/sluice/", "of the keys in etcd")
	flag.Parse()
	if *endpoint == "" || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "fill: bad usage: -etcd is needed, and see -h")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *endpoint, *prefix, os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "fill:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, endpoint, prefix string, in io.Reader) error {
	client, err := etcd.NewClient(etcd.Config{Endpoints: []string{endpoint}, Prefix: prefix})
	if err != nil {
		return err
	}
	defer client.Close()
	var bad error
	err = bulk.Write(ctx, etcd.NewStore(client), read(in, &bad))
	if bad != nil {
		return bad
	}
	return err
}

// maxLine is longer than the longest value that any etcd takes.
const maxLine = 2 << 20

// read returns the entries of lines up to the first that is none; bad then says why.
func read(in io.Reader, bad *error) iter.Seq[control.Entry] {
	return func(yield func(control.Entry) bool) {
		lines := bufio.NewScanner(in)
		lines.Buffer(nil, maxLine)
		for n := 1; lines.Scan(); n++ {
			key, value, ok := bytes.Cut(lines.Bytes(), []byte(" "))
			if _, _, known := control.SplitKey(string(key)); !ok || !known {
				*bad = fmt.Errorf("line %d does not begin with the key of a resource and a space", n)
				return
			}
			if !yield(control.Entry{Key: string(key), Value: bytes.Clone(value)}) {
				return
			}
		}
		*bad = lines.Err()
	}
}
