package admin

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"
)

// A profile is what Go's tools read: gzip around a message that names the kind of its samples.
func TestAdminsHaveProfilesOfTheProcess(t *testing.T) {
	g := newGateway(t)
	for path, has := range map[string]string{"profile?seconds=1": "cpu", "heap": "inuse_space", "allocs": "alloc_space", "goroutine": "goroutine"} {
		z, err := gzip.NewReader(bytes.NewReader([]byte(g.do("GET", profilePath+path, "").want(200).body)))
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if text, err := io.ReadAll(z); err != nil || !bytes.Contains(text, []byte(has)) {
			t.Errorf("%s: %v, %d bytes without %q", path, err, len(text), has)
		}
	}
	if stacks := g.do("GET", profilePath+"goroutine?debug=1", "").want(200).body; !strings.Contains(stacks, "goroutine profile:") {
		t.Errorf("as text: %.80q", stacks)
	}
	g.send("GET", profilePath+"heap", "").want(401)
	g.do("GET", profilePath+"cmdline", "").want(404)
}
