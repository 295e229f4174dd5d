package cli

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/internal/testnet"
)

// slowOrigin answers a request below /x/slow once it is told to.
func slowOrigin(t *testing.T) (address string, asked <-chan struct{}, release func()) {
	t.Helper()
	arrived, answer := make(chan struct{}, 1), make(chan struct{})
	o := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/x/slow") {
			arrived <- struct{}{}
			select {
			case <-answer:
			case <-r.Context().Done():
			}
		}
		_, _ = io.WriteString(w, "ok")
	}))
	t.Cleanup(func() {
		o.CloseClientConnections()
		o.Close()
	})
	return o.Listener.Addr().String(), arrived, func() { close(answer) }
}

// begin sends a request that its origin has and does not answer.
func begin(t *testing.T, p *program, asked <-chan struct{}) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, r := p.connect()
	if _, err := io.WriteString(conn, "GET /x/slow HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	testnet.Receive(t, "the request at its origin", asked)
	return conn, r
}

// refuses reports whether nobody listens any more.
func (p *program) refuses() bool {
	c, err := net.Dial("tcp", p.address)
	if err == nil {
		c.Close()
	}
	return err != nil
}

func TestSIGTERMAnswersWhatIsInFlightAndEndsWithZero(t *testing.T) {
	address, asked, release := slowOrigin(t)
	p := run(t, baseConfig)
	p.route(address)
	conn, r := begin(t, p, asked)
	p.signal(syscall.SIGTERM)
	p.await("the listener to be closed", p.refuses)
	if status, body, err := call(p.admin, "", "GET", "/readyz", ""); status != 503 { // a load balancer must hear of it
		t.Errorf("ready: %d %s %v", status, body, err)
	}
	p.signal(syscall.SIGHUP) // neither of these means haste
	p.signal(syscall.SIGUSR2)
	release()
	_ = conn.SetReadDeadline(time.Now().Add(testnet.Patience))
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "ok" || !resp.Close {
		t.Errorf("%q, %v, close %v", body, err, resp.Close)
	}
	conn.Close()
	p.exited(p.pid(), 0)
}

func TestASecondSIGTERMStopsAtOnce(t *testing.T) {
	address, asked, _ := slowOrigin(t)
	p := run(t, baseConfig+"timeouts: {drain: 10m, response_header: 10m}\n")
	p.route(address)
	conn, r := begin(t, p, asked)
	p.signal(syscall.SIGTERM)
	p.await("the listener to be closed", p.refuses)
	p.signal(syscall.SIGTERM)
	_ = conn.SetReadDeadline(time.Now().Add(testnet.Patience))
	if _, err := r.ReadByte(); err == nil {
		t.Error("there is an answer")
	}
	p.exited(p.pid(), 0)
}

func TestADrainEndsWithItsTime(t *testing.T) {
	address, asked, _ := slowOrigin(t)
	p := run(t, baseConfig+"timeouts: {drain: 50ms}\n")
	p.route(address)
	begin(t, p, asked)
	p.signal(syscall.SIGTERM)
	p.exited(p.pid(), 0)
	if !strings.Contains(p.log(), "time is up with 1 connections open") {
		t.Error("it does not say whom it has cut off")
	}
}

// A process that has been replaced has no more time than one that is stopped.
func TestAProcessThatHasBeenReplacedEndsWithTheTimeOfItsDrain(t *testing.T) {
	p := run(t, baseConfig+"timeouts: {drain: 200ms}\n")
	p.route(startOrigin(t, "a").Addr())
	conn, r := p.connect()
	ask(t, conn, r, "/x/1")
	old := p.pid()
	p.upgrade()
	p.exited(old, 0)
	if _, err := r.ReadByte(); err != io.EOF {
		t.Errorf("the idle connection: %v", err)
	}
	if status := p.get("/x/1"); status != 200 {
		t.Errorf("the new process answers %d", status)
	}
}
