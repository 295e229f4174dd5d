package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"sluice/internal/testnet"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestMain also is the processes that the test starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-from" {
		main()
		return
	}
	os.Exit(m.Run())
}

// listening counts the connections that are open, by the address of the other end.
type listening struct {
	open atomic.Int64
	from [256]atomic.Int64 // by the last part of the address
}

func (l *listening) state(c net.Conn, state http.ConnState) {
	from := &l.from[c.RemoteAddr().(*net.TCPAddr).IP.To4()[3]]
	switch state {
	case http.StateNew:
		l.open.Add(1)
		from.Add(1)
	case http.StateClosed:
		l.open.Add(-1)
		from.Add(-1)
	}
}

// Connections are spread over processes with addresses of their own, and are as many as the last line has said; those that are there are told from those that answer.
func TestItHoldsWhatItIsToldToHold(t *testing.T) {
	for _, secure := range []bool{false, true} {
		var l listening
		var wrong atomic.Bool
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Id", r.Header.Get("X-Id"))
			if wrong.Load() {
				w.Header().Set("X-Id", "another")
			}
			_, _ = io.WriteString(w, "rest\r\n")
		}))
		server.Config.ConnState = l.state
		if secure {
			server.StartTLS()
		} else {
			server.Start()
		}
		h := newHands([]string{"-body", "rest\r\n", "-echo", "X-Id", server.URL + "/"})
		h.perHand = 3
		tell := func(line string) string {
			var out strings.Builder
			serve(h, strings.NewReader(line+"\n"), &out)
			return strings.TrimSuffix(out.String(), "\n")
		}
		for _, step := range []struct {
			line, answer string
			from         []int64 // 127.0.0.2, 3 and 4
		}{
			{"7", "7", []int64{3, 3, 1}}, {"ask", "7", []int64{3, 3, 1}}, {"4", "4", []int64{3, 1, 0}}, {"8", "8", []int64{3, 3, 2}}, {"0", "0", []int64{0, 0, 0}}, {"2", "2", []int64{2, 0, 0}},
		} {
			if got := tell(step.line); got != step.answer {
				t.Errorf("TLS %v: %q is answered with %q, want %q", secure, step.line, got, step.answer)
			}
			now := func() []int64 { return []int64{l.from[2].Load(), l.from[3].Load(), l.from[4].Load()} }
			testnet.Await(t, fmt.Sprintf("TLS %v: %d connections after %q", secure, step.from, step.line), func() bool { return slices.Equal(now(), step.from) })
		}
		wrong.Store(true)
		for _, line := range []string{"ask", "5", "tea", "-1"} {
			if got := tell(line); !strings.Contains(got, " ") {
				t.Errorf("TLS %v: %q is answered with %q, and no reason", secure, line, got)
			}
		}
		h.close()
		server.Close()
		if n := l.open.Load(); n != 0 {
			t.Errorf("TLS %v: %d connections are left", secure, n)
		}
	}
}

// A gateway that takes connections and says nothing is not waited for by each of thousands in turn.
func TestAGatewayThatDoesNotAnswerIsGivenUp(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	opt, err := parse([]string{"-from", "127.0.0.2", "http://" + ln.Addr().String() + "/"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	h := newHand(opt)
	h.patience = 100 * time.Millisecond
	var tried atomic.Int64
	h.dialer.Control = func(string, string, syscall.RawConn) error {
		tried.Add(1)
		return nil
	}
	if n, err := h.hold(10 * openers); n != 0 || err == nil || tried.Load() > openers {
		t.Errorf("%d are held, %v, %d were tried", n, err, tried.Load())
	}
}

func TestWrongArgumentsOfHoldAreRefused(t *testing.T) {
	for _, args := range []string{"", "127.0.0.1:80", "http://127.0.0.1/", "ftp://127.0.0.1:80/", "-from tea http://127.0.0.1:80/", "-nothing http://127.0.0.1:80/", "http://127.0.0.1:80/ more"} {
		if opt, err := parse(strings.Fields(args), io.Discard); err == nil {
			t.Errorf("%q is %s", args, fmt.Sprint(opt))
		}
	}
}
