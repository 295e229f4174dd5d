package admin

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"sluice/internal/testnet"
)

func get(t *testing.T, client *http.Client, s *Server, path, token string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+s.Addr().String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body) // or the connection would not be used again
	resp.Body.Close()
	return resp
}

// One server goes on where the other has been; whoever was connected to the first is told to come again.
func TestASocketGoesFromOneServerToTheNext(t *testing.T) {
	old := New(testDeps(newMemory()))
	if err := old.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	fd, err := old.Socket()
	if err != nil {
		t.Fatal(err)
	}
	keeping := &http.Client{Transport: new(http.Transport)}
	defer keeping.CloseIdleConnections()
	if resp := get(t, keeping, old, "/healthz", ""); resp.Close {
		t.Error("the connection is closed before there is a reason")
	}
	old.Retire()
	next := New(testDeps(newMemory()))
	if err := next.StartOn(fd); err != nil {
		t.Fatal(err)
	}
	if next.Addr().String() != old.Addr().String() {
		t.Errorf("at %v, want %v", next.Addr(), old.Addr())
	}
	if resp := get(t, keeping, old, "/healthz", ""); !resp.Close || resp.StatusCode != 200 {
		t.Errorf("an open connection got %d and goes on", resp.StatusCode)
	}
	if err := old.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if resp := get(t, keeping, next, "/healthz", ""); resp.Close || resp.StatusCode != 200 {
		t.Errorf("the next one answers %d, and closes the connection: %v", resp.StatusCode, resp.Close)
	}
	if err := next.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// net/http itself throws away a request that it reads after Shutdown was called.
func TestAConnectionThatWasAcceptedBeforeTheServerRetiredGetsItsAnswer(t *testing.T) {
	s := New(testDeps(newMemory()))
	if err := s.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	accepted := func() bool {
		s.conns.mu.Lock()
		defer s.conns.mu.Unlock()
		return len(s.conns.busy) == 1
	}
	testnet.Await(t, "the connection to be accepted", accepted)
	s.Retire()
	ended := make(chan error, 1)
	go func() { ended <- s.Shutdown(context.Background()) }()
	testnet.Await(t, "the shutdown to wait", func() bool {
		s.conns.mu.Lock()
		defer s.conns.mu.Unlock()
		return s.conns.idle != nil
	})
	_, _ = io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200") || !strings.Contains(string(answer), "Connection: close\r\n") {
		t.Errorf("%q, %v", answer, err)
	}
	if err := testnet.Receive(t, "the shutdown", ended); err != nil {
		t.Error(err)
	}
}

// Whoever connects and says nothing must not hold up the end.
func TestARetiredServerDoesNotWaitLongForASilentConnection(t *testing.T) {
	s := New(testDeps(newMemory()))
	if err := s.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	testnet.Await(t, "the connection to be accepted", func() bool {
		s.conns.mu.Lock()
		defer s.conns.mu.Unlock()
		return len(s.conns.busy) == 1
	})
	s.Retire()
	ctx, cancel := context.WithTimeout(context.Background(), 2*greetTime)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) { // it was cut off
		t.Errorf("got %v", err)
	}
	conn.Close()
}

func TestADescriptorThatIsNoSocketIsRefused(t *testing.T) {
	if err := New(testDeps(newMemory())).StartOn(1 << 20); err == nil || !strings.HasPrefix(err.Error(), "admin: ") {
		t.Errorf("got %v", err)
	}
}

func TestATokenChangesForTheNextRequest(t *testing.T) {
	s := New(testDeps(newMemory()))
	if err := s.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: new(http.Transport)}
	defer client.CloseIdleConnections()
	s.SetToken("another one, just as long")
	for token, want := range map[string]int{testToken: 401, "another one, just as long": 200, "": 401} {
		if resp := get(t, client, s, "/v1/routes", token); resp.StatusCode != want {
			t.Errorf("%q: %d, want %d", token, resp.StatusCode, want)
		}
	}
	s.SetToken("")
	if resp := get(t, client, s, "/v1/routes", ""); resp.StatusCode != 401 {
		t.Errorf("an empty token: %d", resp.StatusCode)
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
}
