// Command serve runs one sample origin until it is told to stop, and prints its address first:
//
//	go run ./tools/origin/serve -listen 127.0.0.1:0 -name a
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"sluice/tools/origin"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on; port 0 is any free one")
	name := flag.String("name", "origin", "name that the answers carry")
	flag.Parse()
	if err := serve(*name, *listen); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(name, listen string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	s, err := origin.Listen(name, listen)
	if err != nil {
		return err
	}
	fmt.Println(s.Addr())
	<-ctx.Done()
	return s.Close()
}
