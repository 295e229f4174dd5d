package codec

import "sluice/internal/ascii"

// Field is one field line of a head: where its name and value stand, and what it is.
type Field struct {
	Name  Span
	Value Span   // without the white space around it
	end   uint32 // position on the wire after the CRLF of the line; 0 in the arena
	ID    FieldID
	flags uint8
}

const (
	fieldInArena   uint8 = 1 << iota // Name and Value are positions in the arena
	fieldRemoved                     // skipped by everyone
	fieldRespelled                   // the line on the wire is not how it is to be written
)

// Header is the fields of one message in the order they came. The zero value is an empty header ready for use.
// It keeps its memory over Reset, so that a header used again allocates nothing.
type Header struct {
	wire   []byte  // what parsed fields point into; owned by who parsed it
	arena  []byte  // what added fields point into; owned by the header
	fields []Field // in order, removed ones included
	seen   uint32  // a bit for each FieldID that was ever appended; never cleared by Remove
}

// Reset empties the header and points it at the buffer that the next fields will be parsed from.
func (h *Header) Reset(wire []byte) {
	h.wire = wire
	h.arena = h.arena[:0]
	h.fields = h.fields[:0]
	h.seen = 0
}

// Rebase says that the bytes of the wire now stand in buf, at the same offsets. Slices returned before are no longer valid.
func (h *Header) Rebase(buf []byte) { h.wire = buf }

// Wire returns the buffer that parsed fields point into.
func (h *Header) Wire() []byte { return h.wire }

// Append adds a parsed field line; lineEnd is the position after its CRLF. For codecs.
func (h *Header) Append(name, value Span, id FieldID, lineEnd uint32) {
	f := h.grow()
	f.Name, f.Value, f.end, f.ID, f.flags = name, value, lineEnd, id, 0
	h.seen |= 1 << id
}

// Respell says that the line of field i must not go on as it stands on the wire: it is to be written from name and value. For codecs.
func (h *Header) Respell(i int) { h.fields[i].flags |= fieldRespelled }

// grow makes room for one more field and returns it, with whatever was there before. A field that is built elsewhere and copied here costs the
// processor a stall, since it is stored in small parts and loaded in large ones.
func (h *Header) grow() *Field {
	n := len(h.fields)
	if n == cap(h.fields) {
		h.fields = append(h.fields, Field{})
	} else {
		h.fields = h.fields[:n+1]
	}
	return &h.fields[n]
}

// Len returns the number of positions, removed fields included: for i := range h.Len() { if h.Removed(i) … }.
func (h *Header) Len() int { return len(h.fields) }

// Removed reports whether field i has been taken out.
func (h *Header) Removed(i int) bool { return h.fields[i].flags&fieldRemoved != 0 }

// ID returns what field i is.
func (h *Header) ID(i int) FieldID { return h.fields[i].ID }

// Name returns the name of field i as it was written.
func (h *Header) Name(i int) []byte { return h.bytes(&h.fields[i], h.fields[i].Name) }

// Value returns the value of field i without the white space around it.
func (h *Header) Value(i int) []byte { return h.bytes(&h.fields[i], h.fields[i].Value) }

// ValueSpan returns where the value of field i stands on the wire, for a field that was parsed. For codecs.
func (h *Header) ValueSpan(i int) Span { return h.fields[i].Value }

func (h *Header) bytes(f *Field, s Span) []byte {
	if f.flags&fieldInArena != 0 {
		return h.arena[s.Off : s.Off+s.Len : s.Off+s.Len]
	}
	return h.wire[s.Off : s.Off+s.Len : s.Off+s.Len]
}

// Run returns the end (exclusive) of the longest run of fields from i whose lines stand unchanged and side by side on
// the wire, and those lines with their CRLFs. Fields for which stop holds end a run, so that a serializer can write them
// its own way. It returns i and nil where field i was added or removed, or stop holds for it.
func (h *Header) Run(i int, stop func(FieldID) bool) (next int, lines []byte) {
	start := h.fields[i].Name.Off
	end := start
	for next = i; next < len(h.fields); next++ {
		f := &h.fields[next]
		if f.flags != 0 || f.Name.Off != end || stop(f.ID) {
			break
		}
		end = f.end
	}
	if next == i {
		return i, nil
	}
	return next, h.wire[start:end:end]
}

// Find returns the position of the first field with that name, in any case, or -1.
func (h *Header) Find(name string) int { return h.FindFrom(0, name) }

// FindFrom is Find from position i on.
func (h *Header) FindFrom(i int, name string) int {
	for ; i < len(h.fields); i++ {
		f := &h.fields[i]
		if f.flags&fieldRemoved == 0 && int(f.Name.Len) == len(name) && ascii.EqualFold(h.bytes(f, f.Name), name) {
			return i
		}
	}
	return -1
}

// Seen reports whether a field that is id has ever been in the header: false is certain and costs one comparison, true is a
// reason to look.
func (h *Header) Seen(id FieldID) bool { return h.seen&(1<<id) != 0 }

// FindID returns the position of the first field that is id, or -1.
func (h *Header) FindID(id FieldID) int {
	if !h.Seen(id) {
		return -1
	}
	for i := range h.fields {
		if h.fields[i].ID == id && h.fields[i].flags&fieldRemoved == 0 {
			return i
		}
	}
	return -1
}

// Get returns the value of the first field with that name, or nil.
func (h *Header) Get(name string) []byte {
	if i := h.Find(name); i >= 0 {
		return h.Value(i)
	}
	return nil
}

// GetID returns the value of the first field that is id, or nil.
func (h *Header) GetID(id FieldID) []byte {
	if i := h.FindID(id); i >= 0 {
		return h.Value(i)
	}
	return nil
}

// Remove takes field i out.
func (h *Header) Remove(i int) { h.fields[i].flags |= fieldRemoved }

// RemoveName takes out all fields with that name.
func (h *Header) RemoveName(name string) {
	for i := h.Find(name); i >= 0; i = h.FindFrom(i+1, name) {
		h.Remove(i)
	}
}

// RemoveID takes out all fields that are id.
func (h *Header) RemoveID(id FieldID) {
	if !h.Seen(id) {
		return
	}
	for i := range h.fields {
		if h.fields[i].ID == id {
			h.fields[i].flags |= fieldRemoved
		}
	}
}

// Add appends a field. name and value are copied; neither may hold CR, LF or NUL, which the caller must have made sure of.
func (h *Header) Add(name string, value []byte) {
	off := uint32(len(h.arena))
	h.arena = append(h.arena, name...)
	h.add(off, LookupField(h.arena[off:]), value)
}

// AddID is Add for a field that is known: name must be one that LookupField calls id.
func (h *Header) AddID(id FieldID, name string, value []byte) {
	off := uint32(len(h.arena))
	h.arena = append(h.arena, name...)
	h.add(off, id, value)
}

// add appends the field whose name stands in the arena from off on.
func (h *Header) add(off uint32, id FieldID, value []byte) {
	mid := uint32(len(h.arena))
	h.arena = append(h.arena, value...)
	h.fields = append(h.fields, Field{
		Name:  Span{off, mid - off},
		Value: Span{mid, uint32(len(value))},
		ID:    id,
		flags: fieldInArena,
	})
	h.seen |= 1 << id
}

// Set makes value the only value of name: the first such field is replaced where it stands, others are taken out.
func (h *Header) Set(name string, value []byte) {
	first := h.Find(name)
	if first < 0 {
		h.Add(name, value)
		return
	}
	for i := h.FindFrom(first+1, name); i >= 0; i = h.FindFrom(i+1, name) {
		h.Remove(i)
	}
	h.Add(name, value)
	last := len(h.fields) - 1
	h.fields[first] = h.fields[last]
	h.fields = h.fields[:last]
}
