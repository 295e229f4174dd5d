package observe

import "sync/atomic"

// maxFlags is how many different reasons a worker tells apart. They are constants of the program (fault has 12), so this is never
// reached; the bound is there so that a bug elsewhere cannot fill the memory or the scrape.
const maxFlags = 32

// otherFlag is where the reasons beyond maxFlags go.
const otherFlag = "other"

// flagCounts counts reasons by their names, in the order in which they first came. The names are looked for one after the other: they are few,
// short, and the usual exchange has none.
type flagCounts struct {
	used  atomic.Int32 // slots that a reader may look at; stored after a slot's name
	slots [maxFlags]struct {
		name string
		n    atomic.Uint64
	}
	other atomic.Uint64
}

// add counts one reason. Only the worker may call it.
func (f *flagCounts) add(flag string) {
	used := int(f.used.Load())
	for i := range used {
		if f.slots[i].name == flag {
			f.slots[i].n.Add(1)
			return
		}
	}
	if used == maxFlags {
		f.other.Add(1)
		return
	}
	f.slots[used].name = flag
	f.slots[used].n.Add(1)
	f.used.Store(int32(used + 1))
}

// each calls fn with every reason that has occurred. Any goroutine may call it.
func (f *flagCounts) each(fn func(flag string, n uint64)) {
	for i := range int(f.used.Load()) {
		fn(f.slots[i].name, f.slots[i].n.Load())
	}
	if n := f.other.Load(); n > 0 {
		fn(otherFlag, n)
	}
}
