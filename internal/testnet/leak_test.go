package testnet

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) { Main(m) }

func TestADescriptorThatStaysOpenIsALeak(t *testing.T) {
	before := here()
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := before.leftBehind(10 * time.Millisecond); err == nil || !strings.Contains(err.Error(), os.DevNull) {
		t.Errorf("%v, want a word of %s", err, os.DevNull)
	}
}

func TestADescriptorThatIsClosedLateIsNoLeak(t *testing.T) {
	before := here()
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	looked := make(chan struct{})
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		<-looked
		f.Close()
	}()
	looks := 0
	Await(t, "the descriptor to be gone", func() bool {
		if looks++; looks == 2 {
			close(looked)
		}
		return len(openFiles()) == len(before.files)
	})
	Receive(t, "the closer", closed)
	if err := before.leftBehind(Patience); err != nil {
		t.Error(err)
	}
}

func TestAGoroutineThatStaysIsALeak(t *testing.T) {
	before := here()
	stop := make(chan struct{})
	go func() { <-stop }()
	if err := before.leftBehind(0); err == nil || !strings.Contains(err.Error(), "goroutine") {
		t.Errorf("%v, want a word of the goroutine", err)
	}
	close(stop)
}
