package upstream

import (
	"testing"
	"time"

	"sluice/core/observe"
)

func budgetService(t *testing.T, workers int, change func(*Config)) *Service {
	t.Helper()
	loops := make([]Poster, workers)
	config := &Config{}
	if change != nil {
		change(config)
	}
	return NewRegistry(loops, observe.NewRegistry(workers)).Update("s", config, nil)
}

// In a full outage every request asks for a retry: what is sent stays below 1.2 times what came, but for the few a second.
func TestRetriesStayWithinTheirShare(t *testing.T) {
	s := budgetService(t, 1, nil)
	const seconds, perSecond = 60, 1000
	granted := 0
	for i := range seconds * perSecond {
		now := int64(i) * int64(time.Second) / perSecond
		s.CountRequest(0, now)
		if _, ok := s.AllowRetry(0, now); ok {
			granted++
		}
	}
	if most := seconds*perSecond/5 + seconds*DefaultMinPerSecond + 10; granted > most || granted < seconds*perSecond/6 {
		t.Errorf("%d retries of %d requests, want about a fifth and at most %d", granted, seconds*perSecond, most)
	}
}

func TestAServiceWithLittleTrafficHasAFewRetriesASecondInAll(t *testing.T) {
	s := budgetService(t, 4, nil)
	for second := range 5 {
		now, granted := int64(second+100)*int64(time.Second), 0
		for worker := range 4 {
			for range 10 {
				if _, ok := s.AllowRetry(worker, now); ok {
					granted++
				}
			}
		}
		if granted != DefaultMinPerSecond {
			t.Errorf("second %d: %d retries, want %d over all workers", second, granted, DefaultMinPerSecond)
		}
	}
}

func TestABudgetOfNothingAllowsNoRetry(t *testing.T) {
	zero := 0
	s := budgetService(t, 1, func(c *Config) { c.Retry.BudgetPercent, c.Retry.MinPerSecond = &zero, &zero })
	for range 100 {
		s.CountRequest(0, 0)
	}
	if _, ok := s.AllowRetry(0, 0); ok {
		t.Error("a retry was allowed")
	}
}

// A burst long ago does not pay for retries now.
func TestOldRequestsAreForgotten(t *testing.T) {
	zero := 0
	s := budgetService(t, 1, func(c *Config) { c.Retry.MinPerSecond = &zero })
	for range 100_000 {
		s.CountRequest(0, 0)
	}
	if _, ok := s.AllowRetry(0, int64(time.Second)); !ok {
		t.Error("no retry right after the requests")
	}
	if _, ok := s.AllowRetry(0, int64(10*time.Minute)); ok {
		t.Error("requests of ten minutes ago still count")
	}
}

func TestTheBudgetAllocatesNothing(t *testing.T) {
	s := budgetService(t, 1, nil)
	now := int64(0)
	if n := testing.AllocsPerRun(1000, func() {
		now += int64(time.Millisecond)
		s.CountRequest(0, now)
		s.AllowRetry(0, now)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
