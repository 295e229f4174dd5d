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

	mu     sync.Mutex // guards failed
	failed map[string]failures
}

// failures are those of one name, or of one address.
type failures struct {
	count int
	last  time.Time
}

const (
	freeFailures = 3 // a person mistypes
	forgetAfter  = 15 * time.Minute
	maxSlowed    = 4096 // names and addresses that are remembered; some 500 KiB
)

// wait returns how long whoever it is has to wait.
func (s *slowdown) wait(who string) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.failed[who]
	if f.count <= freeFailures {
		return 0
	}
	return max(0, s.delay(f.count)-s.now().Sub(f.last))
}

func (s *slowdown) delay(count int) time.Duration {
	return min(time.Second<<min(count-freeFailures-1, 20), s.longest)
}

// fail notes a failure.
func (s *slowdown) fail(who string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == nil {
		s.failed = make(map[string]failures)
	}
	now := s.now()
	f := s.failed[who]
	if now.Sub(f.last) > forgetAfter {
		f.count = 0
	}
	s.failed[who] = failures{f.count + 1, now}
	if len(s.failed) > maxSlowed {
		s.forget(now)
	}
}

// forget makes room: what is old goes or, where nothing is, the oldest.
func (s *slowdown) forget(now time.Time) {
	oldest := ""
	for who, f := range s.failed {
		if now.Sub(f.last) > forgetAfter {
			delete(s.failed, who)
		} else if oldest == "" || f.last.Before(s.failed[oldest].last) {
			oldest = who
		}
	}
	if len(s.failed) > maxSlowed {
		delete(s.failed, oldest)
	}
}

// succeed forgets the failures of whoever it is.
func (s *slowdown) succeed(who string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.failed, who)
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
