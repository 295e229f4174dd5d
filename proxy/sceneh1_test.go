package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
)

// Scenes over HTTP/1.x: both sides write every byte themselves, and read strictly.

// writeBody writes the first n bytes of a body in its framing, and its end where that is all of it.
func writeBody(w io.Writer, c *content, n int) error {
	err := c.write(n, func(p string) error {
		if c.framing == "chunks" {
			p = fmt.Sprintf("%x\r\n%s\r\n", len(p), p)
		}
		_, err := io.WriteString(w, p)
		return err
	})
	if err == nil && c.framing == "chunks" && n == c.size {
		_, err = io.WriteString(w, "0\r\n"+strings.Join(append(c.trailers, ""), "\r\n")+"\r\n")
	}
	return err
}

// frame returns the field that frames a body.
func (c *content) frame() string {
	switch c.framing {
	case "length":
		return fmt.Sprintf("Content-Length: %d\r\n", c.size)
	case "chunks":
		return "Transfer-Encoding: chunked\r\n"
	}
	return ""
}

// head returns the head of the request.
func (s *scene) head() string {
	var b strings.Builder
	version := "1.1"
	if s.old {
		version = "1.0"
	}
	fmt.Fprintf(&b, "%s %s HTTP/%s\r\nHost: a\r\n", s.method, s.target, version)
	for _, f := range s.fields {
		b.WriteString(f + "\r\n")
	}
	if s.last {
		b.WriteString("Connection: close\r\n")
	}
	if s.expect {
		b.WriteString("Expect: 100-continue\r\n")
	}
	return b.String() + s.asked.frame() + "\r\n"
}

// sceneConn is a client's connection of HTTP/1.x, with or without TLS.
type sceneConn struct {
	net.Conn
	r *bufio.Reader
}

// ask sends the request as it is meant. Before a body that is expected it waits for leave.
func (c *sceneConn) ask(s *scene) error {
	if _, err := io.WriteString(c, s.head()); err != nil {
		return err
	}
	if s.expect && !<-s.leave {
		return nil
	}
	if s.leaves >= 0 {
		err := writeBody(c, &s.asked, s.leaves)
		if s.breaks {
			_ = tcpOf(c.Conn).SetLinger(0)
		}
		return errors.Join(err, c.Close())
	}
	err := writeBody(c, &s.asked, s.asked.size)
	if s.half && err == nil {
		err = c.Conn.(interface{ CloseWrite() error }).CloseWrite()
	}
	return err
}

// hear reads the answer.
func (c *sceneConn) hear(s *scene) (h heard, ended bool, err error) {
	said := false
	defer func() {
		if !said {
			s.leave <- false
		}
	}()
	r := c.r
	if s.lazy {
		r = bufio.NewReader(reading(c.r, true))
	}
	for {
		a, err := readAnswer(r, s.method)
		if err != nil {
			return h, true, err
		}
		if a.status < 200 {
			if h.interim = append(h.interim, a.status); a.status == 100 && !said {
				said = true
				s.leave <- true
			}
			continue
		}
		h.status, h.body, h.cut, h.length = a.status, a.body, a.cut, a.get("Content-Length")
		h.fields = noteLines(a.head)
		h.trailers = noteLines(a.trailer)
		if r != c.r && r.Buffered() > 0 {
			return h, true, errors.New("bytes behind the answer")
		}
		ended = a.cut != nil || a.get("Connection") == "close" || s.half
		if ended && a.cut == nil {
			rest, err := io.ReadAll(c.r)
			if len(rest) > 0 || err != nil && s.early < 0 {
				return h, true, fmt.Errorf("%.100q and %w behind the last answer", rest, err)
			}
		}
		return h, ended, nil
	}
}

// noteLines notes the fields of lines.
func noteLines(lines string) (list []string) {
	for line := range strings.SplitSeq(lines, "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		list = note(list, name, strings.Trim(value, " "))
	}
	return list
}

// playH1 plays scenes on a connection after another, several requests at once where pipelined is set and none of them ends it.
func (p *play) playH1(scenes []*scene, dial func() (net.Conn, error), pipelined bool) {
	var c *sceneConn
	defer func() {
		if c != nil {
			c.Close()
		}
	}()
	for len(scenes) > 0 {
		if c == nil {
			conn, err := dial()
			if err != nil {
				p.wrong(scenes[0], "dial", err)
				return
			}
			c = &sceneConn{conn, bufio.NewReader(conn)}
		}
		n := 1
		for pipelined && n < len(scenes) && n < 4 {
			if ends, _ := scenes[n-1].ends(); ends || scenes[n-1].expect || scenes[n-1].lazy || scenes[n].leaves >= 0 {
				break
			}
			n++
		}
		if p.onConnH1(c, scenes[:n]) {
			c.Close()
			c = nil
		}
		scenes = scenes[n:]
	}
}

// onConnH1 plays scenes on one connection, and reports its end.
func (p *play) onConnH1(c *sceneConn, scenes []*scene) (ended bool) {
	var asking sync.WaitGroup
	defer asking.Wait()
	asking.Go(func() {
		for _, s := range scenes {
			if err := c.ask(s); err != nil {
				if s.early < 0 && s.leaves < 0 && s.cut < 0 {
					p.wrong(s, "ask", err)
				}
				return
			}
		}
	})
	for _, s := range scenes {
		h, over, err := c.hear(s)
		if s.leaves >= 0 {
			p.checkNode(s)
			return true
		}
		p.checkClient(s, h, s.old, err)
		p.checkNode(s)
		may, must := s.ends()
		if err == nil && (over && !may || must && !over) {
			p.wrong(s, "connection", fmt.Errorf("ended %v", over))
		}
		if over {
			return true
		}
	}
	return false
}

// sceneNodeH1 plays the node's part on one connection.
func (p *play) sceneNodeH1(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	for {
		head := ""
		for !strings.HasSuffix(head, "\r\n\r\n") {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			head += line
		}
		line, _, _ := strings.Cut(head, "\r\n")
		line, version := cutVersion(line)
		s := p.sceneOf(line)
		if s == nil || version != "HTTP/1.1" {
			p.wrong(&scene{}, "node", fmt.Errorf("head %q", head))
			return
		}
		if s.asked.framing == "none" && (fieldOf(head, "Content-Length")+fieldOf(head, "Transfer-Encoding") != "" && fieldOf(head, "Content-Length") != "0") {
			p.wrong(s, "node", fmt.Errorf("a body in %q", head))
		}
		if !p.onNodeConnH1(conn, r, s, line, head) {
			return
		}
	}
}

// cutVersion takes the version off a request line.
func cutVersion(line string) (rest, version string) {
	at := max(0, strings.LastIndexByte(line, ' '))
	return line[:at], strings.TrimSpace(line[at:])
}

// onNodeConnH1 hears one request and answers it, and reports whether the connection goes on.
func (p *play) onNodeConnH1(conn net.Conn, r *bufio.Reader, s *scene, line, head string) bool {
	h := heard{line: line, fields: noteLines(head), length: fieldOf(head, "Content-Length")}
	if s.asked.framing == "none" {
		h.length = ""
	}
	if s.expect && s.wants {
		if fieldOf(head, "Expect") != "100-continue" {
			p.wrong(s, "node", fmt.Errorf("no expectation in %q", head))
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\n")
	}
	h.read(s, reading(r, s.sleepy), head)
	p.heardAtNode(s, h)
	if s.leaves >= 0 && h.cut == nil {
		p.wrong(s, "node", errors.New("what was given up looks whole"))
	}
	if h.cut != nil && s.early < 0 {
		return false
	}
	for _, status := range s.hints {
		fmt.Fprintf(conn, "HTTP/1.1 %d Wait\r\nX-Hint: 1\r\n\r\n", status)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP/1.1 %d Done\r\n", s.status)
	for _, f := range s.said {
		b.WriteString(f + "\r\n")
	}
	if s.parts {
		b.WriteString("Connection: close\r\n")
	}
	b.WriteString(s.given.frame() + "\r\n")
	if _, err := io.WriteString(conn, b.String()); err != nil {
		return false
	}
	if s.bodiless() {
		return p.partH1(conn, r, s)
	}
	n := s.given.size
	if s.cut >= 0 {
		n = s.cut
	}
	if err := writeBody(conn, &s.given, n); err != nil {
		return false
	}
	if s.cut >= 0 {
		switch { // over TLS without a word
		case s.breaks && p.up.tls && s.cut%2 == 0:
			_ = tcpOf(conn).CloseWrite()
			_, _ = io.Copy(io.Discard, r)
			_ = tcpOf(conn).Close()
		case s.breaks:
			_ = tcpOf(conn).SetLinger(0)
			_ = tcpOf(conn).Close()
		}
		return false
	}
	return p.partH1(conn, r, s)
}

// partH1 ends the node's side where the scene has it, and reads what the gateway still sends, so that no reset takes the answer away.
func (p *play) partH1(conn net.Conn, r *bufio.Reader, s *scene) (goesOn bool) {
	if !s.parts {
		return true
	}
	_ = conn.(interface{ CloseWrite() error }).CloseWrite()
	_, _ = io.Copy(io.Discard, r)
	return false
}

// read reads a request's body, or as much of it as the node waits for.
func (h *heard) read(s *scene, from io.Reader, head string) {
	r := bufio.NewReaderSize(from, 16)
	switch {
	case s.early >= 0 && s.asked.framing == "chunks": // not further than what must come
		h.cut = io.ErrUnexpectedEOF
		for len(h.body) < s.early {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			n := 0
			_, _ = fmt.Sscanf(line, "%x\r\n", &n)
			b := make([]byte, min(n, s.early-len(h.body)))
			m, err := io.ReadFull(r, b)
			h.body += string(b[:m])
			if err != nil {
				return
			}
			if m == n {
				_, _ = r.Discard(2)
			}
		}
	case s.early >= 0:
		h.cut = io.ErrUnexpectedEOF
		b := make([]byte, s.early)
		n, _ := io.ReadFull(r, b)
		h.body = string(b[:n])
	case fieldOf(head, "Transfer-Encoding") == "chunked":
		a := new(answer)
		h.cut = a.readChunks(r)
		h.body, h.trailers = a.body, noteLines(a.trailer)
	default:
		b := make([]byte, s.asked.size)
		n, err := io.ReadFull(r, b)
		h.body, h.cut = string(b[:n]), err
	}
}
