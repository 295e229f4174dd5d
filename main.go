// Command sluice is an L7 gateway and edge proxy: routes, services and nodes come live from etcd, and event loops on raw epoll carry the
// traffic. See README.md, or run "sluice demo".
package main

import (
	"context"
	"os"

	"sluice/tools/cli"
)

func main() {
	os.Exit(cli.Main(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}
