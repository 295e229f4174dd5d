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
