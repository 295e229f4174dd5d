package router

import (
	"bytes"
	"strings"
)

// hosts is a tree over host names written backwards and in lower case: "moc.elpmaxe" is example.com, "moc.elpmaxe." with its dot is
// *.example.com, and "" is any host. Read backwards, all the hosts that apply to a request lie on one way down, the
// better the deeper.
type hosts[T any] = node[paths[T]]

// hostKey returns the key of a host as a rule has it.
func hostKey(host string) (string, error) {
	if host == "*" {
		return "", nil
	}
	name, wildcard := strings.CutPrefix(host, "*.")
	name = strings.TrimSuffix(name, ".")
	if err := checkHost(name); err != nil {
		return "", err
	}
	key := make([]byte, 0, len(name)+1)
	for i := len(name) - 1; i >= 0; i-- {
		key = append(key, lower(name[i]))
	}
	if wildcard {
		key = append(key, '.')
	}
	return string(key), nil
}

// hostName is the reverse of hostKey, for people.
func hostName(key string) string {
	if key == "" {
		return "*"
	}
	name := make([]byte, 0, len(key)+1)
	if key[len(key)-1] == '.' {
		name = append(name, '*')
	}
	for i := len(key) - 1; i >= 0; i-- {
		name = append(name, key[i])
	}
	return string(name)
}

// checkHost refuses what no request's host can be equal to (RFC 9110 §4.2, RFC 1123 §2.1; underscores as they are in use).
func checkHost(name string) error {
	if address, ok := strings.CutPrefix(name, "["); ok {
		address, port, closed := strings.Cut(address, "]")
		switch {
		case strings.HasPrefix(port, ":"):
			return errHostPort
		case !closed || port != "" || strings.Trim(address, "0123456789abcdefABCDEF:.") != "":
			return errHostChar
		}
		return nil
	}
	if len(name) > 253 { // RFC 1035 §2.3.4: 255 bytes on the wire
		return errHostLong
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" {
			return errHostEmpty
		}
	}
	for i := range len(name) {
		switch c := name[i]; {
		case c == '*':
			return errHostStar
		case c == ':':
			return errHostPort
		case !unreserved(c) || c == '~':
			return errHostChar
		}
	}
	return nil
}

// BareHost returns a request's host without its port and one trailing dot.
func BareHost(host []byte) []byte {
	if len(host) > 0 && host[0] == '[' { // an IPv6 address has colons of its own
		if end := bytes.IndexByte(host, ']'); end >= 0 {
			return host[:end+1]
		}
		return host
	}
	if colon := bytes.IndexByte(host, ':'); colon >= 0 {
		host = host[:colon]
	}
	if n := len(host); n > 0 && host[n-1] == '.' {
		host = host[:n-1]
	}
	return host
}

// visitHosts searches the hosts of tree that apply, the best first, until one has a rule. host is what the keys above have left
// of the name, to be read from its end. The recursion is as deep as there are hosts that apply.
func (s *search[T]) visitHosts(tree *hosts[T], host []byte) {
	n, known := tree, 0 // known: as in visit
	for {
		if len(host) < len(n.prefix) || !endsBackwards(host, n.prefix, known) {
			return
		}
		host = host[:len(host)-len(n.prefix)]
		var kid *hosts[T]
		if len(host) > 0 {
			kid = n.kid(lower(host[len(host)-1]))
		}
		if n.value == nil && kid != nil {
			n, known = kid, 1
			continue
		}
		if kid != nil {
			s.visitHosts(kid, host)
		}
		if s.rule == nil && n.value != nil && applies(n.prefix, len(host)) {
			s.visit(n.value, s.query.Path)
		}
		return
	}
}

// endsBackwards reports whether host, read from its end in lower case, begins with prefix. The first known bytes are known to
// be right.
func endsBackwards(host []byte, prefix string, known int) bool {
	for i := known; i < len(prefix); i++ {
		if lower(host[len(host)-1-i]) != prefix[i] {
			return false
		}
	}
	return true
}

// applies reports whether a host whose key ends with prefix applies to a name of which left bytes are left.
func applies(prefix string, left int) bool {
	switch {
	case prefix == "": // any host
		return true
	case prefix[len(prefix)-1] == '.': // *.suffix, which needs something before the dot
		return left > 0
	}
	return left == 0
}

func lower(c byte) byte {
	if c-'A' < 26 {
		return c | 0x20
	}
	return c
}
