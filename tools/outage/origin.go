package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// An origin is this program once more, in a process of its own that can be killed and stopped.

// countSize is the size of the file in which an origin counts, so that what it has counted outlives it.
const countSize = 8

// serveOrigin answers requests at address until the process is told to end, and counts them in a file. SIGUSR1 has it break off every connection that a request comes on, SIGUSR2 answer
// again.
func serveOrigin(address, name, counts string) error {
	count, err := openCount(counts)
	if err != nil {
		return err
	}
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGUSR1, syscall.SIGUSR2)
	var breaks atomic.Bool
	go func() {
		for s := range broken {
			breaks.Store(s == syscall.SIGUSR1)
		}
	}()
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	return http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		probe := r.URL.Path == "/healthz"
		if !probe {
			count.Add(1)
		}
		if breaks.Load() {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("X-Origin", name)
		_, _ = io.WriteString(w, "ok\n") // a client that has gone needs no answer
	}))
}

// openCount maps the file of a count.
func openCount(path string) (*atomic.Uint64, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := syscall.Mmap(int(f.Fd()), 0, countSize, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", path, err)
	}
	return (*atomic.Uint64)(unsafe.Pointer(&b[0])), nil // a mapping begins at a page
}
