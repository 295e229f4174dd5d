package proxy

import (
	"runtime"
	"time"

	"sluice/core/observe"
	"sluice/internal/memory"
)

// What the gateway does when it runs short: of memory, so that it is not killed with all its clients; of descriptors, so that new clients find a place beside
// those who say nothing.

// pressure is how short of memory the process is.
type pressure int32

const (
	relaxed  pressure = iota
	shedding          // new requests are answered 503, and their connections end
	refusing          // new connections are closed as well, and those that are idle
)

// In percent of what the process may use. The steps between them keep it from going to and fro with every request; the last five are for what is under way,
// whose buffers are bounded.
const (
	refuseAt = 95
	shedAt   = 90
	relaxAt  = 85
)

const (
	memoryEvery = 100 * time.Millisecond // between two looks at the memory
	// What is live is known only after a collection, and a gateway that refuses everything makes no garbage that would bring one about.
	collectEvery = time.Second
)

// next returns what follows from the use of memory.
func (p pressure) next(u memory.Use) pressure {
	switch percent := u.Used * 100; {
	case percent >= u.Limit*refuseAt && u.Limit > 0:
		return refusing
	case percent >= u.Limit*shedAt && u.Limit > 0:
		return max(p, shedding)
	case percent >= u.Limit*relaxAt && u.Limit > 0:
		return min(p, shedding)
	}
	return relaxed
}

func (p pressure) String() string { return [...]string{"none", "shedding", "refusing"}[p] }

// short reports whether memory is short. Any goroutine may call it.
func (s *Server) short() bool { return pressure(s.pressure.Load()) != relaxed }

// watchMemory looks at the memory now and then, until quit is closed.
func (s *Server) watchMemory(quit <-chan struct{}) {
	look := s.config.memory
	if look == nil {
		look = meteredMemory()
	}
	tick := time.NewTicker(memoryEvery)
	defer tick.Stop()
	var collected uint64 // collections when it was last looked
	var since time.Time  // when there were that many
	for {
		select {
		case <-quit:
			return
		case <-tick.C:
		}
		u := look(s.settings.Load().limits.memory)
		s.stats.SetMemory(u.Used, u.Limit)
		s.setPressure(u)
		switch {
		case u.Collections != collected || since.IsZero():
			collected, since = u.Collections, time.Now()
		case s.short() && time.Since(since) >= collectEvery:
			runtime.GC()
		}
	}
}

// meteredMemory returns the real use of memory. It tells the collector of the limit, so that garbage is not what fills the memory.
func meteredMemory() func(limit uint64) memory.Use {
	meter, advised := memory.NewMeter(), uint64(0)
	return func(limit uint64) memory.Use {
		u := meter.Read(limit)
		if u.Limit != advised {
			advised = u.Limit
			memory.Advise(advised * refuseAt / 100)
		}
		return u
	}
}

func (s *Server) setPressure(u memory.Use) {
	before := pressure(s.pressure.Load())
	now := before.next(u)
	if now != before {
		s.pressure.Store(int32(now))
		s.logger.Warn("memory", "pressure", now.String(), "before", before.String(), "used", u.Used, "limit", u.Limit)
	}
	if now == refusing {
		for _, w := range s.workers {
			w.loop.Post(func() { w.shed(shedForMemory, observe.ShedMemory) })
		}
	}
}

// How many idle connections are closed in one go: for memory all of them, within ten looks or so; for descriptors a batch of new clients, who come 64 a turn. The
// looks are bounded, since busy connections are looked at in vain.
const (
	shedForMemory      = 4096
	shedForDescriptors = 64
	shedLooks          = 4
)

// shed closes up to n connections on which nothing is under way, those first that are there longest.
func (w *worker) shed(n int, why observe.Shed) {
	looks := shedLooks * n
	for s := w.oldest; s != nil && n > 0 && looks > 0; looks-- {
		newer := s.prev
		if s.session.shed() {
			w.stats.ConnShed(why)
			n--
		}
		s = newer
	}
}
