package upstream

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// names answers lookups as a test says, and counts them.
type names struct {
	mu    sync.Mutex
	addr  netip.AddrPort
	err   error
	asked int
}

func (n *names) find(context.Context, string) (netip.AddrPort, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked++
	return n.addr, n.err
}

func (n *names) answer(addr netip.AddrPort, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.addr, n.err = addr, err
}

func (n *names) questions() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked
}

// quiet keeps warnings out of the output, and counts them.
type quiet struct {
	slog.Handler
	records *int
}

func (q quiet) Enabled(context.Context, slog.Level) bool      { return true }
func (q quiet) Handle(_ context.Context, _ slog.Record) error { *q.records++; return nil }

func silence(t *testing.T) (records *int) {
	t.Helper()
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	records = new(int)
	slog.SetDefault(slog.New(quiet{slog.DiscardHandler, records}))
	return records
}

// The time here is that of the bubble: it passes when everybody waits.
func TestTheLastGoodAnswerStaysWhileTheNameDoesNotResolve(t *testing.T) {
	warnings := silence(t)
	synctest.Test(t, func(t *testing.T) {
		first, second := netip.MustParseAddrPort("192.0.2.1:80"), netip.MustParseAddrPort("192.0.2.2:80")
		n := &names{err: errors.New("no such host")}
		var into atomic.Pointer[netip.AddrPort]
		stop := resolveInBackground("node.example:80", &into, n.find)
		defer stop()
		synctest.Wait()
		if into.Load() != nil || n.questions() != 1 {
			t.Fatalf("%v after %d questions", into.Load(), n.questions())
		}
		expect := func(after time.Duration, want netip.AddrPort, asked int) {
			t.Helper()
			<-time.After(after)
			synctest.Wait()
			if got := into.Load(); got == nil || *got != want || n.questions() != asked {
				t.Fatalf("%v after %d questions, want %v after %d", got, n.questions(), want, asked)
			}
		}
		n.answer(first, nil)
		expect(resolveRetry, first, 2)
		n.answer(first, errors.New("the server is away"))
		expect(resolveAgain, first, 3)
		expect(resolveRetry, first, 4)
		expect(resolveRetry, first, 5)
		n.answer(second, nil)
		expect(resolveRetry, second, 6)
		expect(resolveAgain-time.Nanosecond, second, 6)
	})
	if *warnings != 2 {
		t.Errorf("%d warnings, want one for each of the two times that it began to fail", *warnings)
	}
}

// A bubble does not end before its goroutines have: one that went on would be found out.
func TestResolvingStops(t *testing.T) {
	silence(t)
	synctest.Test(t, func(t *testing.T) {
		var into atomic.Pointer[netip.AddrPort]
		n := &names{addr: netip.MustParseAddrPort("192.0.2.1:80")}
		stop := resolveInBackground("node.example:80", &into, n.find)
		synctest.Wait()
		stop()
		stop()
		<-time.After(10 * resolveAgain)
		if n.questions() != 1 {
			t.Errorf("asked %d times", n.questions())
		}
	})
	synctest.Test(t, func(t *testing.T) {
		var into atomic.Pointer[netip.AddrPort]
		stop := resolveInBackground("node.example:80", &into, func(ctx context.Context, _ string) (netip.AddrPort, error) {
			<-ctx.Done()
			return netip.MustParseAddrPort("192.0.2.1:80"), nil
		})
		synctest.Wait()
		stop()
		synctest.Wait()
		if into.Load() != nil {
			t.Error("an answer was taken after the end")
		}
	})
}

func TestALiteralAddressIsResolvedAtOnceAndBadOnesAreErrors(t *testing.T) {
	s := balanced(t, 1, 1)
	if n := s.Nodes()[0]; !n.Resolved() || n.stop != nil {
		t.Errorf("resolved %v, looks it up %v", n.Resolved(), n.stop != nil)
	}
	for _, address := range []string{"no-port", "127.0.0.1:port", "127.0.0.1:65536"} {
		if addr, err := resolve(t.Context(), address); err == nil {
			t.Errorf("%s is at %v", address, addr)
		}
	}
	if addr, err := resolve(t.Context(), "127.0.0.1:80"); err != nil || addr != netip.MustParseAddrPort("127.0.0.1:80") {
		t.Errorf("%v, %v", addr, err)
	}
}
