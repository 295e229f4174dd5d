package event

import (
	"log/slog"
	"os"
	"sync"
	"testing"

	"sluice/internal/testnet"
)

// Post promises that each goroutine's functions run in its order, and that none is lost.
func TestFunctionsPostedByManyGoroutinesAllRunEachGoroutinesInOrder(t *testing.T) {
	const goroutines, each = 16, 2000
	r := start(t, Options{})
	var next [goroutines]int
	outOfOrder := 0
	var all sync.WaitGroup
	for g := range goroutines {
		all.Go(func() {
			for i := range each {
				r.Post(func() {
					if next[g] != i {
						outOfOrder++
					}
					next[g]++
				})
			}
		})
	}
	all.Wait()
	r.do(func() {
		if outOfOrder > 0 {
			t.Errorf("%d functions ran out of order", outOfOrder)
		}
		for g, n := range next {
			if n != each {
				t.Errorf("of goroutine %d %d functions ran, want %d", g, n, each)
			}
		}
	})
}

// A lost wake-up shows as a function that waits for the next event, of which this loop has none.
func TestAPostWakesALoopThatSleeps(t *testing.T) {
	r := start(t, Options{})
	for range 2000 {
		testnet.Await(t, "the loop to sleep", r.mail.sleeping.Load)
		r.do(func() {})
	}
}

func TestAFunctionThatPostsIsFollowedByWhatItPosted(t *testing.T) {
	r := start(t, Options{})
	done := make(chan int, 1)
	var again func(n int)
	again = func(n int) {
		if n == 1000 {
			done <- n
			return
		}
		r.Post(func() { again(n + 1) })
	}
	r.Post(func() { again(0) })
	testnet.Receive(t, "the last of them", done)
}

// Goroutines may still post while a loop ends. A wake-up then must not go to a descriptor that was closed, and is perhaps another's by now.
func TestPostingToALoopThatEndsIsSafe(t *testing.T) {
	for range 200 {
		l, err := NewLoop(Options{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		var posters sync.WaitGroup
		for range 4 {
			posters.Go(func() {
				for range 20 {
					l.Post(func() {})
				}
				l.Stop()
				l.Post(func() {})
			})
		}
		if err := l.Run(); err != nil {
			t.Fatal(err)
		}
		posters.Wait()
		if n := l.mail.wakers.Load(); n != 0 {
			t.Fatalf("%d goroutines are still held to be using the descriptor", n)
		}
	}
}

// What a loop does at its end comes after all that has begun until then, is sent, and may panic like anything else.
func TestTheEndOfALoopIsTheLastThing(t *testing.T) {
	for _, panics := range []bool{false, true} {
		p, late, atEnd := &probe{}, false, false
		counted := 0
		l, err := NewLoop(Options{Logger: slog.New(slog.DiscardHandler), NoRing: os.Getenv(plainVariable) != "", OnPanic: func() { counted++ }, AtEnd: func() {
			atEnd = late
			p.conn.Write([]byte("the end"))
			if panics {
				panic("alas")
			}
			p.conn.CloseWhenSent()
		}})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- l.Run() }()
		peer := (&running{l, t}).pair(p)
		l.Post(func() {
			l.Stop()
			l.Post(func() { late = true })
		})
		heard := hearEnd(t, peer)
		if err := testnet.Receive(t, "the loop to end", done); err != nil {
			t.Fatal(err)
		}
		if !atEnd || string(heard) != "the end" || counted != 0 != panics {
			t.Errorf("panics %v: last %v, heard %q, %d panics", panics, atEnd, heard, counted)
		}
	}
}

// The descriptor is closed only after the goroutine that has seen the loop asleep has written to it.
func TestTheMailboxIsClosedAfterItsLastWaker(t *testing.T) {
	m, err := newMailbox()
	if err != nil {
		t.Fatal(err)
	}
	m.wakers.Add(1) // a goroutine on its way to the write
	closed := make(chan struct{})
	go func() { defer close(closed); m.close() }()
	m.drain() // the descriptor is there
	select {
	case <-closed:
		t.Fatal("it was closed under a waker")
	default:
	}
	m.wakers.Add(-1)
	testnet.Receive(t, "the mailbox to close", closed)
}
