package proxy

import (
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strconv"
	"strings"
)

// node answers the requests of one connection, each by its fate.
func (x *chaos) node(c *nodeConn, rnd *rand.Rand) {
	for {
		head := c.head()
		if head == "" {
			return
		}
		id := fieldOf(head, "X-Id")
		x.checkHead(head, id)
		fate := rnd.IntN(100)
		if id == "calm" {
			fate = 99
		}
		switch {
		case fate < 4:
			c.reset()
			return
		case fate < 6: // early, and no more is read
			c.write(fmt.Sprintf("HTTP/1.1 200 OK\r\nX-Id: %s\r\nContent-Length: %d\r\n\r\n%s", id, len(chaosBody(id)), chaosBody(id)))
			c.Close()
			return
		case fate < 50 && fieldOf(head, "Expect") != "":
			c.write("HTTP/1.1 100 Continue\r\nX-Id: " + id + "\r\n\r\n")
		}
		if !x.takeBody(c, head, id) {
			return
		}
		if strings.HasPrefix(head, "POST ") {
			if _, twice := x.posts.LoadOrStore(id, true); twice {
				x.t.Errorf("POST %s was sent twice", id)
			}
		}
		if !x.answer(c, rnd, &chaosAnswer{id: id, body: chaosBody(id), bodiless: strings.HasPrefix(head, "HEAD ")}, fate) {
			return
		}
	}
}

// checkHead fails the test for a head that is not one request of one client.
func (x *chaos) checkHead(head, id string) {
	_, rest, _ := strings.Cut(head, " ")
	if path, _, _ := strings.Cut(rest, " "); path != "/"+id || id == "evil" || !strings.Contains(head, " HTTP/1.1\r\n") {
		x.t.Errorf("a node got a request that nobody has sent: %q", head)
	}
	for _, name := range []string{"Host", "X-Id", "X-Forwarded-For"} {
		if n := strings.Count(strings.ToLower(head), "\r\n"+strings.ToLower(name)+": "); n != 1 {
			x.t.Errorf("%d fields %s in %q", n, name, head)
		}
	}
	if fieldOf(head, "Content-Length") != "" && fieldOf(head, "Transfer-Encoding") != "" {
		x.t.Errorf("two framings in %q", head)
	}
}

// takeBody reads the body of a request and compares it with its checksum, and its trailer with its id. It reports whether the body was whole.
func (x *chaos) takeBody(c *nodeConn, head, id string) bool {
	var body, trailer string
	if n, err := strconv.Atoi(fieldOf(head, "Content-Length")); err == nil {
		if body = c.take(n); len(body) < n {
			return false
		}
	} else if fieldOf(head, "Transfer-Encoding") != "" {
		a := &answer{}
		if a.readChunks(c.r) != nil {
			return false
		}
		body, trailer = a.body, a.trailer
	}
	if sum := fmt.Sprint(crc32.ChecksumIEEE([]byte(body))); body != "" && sum != fieldOf(head, "X-Sum") {
		x.t.Errorf("the body of %s came as %d bytes with checksum %s: %q", id, len(body), sum, head)
	}
	if fieldOf(head, "Trailer") != "" && !strings.EqualFold(trailer, "X-Trailer: "+id+"\r\n") {
		x.t.Errorf("the trailer of %s came as %q", id, trailer)
	}
	return true
}

// chaosAnswer is what is to be answered; bodiless is for HEAD.
type chaosAnswer struct {
	id, body string
	bodiless bool
}

// with returns a head with those lines, and the bytes of the body behind it where there is one.
func (a *chaosAnswer) with(line, fields, body string) string {
	if a.bodiless {
		body = ""
	}
	return line + "\r\nX-Id: " + a.id + "\r\n" + fields + "\r\n" + body
}

// answer does what fate wants and reports whether the connection can go on.
func (x *chaos) answer(c *nodeConn, rnd *rand.Rand, a *chaosAnswer, fate int) bool {
	const fine = "HTTP/1.1 200 OK"
	length := fmt.Sprintf("Content-Length: %d\r\n", len(a.body))
	switch {
	case fate < 8:
		c.Close()
		return false
	case fate < 10:
		c.write("ICY 200 OK\r\n\r\n")
		return false
	case fate < 12:
		c.write(fine[:rnd.IntN(len(fine))])
		return false
	case fate < 15: // cut
		c.write(a.with(fine, length, a.body[:len(a.body)/2]))
		if rnd.IntN(2) == 0 {
			c.reset()
		}
		return false
	case fate < 17:
		c.write(a.with(fine, "Transfer-Encoding: chunked\r\n", "5\r\n<cut>\r\n"))
		return false
	case fate < 18:
		c.hold() // until the gateway has had enough
		return false
	case fate < 20:
		c.write(a.with("HTTP/1.1 503 Busy", "Content-Length: 0\r\n", ""))
		return true
	case fate < 22 && !mode.up.http2: // what the gateway must not pass on, and net/http does
		c.write(a.with(fine, length+"Transfer-Encoding: chunked\r\n", "0\r\n\r\n"))
		c.hold()
		return false
	case fate < 24:
		c.write(a.with("HTTP/1.1 204 No Content", "", ""))
		return true
	case fate < 28:
		c.write(a.with("HTTP/1.0 200 OK", "", a.body))
		return false
	case fate < 42:
		c.write("HTTP/1.1 103 Early Hints\r\nX-Id: " + a.id + "\r\n\r\n" + a.with(fine, "Transfer-Encoding: chunked\r\n", ""))
		if !a.bodiless {
			for rest := a.body; rest != ""; {
				n := min(len(rest), 1+rnd.IntN(30000))
				c.write(fmt.Sprintf("%x;n=%d\r\n%s\r\n", n, n, rest[:n]))
				rest = rest[n:]
			}
			c.write("0\r\nX-Trailer: " + a.id + "\r\nX-Forwarded-For: evil\r\n\r\n")
		}
		return true
	case fate < 47: // in small pieces
		whole := a.with(fine, length, a.body)
		for range 20 {
			n := min(len(whole), 1+rnd.IntN(100))
			c.write(whole[:n])
			whole = whole[n:]
		}
		c.write(whole)
		return true
	case fate < 49: // more than was asked for
		c.write(a.with(fine, length, a.body) + "HTTP/1.1 200 OK\r\nX-Id: poison\r\nContent-Length: 0\r\n\r\n")
		c.hold()
		return false
	}
	c.write(a.with(fine, length, a.body))
	return true
}

// fieldOf returns the value of a field of a head, whatever the case of its name: HTTP/2 has written it small.
func fieldOf(head, name string) string {
	for line := range strings.SplitSeq(head, "\r\n") {
		if key, value, _ := strings.Cut(line, ": "); strings.EqualFold(key, name) {
			return value
		}
	}
	return ""
}
