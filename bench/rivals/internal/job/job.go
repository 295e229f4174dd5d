// Package job is what the rivals that are built here have in common: their flags, and the id that a request gets.
package job

import (
	"crypto/rand"
	"encoding/hex"
	"flag"
	"fmt"
	mrand "math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
)

// Options are the flags.
type Options struct {
	Listen  string // host:port
	Origin  string // host:port
	Workers int    // processors
	Idle    int    // connections to the origin that are kept
}

// Parse reads the flags of a program around the module named, and sets GOMAXPROCS. With -version it prints the module's version and exits.
func Parse(module string) Options {
	var o Options
	flag.StringVar(&o.Listen, "listen", "127.0.0.1:0", "address to listen on")
	flag.StringVar(&o.Origin, "origin", "", "host:port of the origin")
	flag.IntVar(&o.Workers, "workers", 1, "processors to use")
	flag.IntVar(&o.Idle, "idle", 64, "connections to the origin that are kept")
	version := flag.Bool("version", false, "print the version and exit")
	flag.Parse()
	if *version {
		fmt.Println(module, versionOf(module), runtime.Version())
		os.Exit(0)
	}
	runtime.GOMAXPROCS(o.Workers)
	return o
}

func versionOf(module string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, d := range info.Deps {
		if d.Path == module {
			return d.Version
		}
	}
	return "of the standard library"
}

// NewID returns 128 random bits in hex, as Sluice and nginx make them.
func NewID(source *mrand.ChaCha8) string {
	var bits [16]byte
	_, _ = source.Read(bits[:]) // never fails
	return hex.EncodeToString(bits[:])
}

// NewSource returns a source for NewID; it is for one goroutine.
func NewSource() *mrand.ChaCha8 {
	var seed [32]byte
	_, _ = rand.Read(seed[:]) // never fails
	return mrand.NewChaCha8(seed)
}

// IP returns the address without its port.
func IP(remote string) string {
	host, _, _ := strings.Cut(remote, ":") // IPv4 only: the harness listens on 127.0.0.1
	return host
}

// Must ends the program with an error.
func Must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
