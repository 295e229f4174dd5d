package etcd

import (
	"sync"
	"testing"
	"time"

	"sluice/control"
	"sluice/internal/testnet"
)

// recorder is a sink that keeps everything.
type recorder struct {
	onApply func(control.Batch) // called first, on the goroutine of Run

	mu      sync.Mutex // guards the rest
	batches []control.Batch
	values  map[string]string
	changed chan struct{} // closed and made anew by each batch
}

func newRecorder() *recorder {
	return &recorder{values: make(map[string]string), changed: make(chan struct{})}
}

func (r *recorder) Apply(b control.Batch) {
	if r.onApply != nil {
		r.onApply(b)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.batches = append(r.batches, b)
	if b.Full {
		clear(r.values)
	}
	for _, c := range b.Changes {
		if c.Deleted {
			delete(r.values, c.Key)
		} else {
			r.values[c.Key] = string(c.Value)
		}
	}
	close(r.changed)
	r.changed = make(chan struct{})
}

// count returns how many batches there were.
func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.batches)
}

// last returns the last batch.
func (r *recorder) last() control.Batch {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.batches[len(r.batches)-1]
}

// await waits until a key has a value; "" = is gone.
func (r *recorder) await(t *testing.T, key, value string) {
	t.Helper()
	deadline := time.After(testnet.Patience)
	for {
		r.mu.Lock()
		now, changed := r.values[key], r.changed
		r.mu.Unlock()
		if now == value {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("%s is %q, want %q", key, now, value)
		}
	}
}
