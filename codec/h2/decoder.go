package h2

// tableSize is the size of the dynamic table that peers may fill: what the standard gives them without a setting.
const tableSize = 4096

// entryCost is what an entry counts beside its bytes (RFC 7541 §4.1).
const entryCost = 32

// decoder decompresses the header blocks of one direction of a connection. It has no memory before the first entry of its dynamic table.
type decoder struct {
	bytes   []byte  // names and values of the live entries, oldest first; dead bytes may stand before them
	entries []entry // oldest first; dead ones may stand before the live
	dead    int     // entries that are dead
	size    int     // of the live entries, as the standard counts
	max     int     // what the peer's encoder has chosen
}

// entry is a field of the dynamic table; its value stands behind its name.
type entry struct {
	off         int // of the name, in bytes
	name, value int // lengths
	mark        mark
}

// decode reads a whole header block into f. It returns false where the block breaks RFC 7541, after which the connection is lost.
func (d *decoder) decode(block []byte, f *fields) bool {
	for i := 0; i < len(block); {
		var ok bool
		switch b := block[i]; {
		case b&0x80 != 0:
			i, ok = d.indexed(block, i, f)
		case b&0xc0 == 0x40:
			i, ok = d.literal(block, i, 6, true, f)
		case b&0xe0 == 0x20:
			if f.count > 0 || f.updates == 2 {
				return false // only at the beginning of a block, and no more than two (RFC 7541 §4.2)
			}
			f.updates++
			var n int
			if n, i, ok = readInt(block, i, 5); ok {
				ok = d.resize(n)
			}
		default: // without indexing, or never indexed
			i, ok = d.literal(block, i, 4, false, f)
		}
		if !ok {
			return false
		}
	}
	return true
}

// indexed reads a field that is in a table, name and value.
func (d *decoder) indexed(block []byte, i int, f *fields) (next int, ok bool) {
	index, next, ok := readInt(block, i, 7)
	if !ok {
		return 0, false
	}
	if f.full() { // or one byte of a block could cost the copy of 4 KiB, again and again
		f.count++
		return next, d.has(index)
	}
	start := len(f.dst)
	m, ok := d.appendName(f, index)
	if !ok {
		return 0, false
	}
	mid := len(f.dst)
	f.dst = append(f.dst, ": "...)
	if index <= staticLen {
		f.dst = append(f.dst, staticTable[index].value...)
	} else {
		e := d.entry(index)
		f.dst = append(f.dst, d.bytes[e.off+e.name:e.off+e.name+e.value]...)
	}
	f.take(start, mid, m)
	return next, true
}

// literal reads a field whose value, and perhaps name, is in the block.
func (d *decoder) literal(block []byte, i int, prefix uint, index bool, f *fields) (next int, ok bool) {
	name, next, ok := readInt(block, i, prefix)
	if !ok {
		return 0, false
	}
	start := len(f.dst)
	var m mark
	if name > 0 {
		m, ok = d.appendName(f, name)
	} else if f.dst, next, ok = appendString(f.dst, block, next); ok {
		m = markName(f.dst[start:])
	}
	if !ok {
		return 0, false
	}
	mid := len(f.dst)
	f.dst = append(f.dst, ": "...)
	if f.dst, next, ok = appendString(f.dst, block, next); !ok {
		return 0, false
	}
	m = m.markValue(f.dst[mid+2:])
	if index {
		d.insert(f.dst[start:mid], f.dst[mid+2:], m)
	}
	f.take(start, mid, m)
	return next, true
}

// appendName appends the name of a table's field.
func (d *decoder) appendName(f *fields, index int) (m mark, ok bool) {
	switch {
	case !d.has(index):
		return m, false
	case index <= staticLen:
		s := &staticTable[index]
		f.dst = append(f.dst, s.name...)
		return s.mark, true
	}
	e := d.entry(index)
	f.dst = append(f.dst, d.bytes[e.off:e.off+e.name]...)
	return e.mark, true
}

// has reports whether a table has a field of that index (RFC 7541 §2.3.3).
func (d *decoder) has(index int) bool {
	return index > 0 && index <= staticLen+len(d.entries)-d.dead
}

// entry returns a field of the dynamic table, the youngest of which comes first.
func (d *decoder) entry(index int) *entry { return &d.entries[len(d.entries)-(index-staticLen)] }

// insert puts a field into the dynamic table. One that is larger than the table empties it (RFC 7541 §4.4).
func (d *decoder) insert(name, value []byte, m mark) {
	cost := len(name) + len(value) + entryCost
	d.evict(d.max - cost)
	if cost > d.max {
		return
	}
	if len(d.entries) == cap(d.entries) && d.dead > 0 {
		d.entries = d.entries[:copy(d.entries, d.entries[d.dead:])]
		d.dead = 0
	}
	if n := len(name) + len(value); len(d.bytes)+n > cap(d.bytes) {
		d.makeRoom(n)
	}
	d.entries = append(d.entries, entry{len(d.bytes), len(name), len(value), m})
	d.bytes = append(append(d.bytes, name...), value...)
	d.size += cost
}

// makeRoom moves the live bytes to the front, of a larger array if need be: twice what can be live is enough to move seldom.
func (d *decoder) makeRoom(n int) {
	live := d.bytes[len(d.bytes):]
	if d.dead < len(d.entries) {
		live = d.bytes[d.entries[d.dead].off:]
	}
	to := d.bytes[:0]
	if most := min(2*(len(live)+n), 2*tableSize); cap(d.bytes) < most {
		to = make([]byte, 0, most)
	}
	shift := len(d.bytes) - len(live)
	d.bytes = append(to, live...)
	for i := d.dead; i < len(d.entries); i++ {
		d.entries[i].off -= shift
	}
}

// evict takes out the oldest fields until the rest fits into size.
func (d *decoder) evict(size int) {
	for d.dead < len(d.entries) && d.size > size {
		e := &d.entries[d.dead]
		d.size -= e.name + e.value + entryCost
		d.dead++
	}
	if d.dead == len(d.entries) {
		d.entries, d.dead, d.bytes = d.entries[:0], 0, d.bytes[:0]
	}
}

// resize takes a dynamic table size update (RFC 7541 §6.3).
func (d *decoder) resize(n int) bool {
	if n > tableSize {
		return false
	}
	d.max = n
	d.evict(n)
	return true
}

// maxInt bounds integers: no length or index that can be right is larger, since blocks are smaller.
const maxInt = 1 << 24

// readInt reads an integer whose first byte has it in its low bits (RFC 7541 §5.1).
func readInt(b []byte, i int, prefix uint) (n, next int, ok bool) {
	if i >= len(b) {
		return 0, 0, false
	}
	most := 1<<prefix - 1
	if n = int(b[i]) & most; n < most {
		return n, i + 1, true
	}
	for shift := uint(0); shift <= 21; shift += 7 {
		if i++; i >= len(b) {
			return 0, 0, false
		}
		n += int(b[i]&0x7f) << shift
		if b[i]&0x80 == 0 {
			return n, i + 1, n <= maxInt
		}
	}
	return 0, 0, false
}

// appendString reads a string (RFC 7541 §5.2).
func appendString(dst, b []byte, i int) (out []byte, next int, ok bool) {
	if i >= len(b) {
		return dst, 0, false
	}
	coded := b[i]&0x80 != 0
	n, i, ok := readInt(b, i, 7)
	if !ok || n > len(b)-i {
		return dst, 0, false
	}
	if coded {
		dst, ok = appendHuffman(dst, b[i:i+n])
		return dst, i + n, ok
	}
	return append(dst, b[i:i+n]...), i + n, true
}
