package codec

// Progress is how far a codec got in a head that comes in pieces, so that what was looked at once is not looked at again. It is
// the codec's own: nobody else reads it or sets it, and Reset clears it. All positions are offsets on the wire.
type Progress struct {
	Scanned int    // start of the line that is being parsed; everything before it has been
	Seen    int    // start of what has not been looked at
	Cut     [2]int // where the finished elements of the current line end
	Fields  int    // start of the field section
	Options int    // connection options so far
	Stage   uint8  // the element that stands at Seen, in the codec's own numbering
	Flags   uint16 // what has been met so far, in the codec's own numbering
}
