package proxy

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// scene is one exchange as it is meant, whatever carries it: what the client asks, what the node does, and so what both must hear.
type scene struct {
	id     string
	method string
	target string
	fields []string // "name: value"; their names begin with x-s
	asked  content
	expect bool // the client sends its body once it has heard 100, or no body
	wants  bool // the node answers such an expectation with 100
	old    bool // over HTTP/1.x the client speaks 1.0
	last   bool // the client asks for the end of the connection
	half   bool // over HTTP/1.x the client ends its side behind the request
	leaves int  // the client is gone after so many bytes of the request's body; -1 = it stays
	lazy   bool // the client reads slowly

	early  int // so much of the request's body the node reads before it answers; -1 = all of it
	hints  []int
	status int
	said   []string
	given  content
	cut    int  // so many bytes of its answer's body the node sends, and is gone; -1 = all of them
	breaks bool // what ends an answer that is cut, or that ends with the connection, is a reset
	parts  bool // the node ends the connection behind its answer, and says so
	sleepy bool // the node reads slowly

	heard chan heard // what the node heard of it
	leave chan bool  // whether the client may send a body that it has announced
}

// content is a body.
type content struct {
	size     int
	shift    int    // where in the longest body it begins
	framing  string // "none", "length", "chunks" or "end": with the connection
	pieces   []int  // the sizes of what is written at once, a negative one is a pause; the rest in one
	trailers []string
}

// heard is what one side hears from the other.
type heard struct {
	interim  []int
	status   int    // of an answer
	line     string // of a request: method and target
	fields   []string
	length   string // the field
	body     string
	trailers []string
	cut      error // why it is not whole
}

func (c *content) bytes() string { return theBody(c.shift + c.size)[c.shift:] }

// write gives the body to put in its pieces, up to its first n bytes, and stops where put fails.
func (c *content) write(n int, put func(p string) error) error {
	rest := c.bytes()[:n]
	for _, size := range c.pieces {
		if size < 0 {
			time.Sleep(time.Duration(-size) * time.Microsecond) // a pause is a part of what is tested, and nobody waits for anything by it
			continue
		}
		size = min(size, len(rest))
		if size == 0 {
			break
		}
		if err := put(rest[:size]); err != nil {
			return err
		}
		rest = rest[size:]
	}
	if rest == "" {
		return nil
	}
	return put(rest)
}

// borders are the sizes at which something changes: buffers, records of TLS, frames and windows of HTTP/2, what passes and the pipes that it passes through.
var borders = []int{0, 1, 2, 15, 16, 17, 1 << 10, 4 << 10, 16 << 10, 32 << 10, 64<<10 - 1 - 9, 64 << 10, passLeast, 256 << 10, 256<<10 + 64<<10, 1 << 20}

// director makes scenes.
type director struct {
	*rand.Rand
	most  int // bytes of the longest body
	count int
}

func (d *director) chance(n int) bool { return d.IntN(n) == 0 }

func (d *director) size() int {
	switch {
	case d.chance(3):
		return d.IntN(100)
	case d.chance(4):
		return d.IntN(min(d.most, 300_000))
	}
	return min(d.most, max(0, borders[d.IntN(len(borders))]+d.IntN(3)-1))
}

// content makes a body in one of the framings.
func (d *director) content(framings ...string) content {
	c := content{size: d.size(), shift: d.IntN(1 << 16), framing: framings[d.IntN(len(framings))]}
	if c.framing == "none" {
		c.size = 0
	}
	for at := 0; at < c.size && len(c.pieces) < 12 && !d.chance(4); {
		n := 1 + d.IntN([...]int{1, 10, 1000, 20_000, 200_000}[d.IntN(5)])
		c.pieces = append(c.pieces, n)
		if at += n; d.chance(3) {
			c.pieces = append(c.pieces, -1-d.IntN(1500))
		}
	}
	if c.framing == "chunks" && d.chance(2) {
		c.trailers = d.lines("x-s-end", 4)
	}
	return c
}

// lines makes fields.
func (d *director) lines(name string, most int) (lines []string) {
	for range d.IntN(most + 1) {
		value := make([]byte, d.IntN([...]int{4, 40, 400}[d.IntN(3)]))
		for i := range value {
			value[i] = "abcdefghijklmnopqrstuvwxyz0123456789 ,;=\"\\()%\t\xe9\xff"[d.IntN(48)]
		}
		lines = append(lines, fmt.Sprintf("%s-%d: %s", name, d.IntN(5), strings.Trim(string(value), " \t")))
	}
	return lines
}

// scene makes one.
func (d *director) scene() *scene {
	d.count++
	s := &scene{
		id: fmt.Sprint(d.count), method: [...]string{"GET", "GET", "HEAD", "POST", "POST", "PUT", "DELETE", "OPTIONS", "M-SEARCH"}[d.IntN(9)],
		leaves: -1, early: -1, cut: -1, heard: make(chan heard, 1), leave: make(chan bool, 1),
		fields: d.lines("x-s", 12), said: d.lines("x-s", 12), lazy: d.chance(6), sleepy: d.chance(6),
	}
	s.target = "/" + s.id + [...]string{"", "/", "?", "/a%20b/;c=d?e=f&g", "/%e2%82%ac//x?a?b=%00", "/~" + strings.Repeat("long", 20)}[d.IntN(6)]
	s.asked = content{framing: "none"}
	if s.method[0] == 'P' || d.chance(8) && s.method != "HEAD" {
		s.asked = d.content("length", "chunks")
	}
	s.status = [...]int{200, 200, 200, 200, 201, 206, 404, 500, 204, 304, 203, 302}[d.IntN(12)]
	s.given = d.content("length", "length", "chunks", "end")
	if s.bodiless() {
		s.given.framing = [...]string{"length", "none"}[d.IntN(2)]
		s.given.pieces, s.given.trailers = nil, nil
		if s.status == 204 {
			s.given.framing = "none"
		}
	}
	if d.chance(5) {
		s.hints = slices.Repeat([]int{[...]int{102, 103, 110}[d.IntN(3)]}, 1+d.IntN(3))
	}
	s.parts = s.given.framing == "end" || d.chance(8)
	d.spoil(s)
	return s
}

// spoil has something unusual happen in some scenes.
func (d *director) spoil(s *scene) {
	body := s.asked.framing != "none"
	switch d.IntN(12) {
	case 0:
		s.old = true
		if s.asked.framing == "chunks" {
			s.asked.framing, s.asked.trailers = "length", nil
		}
	case 1:
		s.last = true
	case 2:
		s.half = true
	case 3:
		if body {
			s.expect, s.wants = true, d.chance(2)
			if !s.wants {
				s.early, s.parts = 0, true
			}
		}
	case 4:
		if s.asked.size > 0 {
			s.early, s.parts = d.IntN(s.asked.size), true
		}
	case 5, 6:
		if !s.bodiless() && s.given.size > 0 {
			s.cut, s.breaks = d.IntN(s.given.size), d.chance(2)
			s.breaks = s.breaks || s.given.framing == "end"
		}
	case 7:
		if s.asked.size > 0 {
			s.leaves, s.breaks = d.IntN(s.asked.size), d.chance(2)
		}
	}
}

// bodiless reports whether the answer has no body whatever it says (RFC 9112 §6.3).
func (s *scene) bodiless() bool { return s.method == "HEAD" || s.status == 204 || s.status == 304 }

// ends reports whether the client's connection of HTTP/1.x may end behind the answer, and whether it must.
func (s *scene) ends() (may, must bool) {
	must = s.old || s.last || s.half
	return must || s.early >= 0 || s.cut >= 0 || s.leaves >= 0, must
}

// asks returns what the node must hear, or the most of it.
func (s *scene) asks() heard {
	h := heard{line: s.method + " " + s.target, fields: s.fields, body: s.asked.bytes(), trailers: s.asked.trailers}
	if s.asked.framing == "length" {
		h.length = fmt.Sprint(s.asked.size)
	}
	return h
}

// answers returns what the client must hear, or the most of it.
func (s *scene) answers(old bool) heard {
	h := heard{interim: s.hints, status: s.status, fields: s.said, body: s.given.bytes(), trailers: s.given.trailers}
	if s.given.framing == "length" {
		h.length = fmt.Sprint(s.given.size)
	}
	if s.wants {
		h.interim = append([]int{100}, s.hints...)
	}
	if s.bodiless() {
		h.body = ""
	}
	if old {
		h.interim, h.trailers = nil, nil
	}
	return h
}

// differs returns what is not as it was meant. What must not be whole may end anywhere, but must not look whole.
func (got *heard) differs(want heard, whole bool) error {
	switch {
	case got.line != want.line || got.status != want.status:
		return fmt.Errorf("%q %d, want %q %d", got.line, got.status, want.line, want.status)
	case !slices.Equal(got.interim, want.interim):
		return fmt.Errorf("interim %v, want %v", got.interim, want.interim)
	case !slices.Equal(got.fields, want.fields):
		return fmt.Errorf("fields %q, want %q", got.fields, want.fields)
	case got.length != want.length:
		return fmt.Errorf("content-length %q, want %q", got.length, want.length)
	case !strings.HasPrefix(want.body, got.body):
		return fmt.Errorf("other %d bytes of %d", len(got.body), len(want.body))
	case whole && (got.cut != nil || len(got.body) < len(want.body)):
		return fmt.Errorf("%d bytes of %d, cut by %w", len(got.body), len(want.body), got.cut)
	case !whole && got.cut == nil:
		return fmt.Errorf("%d bytes of %d look whole", len(got.body), len(want.body))
	case whole && !slices.Equal(got.trailers, want.trailers):
		return fmt.Errorf("trailers %q, want %q", got.trailers, want.trailers)
	}
	return nil
}

// note takes a field of a head or a trailer into what was heard, where it belongs to the scene.
func note(list []string, name, value string) []string {
	if name = strings.ToLower(name); strings.HasPrefix(name, "x-s-") {
		list = append(list, name+": "+value)
	}
	return list
}

// reading reads as slowly as a scene has it.
func reading(r io.Reader, slowly bool) io.Reader {
	if slowly {
		return &slowReader{r, 0}
	}
	return r
}

type slowReader struct {
	io.Reader
	reads int
}

func (r *slowReader) Read(b []byte) (int, error) {
	if r.reads++; r.reads%8 == 0 && r.reads < 200 {
		time.Sleep(time.Millisecond) // as with pauses
	}
	return r.Reader.Read(b[:min(len(b), 700*r.reads)])
}
