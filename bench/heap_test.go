package main

import "testing"

func TestTheLiveHeapIsReadFromAProfile(t *testing.T) {
	live, err := parseLive("heap profile: 1: 2 [3: 4] @ heap/1048576\n\n# runtime.MemStats\n# Alloc = 7\n# HeapAlloc = 1000\n# HeapSys = 9\n# Stack = 24 / 999\n")
	if err != nil || *live != 1024 {
		t.Errorf("%v %v", live, err)
	}
	for _, text := range []string{"", "\n# HeapAlloc = 1\n", "\n# HeapAlloc = x\n# Stack = 1 / 2\n"} {
		if _, err := parseLive(text); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}

// What the first step fills is room that was free, so the resident memory counts from there, and the live heap, in which nothing hides, from the beginning.
func TestIdleConnectionsCostWhatMemoryHasGrownBy(t *testing.T) {
	live := func(v float64) *float64 { return &v }
	r := idleResult{
		{0, memory{RSS: 50 << 20, Anon: 20 << 20}, live(10 << 20)},
		{1024, memory{RSS: 50 << 20, Anon: 20 << 20}, live(11 << 20)},
		{2048, memory{RSS: 51 << 20, Anon: 21 << 20}, live(12 << 20)},
		{3072, memory{RSS: 54 << 20, Anon: 22 << 20}, live(13 << 20)},
	}
	if rss, anon, alive := r.perConnection(); rss != 2 || anon != 1 || alive != 1 {
		t.Errorf("%v %v %v", rss, anon, alive)
	}
}
