package observe

import "sync/atomic"

// blockSlots makes a block two cache lines: 15 pointers and the link.
const blockSlots = 15

// perWorker holds one T for every worker that has asked for it, and nothing but a pointer before the first did. The T of a worker is found
// without a lock and is its own; [perWorker.each] reads all of them.
type perWorker[T any] struct {
	first atomic.Pointer[block[T]]
}

// block has the pointers of blockSlots workers. More workers than that continue in the next one.
type block[T any] struct {
	of   [blockSlots]atomic.Pointer[T]
	next atomic.Pointer[block[T]]
}

// at returns the T of a worker, or nil if it has none yet. No allocation, no lock.
func (p *perWorker[T]) at(worker int) *T {
	b := p.first.Load()
	for b != nil && worker >= blockSlots {
		b = b.next.Load()
		worker -= blockSlots
	}
	if b == nil {
		return nil
	}
	return b.of[worker].Load()
}

// grow returns the T of a worker, which it makes if there is none. Only that worker may call it; others may do so for
// themselves at the same time.
func (p *perWorker[T]) grow(worker int) *T {
	link := &p.first
	for {
		if link.Load() == nil {
			link.CompareAndSwap(nil, new(block[T]))
		}
		b := link.Load()
		if worker >= blockSlots {
			link, worker = &b.next, worker-blockSlots
			continue
		}
		if b.of[worker].Load() == nil {
			b.of[worker].Store(new(T))
		}
		return b.of[worker].Load()
	}
}

// each calls f with the T of every worker that has one. Any goroutine may call it.
func (p *perWorker[T]) each(f func(*T)) {
	for b := p.first.Load(); b != nil; b = b.next.Load() {
		for i := range b.of {
			if t := b.of[i].Load(); t != nil {
				f(t)
			}
		}
	}
}
