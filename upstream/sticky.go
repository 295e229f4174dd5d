package upstream

import (
	"strconv"
	"time"
)

// A sticky session is a cookie with the node's id. It tells nothing of the node's address and is worth nothing to forge: whoever does has chosen a node.

// cookie returns what a client is told that has been sent to n.
func (s *Service) cookie(n *Node) []byte {
	text := s.StickyCookie + "=" + strconv.FormatUint(n.id, 16) + "; Path=/; HttpOnly; SameSite=Lax"
	if s.stickyTTL > 0 {
		text += "; Max-Age=" + strconv.FormatInt(int64(s.stickyTTL/time.Second), 10)
	}
	return []byte(text)
}

// Cookie returns the value of a Set-Cookie field that keeps a client with n, or nil. It must not be changed.
func (s *Service) Cookie(n *Node) []byte { return s.state.roster.Load().cookies[n] }

// ParseSticky returns the id that the value of a sticky cookie names, 0 where it names none.
func ParseSticky(value []byte) uint64 {
	var id uint64
	if len(value) > 2*8 {
		return 0
	}
	for _, c := range value {
		switch {
		case c >= '0' && c <= '9':
			id = id<<4 | uint64(c-'0')
		case c >= 'a' && c <= 'f':
			id = id<<4 | uint64(c-'a'+10)
		default:
			return 0
		}
	}
	return id
}
