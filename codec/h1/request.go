package h1

import (
	"bytes"

	"sluice/codec"
	"sluice/internal/ascii"
)

// ParseRequest parses the head of a request from the front of buf. It returns n > 0 when the head is complete and takes n bytes;
// 0 and nil when more bytes are needed; an error, always a *[codec.Reject], when the request is refused.
//
// The caller calls req.Reset(buf) before the first call, and while it gets 0 and nil calls again with a buffer that begins with the
// same bytes, grown and possibly moved. req refers to buf and is valid as long as those bytes stay. After an error req is of no use but for what was
// set before it, which is fit for a log only.
func ParseRequest(buf []byte, req *codec.Request, lim *codec.Limits) (n int, err error) {
	req.Rebase(buf)
	p := &req.Progress
	if p.Stage < atLine {
		if done, err := parseRequestLine(buf, req, lim); !done {
			return 0, err
		}
	}
	h := &req.Header
	for {
		result, err := parseFields(buf, h, p, lim, requestFields)
		switch {
		case err != nil:
			return 0, err
		case result == lineUnfinished:
			return 0, nil
		case result == lineEnd:
			if err := finishRequest(req); err != nil {
				return 0, err
			}
			return p.Scanned, nil
		}
		if err := requestField(req, h.Len()-1, lim); err != nil {
			return 0, err
		}
	}
}

// parseRequestLine parses the request line, RFC 9112 §3. done is false when more bytes are needed and on error.
func parseRequestLine(buf []byte, req *codec.Request, lim *codec.Limits) (done bool, err error) {
	p := &req.Progress
	if p.Stage == atStart {
		if ok, err := skipEmptyLines(buf, p, lim); !ok {
			return false, err
		}
		p.Stage = inMethod
	}
	w := buf // what may be looked at: one byte more than the limit, for the CR
	limit := p.Scanned + lim.RequestLine + 1
	if len(w) > limit {
		w = w[:limit]
	}
	switch p.Stage {
	case inMethod:
		i := scanToken(w, p.Seen)
		p.Seen = i
		if i == len(w) {
			return false, unfinishedLine(i, limit)
		}
		if w[i] != ' ' || i == p.Scanned {
			return false, methodReject(w[i])
		}
		p.Cut[0], p.Seen, p.Stage = i, i+1, inTarget
		fallthrough
	case inTarget:
		i := scanTarget(w, p.Seen)
		p.Seen = i
		if i == len(w) {
			return false, unfinishedLine(i, limit)
		}
		if w[i] != ' ' || i == p.Cut[0]+1 {
			return false, targetReject(w[i])
		}
		p.Cut[1], p.Seen, p.Stage = i, i+1, inVersion
		fallthrough
	default: // inVersion
		v := w[p.Cut[1]+1:]
		if ok, err := parseVersion(v, &req.Version); !ok {
			if err == nil {
				err = unfinishedLine(len(w), limit)
			}
			return false, err
		}
		lf := p.Cut[1] + 1 + versionLen + 1
		if lf >= len(buf) {
			return false, nil
		}
		if buf[lf] != '\n' {
			return false, ErrBareCR
		}
		method, target := span(p.Scanned, p.Cut[0]), span(p.Cut[0]+1, p.Cut[1])
		p.Scanned, p.Seen, p.Fields, p.Stage = lf+1, lf+1, lf+1, atLine
		err := setRequestLine(buf, req, method, target)
		return err == nil, err
	}
}

// skipEmptyLines skips the empty lines that may stand before a request line (RFC 9112 §2.2). ok is false until it is known where they end.
func skipEmptyLines(buf []byte, p *codec.Progress, lim *codec.Limits) (ok bool, err error) {
	i := p.Scanned
	for i < len(buf) && buf[i] == '\r' {
		if i+2 > lim.RequestLine {
			return false, ErrEmptyLines
		}
		if i+1 == len(buf) {
			break
		}
		if buf[i+1] != '\n' {
			return false, ErrBareCR
		}
		i += 2
	}
	p.Scanned, p.Seen = i, i
	return i < len(buf) && buf[i] != '\r', nil
}

// unfinishedLine returns why a start line whose bytes ran out at end cannot be finished, or nil when more bytes may.
func unfinishedLine(end, limit int) error {
	if end >= limit {
		return ErrLineTooLong
	}
	return nil
}

func methodReject(c byte) error {
	switch c {
	case '\n':
		return ErrBareLF
	case '\r':
		return ErrRequestLine
	}
	return ErrMethod
}

func targetReject(c byte) error {
	switch c {
	case '\n':
		return ErrBareLF
	case '\r':
		return ErrRequestLine
	case '#':
		return ErrFragment
	case ' ':
		return ErrTargetEmpty
	}
	return ErrTargetByte
}

const versionLen = len("HTTP/1.1")

// parseVersion reads the version at the front of b and the CR behind it. ok is false, with no error, when b ends too early.
func parseVersion(b []byte, v *codec.Version) (ok bool, err error) {
	if len(b) > versionLen && string(b[:versionLen]) == "HTTP/1.1" && b[versionLen] == '\r' {
		*v = codec.HTTP11
		return true, nil
	}
	for i, c := range b[:min(len(b), versionLen)] {
		if !versionByte(i, c) {
			return false, textReject(c, ErrVersion)
		}
	}
	if len(b) <= versionLen {
		return false, nil
	}
	if c := b[versionLen]; c != '\r' {
		return false, textReject(c, ErrVersion)
	}
	switch string(b[:versionLen]) {
	case "HTTP/1.1":
		*v = codec.HTTP11
	case "HTTP/1.0":
		*v = codec.HTTP10
	default:
		return false, ErrVersionUnsupported
	}
	return true, nil
}

// versionByte reports whether c may be byte i of a version.
func versionByte(i int, c byte) bool {
	switch i {
	case 5, 7:
		return class[c]&isDigit != 0
	default:
		return c == "HTTP/1.1"[i]
	}
}

// requestFields are the fields that requestField applies.
const requestFields fieldSet = 1<<codec.FieldHost | 1<<codec.FieldContentLength | 1<<codec.FieldTransferEncoding |
	1<<codec.FieldConnection | 1<<codec.FieldUpgrade | 1<<codec.FieldExpect | 1<<codec.FieldLookalike

// requestField applies field i, which is one of requestFields.
func requestField(req *codec.Request, i int, lim *codec.Limits) error {
	p, value := &req.Progress, req.Header.Value(i)
	switch req.Header.ID(i) {
	case codec.FieldHost:
		return setHost(req, i)
	case codec.FieldContentLength:
		return setLength(value, p, &req.Framing)
	case codec.FieldTransferEncoding:
		return setCoding(value, p, req.Version, &req.Framing)
	case codec.FieldConnection:
		return connection(value, p, lim)
	case codec.FieldLookalike:
		req.Header.Remove(i) // RFC 3875 §4.1.18
	case codec.FieldUpgrade:
		if len(value) > 0 {
			p.Flags |= sawUpgrade
		}
	case codec.FieldExpect:
		if req.Version == codec.HTTP10 { // to be ignored, here and at the node, which gets the request as HTTP/1.1 (RFC 9110 §10.1.1)
			req.Header.Remove(i)
			return nil
		}
		return expectation(value, p)
	}
	return nil
}

// expectation applies an Expect field, a list of which one element is known (RFC 9110 §10.1.1).
func expectation(value []byte, p *codec.Progress) error {
	for len(value) > 0 {
		var item []byte
		item, value = codec.NextListItem(value)
		switch {
		case len(item) == 0:
		case ascii.EqualFold(item, "100-continue"):
			p.Flags |= sawExpect
		default:
			return ErrExpectation
		}
	}
	return nil
}

// setHost applies the Host field (RFC 9112 §3.2). An empty value is refused: it is for targets without an authority, and those of http and
// https have one.
func setHost(req *codec.Request, i int) error {
	p := &req.Progress
	if p.Flags&sawHost != 0 {
		return ErrHostDuplicate
	}
	p.Flags |= sawHost
	value := req.Header.Value(i)
	if !codec.ValidAuthority(value) {
		return ErrHost
	}
	if p.Flags&absoluteForm == 0 {
		req.SetHostSpan(req.Header.ValueSpan(i))
	}
	return nil
}

// finishRequest does what needs the whole head.
func finishRequest(req *codec.Request) error {
	p := &req.Progress
	if p.Flags&sawHost == 0 && req.Version == codec.HTTP11 {
		return ErrHostMissing
	}
	if p.Flags&(absoluteForm|sawHost) == absoluteForm|sawHost {
		// The authority of the target is what counts, and the Host field that goes on is made equal to it (RFC 9112 §3.2.2).
		if host := req.Host(); !bytes.Equal(host, req.Header.Get("Host")) {
			req.SetHost(host)
		}
	}
	req.KeepAlive = keepAlive(p, req.Version)
	req.Expect100 = p.Flags&sawExpect != 0 && req.Framing.HasBody()
	req.UpgradeAsks = p.Flags&(saysUpgrade|sawUpgrade) == saysUpgrade|sawUpgrade && req.Version == codec.HTTP11
	return nil
}
