package origin

import (
	"fmt"
	"net/http"
	"path"
	"strconv"
	"time"

	"sluice/internal/unit"
)

// Bounds of what a query may ask for: enough for any test, and no request can keep the server busy for ever.
const (
	maxDelay = time.Minute
	maxLines = 100_000
	maxSize  = unit.Size(16 << 30)
)

// ServeHTTP answers one request; the package's doc says what with.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.handlers.RLock()
	defer s.handlers.RUnlock()
	w.Header().Set("X-Origin", s.name)
	switch path.Base(r.URL.Path) {
	case "slow":
		s.slow(w, r)
	case "stream":
		s.stream(w, r)
	case "big":
		s.big(w, r)
	case "status":
		s.status(w, r)
	case "healthz":
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("ok\n")) // a client that has gone needs no answer
	default:
		s.echo(w, r, http.StatusOK)
	}
}

func (s *Server) slow(w http.ResponseWriter, r *http.Request) {
	delay, err := queryDuration(r, "delay", 2*time.Second)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if wait(r, delay) {
		s.echo(w, r, http.StatusOK)
	}
}

func (s *Server) stream(w http.ResponseWriter, r *http.Request) {
	n, err := queryInt(r, "n", 10, 0, maxLines)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	interval, err := queryDuration(r, "interval", 200*time.Millisecond)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	out := http.NewResponseController(w)
	for i := range n {
		if i > 0 && !wait(r, interval) {
			return
		}
		if _, err := fmt.Fprintf(w, "line %d of %d from %s\n", i+1, n, s.name); err != nil {
			return
		}
		if err := out.Flush(); err != nil {
			return
		}
	}
}

func (s *Server) big(w http.ResponseWriter, r *http.Request) {
	size := unit.Size(1 << 20)
	if text := r.URL.Query().Get("size"); text != "" {
		if err := size.UnmarshalText([]byte(text)); err != nil || size > maxSize {
			http.Error(w, fmt.Sprintf("size=%q: write 0 to %s, such as 64KiB", text, maxSize), http.StatusBadRequest)
			return
		}
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(int64(size), 10))
	if r.Method == http.MethodHead {
		return
	}
	for left := int64(size); left > 0; {
		n, err := w.Write(block[:min(left, int64(len(block)))])
		if err != nil {
			return
		}
		left -= int64(n)
	}
}

// block is what a big body repeats: the 64 bytes of an alphabet, so that a lost or doubled byte shifts all that follows.
var block = func() []byte {
	const alphabet = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-\n"
	b := make([]byte, 64<<10)
	for i := range b {
		b[i] = alphabet[i%len(alphabet)]
	}
	return b
}()

func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	code, err := queryInt(r, "code", http.StatusOK, 200, 599)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.echo(w, r, code)
}

// wait returns true after d, and false at once when the client has gone or the server closes.
func wait(r *http.Request, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

func queryInt(r *http.Request, name string, def, low, high int) (int, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return def, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high {
		return 0, fmt.Errorf("%s=%q: write a whole number from %d to %d", name, text, low, high)
	}
	return n, nil
}

func queryDuration(r *http.Request, name string, def time.Duration) (time.Duration, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return def, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > maxDelay {
		return 0, fmt.Errorf("%s=%q: write a duration up to %s, such as 250ms", name, text, maxDelay)
	}
	return d, nil
}
