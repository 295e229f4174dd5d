package codec

import (
	"bytes"
	"strings"
	"testing"
)

// parsed returns a header over the lines of text, as a codec would leave it.
func parsed(lines ...string) *Header {
	h := new(Header)
	wire := []byte(strings.Join(lines, "\r\n") + "\r\n")
	h.Reset(wire)
	at := uint32(0)
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		h.Append(Span{at, uint32(len(name))}, Span{at + uint32(len(name)) + 2, uint32(len(value))}, LookupField([]byte(name)), at+uint32(len(l))+2)
		at += uint32(len(l)) + 2
	}
	return h
}

// text writes the header down, removed fields left out.
func text(h *Header) string {
	var b strings.Builder
	for i := range h.Len() {
		if !h.Removed(i) {
			b.WriteString(string(h.Name(i)) + "=" + string(h.Value(i)) + " ")
		}
	}
	return strings.TrimSpace(b.String())
}

func TestFieldsAreFoundInAnyCaseUntilTheyAreRemoved(t *testing.T) {
	h := parsed("Host: a", "X-One: 1", "x-one: 2", "Y: 3")
	if h.Find("X-ONE") != 1 || h.FindFrom(2, "X-One") != 2 || h.FindFrom(3, "x-one") != -1 || h.FindID(FieldHost) != 0 || string(h.Get("y")) != "3" {
		t.Error("lookups in", text(h))
	}
	if h.Find("X-On") != -1 || h.Find("X-One2") != -1 || h.Get("z") != nil || h.FindID(FieldDate) != -1 {
		t.Error("found what is not there")
	}
	h.RemoveName("x-ONE")
	h.RemoveID(FieldHost)
	if h.Find("x-one") != -1 || h.FindID(FieldHost) != -1 || text(h) != "Y=3" {
		t.Error("left", text(h))
	}
}

func TestAddedFieldsComeLastAndSetOnesStayInPlace(t *testing.T) {
	h := parsed("A: 1", "B: 2", "a: 3", "C: 4")
	h.Add("D", []byte("5"))
	h.Set("A", []byte("six"))
	h.Set("E", []byte("7"))
	if got, want := text(h), "A=six B=2 C=4 D=5 E=7"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	h.Set("Connection", []byte("close"))
	if i := h.FindID(FieldConnection); i < 0 || string(h.Value(i)) != "close" {
		t.Error("a field that was added is not known by name")
	}
}

// A value may be a slice of the header itself, while the arena grows under it.
func TestSettingFromTheHeaderItself(t *testing.T) {
	h := parsed("A: one", "B: two")
	for i := range 100 {
		h.Set("B", append(h.Get("A"), h.Get("B")...))
		h.Set("A", h.Get("B"))
		if len(h.Get("B")) > 1<<12 {
			h.Set("A", []byte("one"))
			h.Set("B", []byte("two"))
		}
		if !bytes.HasPrefix(h.Get("A"), []byte("one")) {
			t.Fatalf("round %d: %.40q", i, h.Get("A"))
		}
	}
}

func TestRebasedFieldsReadFromTheNewBuffer(t *testing.T) {
	h := parsed("A: 1", "B: 2")
	moved := bytes.Clone(h.Wire())
	clear(h.Wire())
	h.Rebase(moved)
	if text(h) != "A=1 B=2" {
		t.Error(text(h))
	}
}

func TestRunsAreLinesThatStandUnchanged(t *testing.T) {
	h := parsed("A: 1", "Content-Length: 2", "B: 3", "C: 4", "D: 5", "E: 6")
	h.RemoveName("C")
	h.Set("E", []byte("7"))
	stop := func(id FieldID) bool { return id == FieldContentLength }
	var got []string
	for i := 0; i < h.Len(); {
		next, lines := h.Run(i, stop)
		got = append(got, string(lines))
		i = max(next, i+1)
	}
	want := []string{"A: 1\r\n", "", "B: 3\r\n", "", "D: 5\r\n", ""}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestResetHeaderKeepsItsMemoryAndNothingElse(t *testing.T) {
	h := parsed("Host: 1", "B: 2")
	h.Add("C", []byte("3"))
	wire := []byte("Date: 1\r\n")
	allocs := testing.AllocsPerRun(50, func() {
		h.Reset(wire)
		h.Append(Span{0, 4}, Span{6, 1}, FieldDate, 9)
		h.Add("C", []byte("3"))
		h.Set("C", wire[6:7])
		h.Remove(0)
		h.StripHopByHop()
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
	h.Reset(nil)
	if h.Len() != 0 || h.FindID(FieldHost) != -1 || h.FindID(FieldDate) != -1 {
		t.Error("fields are left")
	}
}
