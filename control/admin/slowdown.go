package admin

import (
	"net/netip"
	"sync"
	"time"
)

// slowdown makes whoever has failed wait before the next try: 1 s after the fourth failure, twice as long after each further one, up to a bound. It forgets a failure a
// while after the last. At the bound of 30 s it is some 2,900 tries a day.
type slowdown struct {
	longest time.Duration
	now     func() time.Time

	mu     sync.Mutex // guards the two
	failed map[string]failures
	before map[string]failures // what failed was, before it had run full: together they are bounded, and nobody has to look for the oldest
}

// failures are those of one name, or of one address.
type failures struct {
	count int
	last  time.Time
}

const (
	freeFailures = 3 // a person mistypes
	forgetAfter  = 15 * time.Minute
	maxSlowed    = 4096 // names or addresses that are remembered at most; some 500 KiB
)

// wait returns how long whoever it is has to wait.
func (s *slowdown) wait(who string) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.of(who)
	if f.count <= freeFailures {
		return 0
	}
	return max(0, s.delay(f.count)-s.now().Sub(f.last))
}

func (s *slowdown) delay(count int) time.Duration {
	return min(time.Second<<min(count-freeFailures-1, 20), s.longest)
}

// of returns the failures of whoever it is.
func (s *slowdown) of(who string) failures {
	if f, ok := s.failed[who]; ok {
		return f
	}
	return s.before[who]
}

// fail notes a failure.
func (s *slowdown) fail(who string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	f := s.of(who)
	if now.Sub(f.last) > forgetAfter {
		f.count = 0
	}
	if s.failed == nil || len(s.failed) >= maxSlowed/2 {
		s.failed, s.before = make(map[string]failures), s.failed
	}
	s.failed[who] = failures{f.count + 1, now}
}

// succeed forgets the failures of whoever it is.
func (s *slowdown) succeed(who string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.failed, who)
	delete(s.before, who)
}

// addressKey is what the failures of an address are counted under: an IPv6 host has a whole /64 to come from.
func addressKey(ip netip.Addr) string {
	if ip.Is6() {
		if prefix, err := ip.WithZone("").Prefix(64); err == nil {
			return prefix.String()
		}
	}
	return ip.String()
}
