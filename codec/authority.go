package codec

import "sluice/internal/ascii"

// ValidAuthority reports whether a is uri-host [ ":" port ] with a host that is not empty (RFC 9110 §4.2.1, RFC 3986 §3.2.2). There is no user
// information in it. An empty port is valid; one beyond 65535 is not. A name has no empty label between two dots (RFC 1034 §3.1): "a..example" could be read as
// "a.example".
func ValidAuthority(a []byte) bool {
	if len(a) == 0 {
		return false
	}
	if a[0] == '[' {
		for i, c := range a {
			if c == ']' {
				return validLiteral(a[1:i]) && validPort(a[i+1:])
			}
		}
		return false
	}
	for i := 0; i < len(a); i++ {
		switch c := a[i]; {
		case c == '.' && i > 0 && a[i-1] == '.':
			return false
		case ascii.Class[c]&ascii.RegName != 0:
		case c == ':':
			return i > 0 && validPort(a[i:])
		case c == '%' && i+2 < len(a) && ascii.Class[a[i+1]]&ascii.Class[a[i+2]]&ascii.Hex != 0:
			i += 2
		default:
			return false
		}
	}
	return true
}

// validPort reports whether p is empty or ":" and at most a port number.
func validPort(p []byte) bool {
	if len(p) == 0 {
		return true
	}
	if p[0] != ':' {
		return false
	}
	n := 0
	for _, c := range p[1:] {
		if ascii.Class[c]&ascii.Digit == 0 {
			return false
		}
		if n = n*10 + int(c-'0'); n > 65535 {
			return false
		}
	}
	return true
}

// validLiteral reports whether b, what stands in the brackets of an IP literal, is an IPv6 address or IPvFuture. A zone is not
// valid: it means something on one host only.
func validLiteral(b []byte) bool {
	if len(b) > 0 && b[0]|0x20 == 'v' {
		return validFuture(b[1:])
	}
	return validIPv6(b)
}

// validFuture checks 1*HEXDIG "." 1*( unreserved / sub-delims / ":" ).
func validFuture(b []byte) bool {
	i := 0
	for i < len(b) && ascii.Class[b[i]]&ascii.Hex != 0 {
		i++
	}
	if i == 0 || i+1 >= len(b) || b[i] != '.' {
		return false
	}
	for _, c := range b[i+1:] {
		if ascii.Class[c]&ascii.RegName == 0 && c != ':' {
			return false
		}
	}
	return true
}

// validIPv6 checks eight groups of one to four hexadecimal digits, of which one run may be written "::", and the last two as an IPv4 address.
func validIPv6(b []byte) bool {
	groups, gap := 0, false
	if len(b) >= 2 && b[0] == ':' && b[1] == ':' {
		gap, b = true, b[2:]
	}
	for len(b) > 0 {
		i := 0
		for i < len(b) && ascii.Class[b[i]]&ascii.Hex != 0 {
			i++
		}
		if i < len(b) && b[i] == '.' {
			return validIPv4(b) && fits(groups+2, gap)
		}
		groups++
		if i == 0 || i > 4 || groups > 8 {
			return false
		}
		if b = b[i:]; len(b) == 0 {
			break
		}
		if b[0] != ':' || len(b) == 1 {
			return false
		}
		if b = b[1:]; b[0] == ':' {
			if gap {
				return false
			}
			gap, b = true, b[1:]
		}
	}
	return fits(groups, gap)
}

// fits reports whether so many groups make an address; "::" stands for at least one.
func fits(groups int, gap bool) bool {
	return groups == 8 || gap && groups < 8
}

// validIPv4 checks four decimal numbers up to 255 without leading zeros.
func validIPv4(b []byte) bool {
	for part := range 4 {
		i, n := 0, 0
		for i < len(b) && i < 3 && ascii.Class[b[i]]&ascii.Digit != 0 {
			n = n*10 + int(b[i]-'0')
			i++
		}
		if i == 0 || n > 255 || i > 1 && b[0] == '0' {
			return false
		}
		if b = b[i:]; part == 3 {
			break
		}
		if len(b) == 0 || b[0] != '.' {
			return false
		}
		b = b[1:]
	}
	return len(b) == 0
}
