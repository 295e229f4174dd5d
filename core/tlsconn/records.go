package tlsconn

// records follows the bytes that a tls.Conn is given, record by record (RFC 8446 §5.1), to know when there is nothing left inside it: asking it would cost an allocation
// and a way through all of its reading, once for each request.
type records struct {
	header int // bytes of the header that have passed
	length int // that it tells, as far as it is known
	left   int // bytes of the record behind the header that have not passed
	inside int // records that have begun since it was empty
}

// pass notes that p was given to the tls.Conn.
func (r *records) pass(p []byte) {
	for len(p) > 0 {
		if r.left > 0 {
			n := min(r.left, len(p))
			r.left -= n
			p = p[n:]
			continue
		}
		switch r.header++; r.header {
		case 1:
			r.inside++
		case 4:
			r.length = int(p[0]) << 8
		case 5:
			r.header, r.left = 0, r.length|int(p[0])
		}
		p = p[1:]
	}
}

// whole reports whether the last record has passed to its end.
func (r *records) whole() bool { return r.header == 0 && r.left == 0 }

// taken notes that the tls.Conn has returned all of a record's data. Where that was the only one, there is nothing behind it.
func (r *records) taken() {
	if r.inside == 1 && r.whole() {
		r.inside = 0
	}
}

// exhausted notes that the tls.Conn wants more: it has nothing but perhaps the beginning of a record.
func (r *records) exhausted() {
	if r.whole() {
		r.inside = 0
	}
}
