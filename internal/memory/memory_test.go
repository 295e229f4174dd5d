package memory

import (
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"
)

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// The bound of a container is read from either version of cgroups, and what is cached of files is not counted.
func TestTheBoundOfAContainerIsFound(t *testing.T) {
	stat2, stat1 := "anon 500\nfile 300\nkernel 200\nsock 100\n", "cache 1\ntotal_cache 300\n"
	for _, c := range []struct {
		what, self string
		files      map[string]string
		used, most uint64
		ok         bool
	}{
		{"version 2", "0::/a/b\n", map[string]string{"a/b/memory.current": "1000\n", "a/b/memory.max": "4000\n", "a/b/memory.stat": stat2}, 700, 4000, true},
		{"version 2, seen from within", "0::/a/b\n", map[string]string{"memory.current": "1000\n", "memory.max": "4000\n", "memory.stat": stat2}, 700, 4000, true},
		{"version 2, bounded above", "0::/a/b\n", map[string]string{
			"a/b/memory.current": "10\n", "a/b/memory.max": "max\n", "a/b/memory.stat": stat2,
			"a/memory.current": "1000\n", "a/memory.max": "4000\n", "a/memory.stat": stat2,
		}, 700, 4000, true},
		{"no bound", "0::/a/b\n", map[string]string{"a/b/memory.current": "1000\n", "a/b/memory.max": "max\n", "a/b/memory.stat": stat2}, 0, 0, false},
		{"version 1", "4:memory:/x\n0::/\n", map[string]string{
			"memory/x/memory.usage_in_bytes": "1000\n", "memory/x/memory.limit_in_bytes": "4000\n", "memory/x/memory.stat": stat1,
		}, 700, 4000, true},
		{"version 1, no bound", "4:memory:/x\n", map[string]string{
			"memory/x/memory.usage_in_bytes": "1000\n", "memory/x/memory.limit_in_bytes": "9223372036854771712\n", "memory/x/memory.stat": stat1,
		}, 0, 0, false},
		{"none at all", "", nil, 0, 0, false},
	} {
		root := t.TempDir()
		write(t, root, c.files)
		write(t, root, map[string]string{"self": c.self})
		g := findCgroup(root, filepath.Join(root, "self"))
		u, ok := g.read()
		if ok != c.ok || ok && (u.used != c.used || u.limit != c.most) {
			t.Errorf("%s: %+v, %v; want %d of %d, %v", c.what, u, ok, c.used, c.most, c.ok)
		}
	}
}

// A gateway that holds little of what its container may use has nothing to give up, however full that is.
func TestWhatOthersInTheContainerUseDoesNotCountAlone(t *testing.T) {
	for _, c := range []struct {
		what       string
		own, spare uint64
		group      groupUse
		want       uint64
	}{
		{"alone", 600, 50, groupUse{used: 950, limit: 1000}, 900},
		{"others fill it", 100, 50, groupUse{used: 950, limit: 1000}, 100},
		{"slow clients fill it, in the kernel", 100, 50, groupUse{used: 950, sockets: 700, limit: 1000}, 900},
		{"more to spare than is used", 600, 2000, groupUse{used: 950, limit: 1000}, 0},
	} {
		if got := c.group.share(c.own, c.spare); got != c.want {
			t.Errorf("%s: %d, want %d", c.what, got, c.want)
		}
	}
}

var held []byte // keeps what the test allocates alive

// What is live is counted once the collector has seen it, and garbage is not.
func TestLiveMemoryCountsAndGarbageDoesNot(t *testing.T) {
	m := NewMeter()
	const size = 64 << 20
	runtime.GC()
	before := m.Read(1 << 30)
	if before.Limit != 1<<30 {
		t.Errorf("a limit of %d", before.Limit)
	}
	held = make([]byte, size)
	for i := range held {
		held[i] = 1
	}
	runtime.GC()
	with := m.Read(1 << 30)
	if grown := with.Used - before.Used; grown < size*9/10 || grown > size*11/10 {
		t.Errorf("%d bytes more, want %d", grown, size)
	}
	if with.Collections <= before.Collections {
		t.Error("the collection is not counted")
	}
	held = nil
	runtime.GC()
	if after := m.Read(1 << 30); after.Used > before.Used+size/10 {
		t.Errorf("%d bytes are used, of which %d are garbage", after.Used, after.Used-before.Used)
	}
}

func TestGOMEMLIMITIsTheBound(t *testing.T) {
	before := debug.SetMemoryLimit(1 << 40) // as the runtime does when it starts with the variable
	defer debug.SetMemoryLimit(before)
	t.Setenv("GOMEMLIMIT", "1TiB")
	if u := NewMeter().Read(0); u.Limit != 1<<40 {
		t.Errorf("a bound of %d", u.Limit)
	}
	t.Setenv("GOMEMLIMIT", "") // a limit that somebody else has set is none that was asked for
	if got := goLimit(); got != 0 {
		t.Errorf("%d without GOMEMLIMIT", got)
	}
}
