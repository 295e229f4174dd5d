package main

import (
	"cmp"
	"fmt"
)

// setup is how the gateways of a scenario are configured. Scenarios with equal setups find the same processes still running. The zero value is the
// plain job of README.md: one worker, one route, no access log.
type setup struct {
	workers   int  // event loops, or worker processes; 0 = 1
	accessLog bool // JSON lines into a file
	tls       bool // clients come over TLS
	grpc      bool // calls of gRPC are forwarded to the origin over HTTP/2
	rewrite   bool // the target loses its first segment by a regular expression
	plugins   bool // beside that, the work of plugins.go; only with rewrite
	routes    int  // routes for other paths, beside the one that is asked

	storeApart bool // Sluice's etcd is a process of its own, whose CPU and memory do not count
}

func (s setup) workerCount() int { return cmp.Or(s.workers, 1) }

// asked is the path at the gateway that leads to a path of the origin.
func (s setup) asked(path string) string {
	if s.rewrite {
		return rewritePrefix + path
	}
	return path
}

// target returns what a configuration has for the route that takes the first segment off: nothing, that alone, or with the work of five plugins.
func (s setup) target(rewrite, plugins string) string {
	switch {
	case s.plugins:
		return fillPlugins(plugins)
	case s.rewrite:
		return rewrite
	}
	return ""
}

// rewritePrefix is what is taken off by the regular expression, as the seed system's own benchmark does it.
const rewritePrefix = "/openapi"

// routePath is the pattern of one of the other routes: three segments, of which all but the last are shared by many, as in a real table.
func routePath(i int) string { return fmt.Sprintf("/tenant-%d/service-%d/v1", i%100, i) }

func (s setup) String() string {
	text := fmt.Sprintf("%d worker(s)", s.workerCount())
	if s.tls {
		text += ", TLS"
	}
	if s.grpc {
		text += ", gRPC"
	}
	if s.accessLog {
		text += ", access log"
	}
	if s.rewrite {
		text += ", rewriting"
	}
	if s.plugins {
		text += ", five plugins"
	}
	if s.storeApart {
		text += ", etcd apart"
	}
	if s.routes > 0 {
		text += ", " + thousands(float64(s.routes)) + " other routes"
	}
	return text
}
