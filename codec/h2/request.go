package h2

import (
	"bytes"

	"sluice/codec"
	"sluice/internal/ascii"
)

// ReadRequest decodes the header block that EventOpen has announced into req, whose bytes are appended to dst[:0]; it returns that slice, which req refers to. ended is the event's End. lim are
// the limits of a head in HTTP/1.1: Headers counts names and values and four bytes a field, as the colon, a space and CRLF are there. The error is a *[codec.Reject] where the
// request is refused, and a *[Error] where the connection cannot go on. After a Reject req is of no use but for what is fit for a log.
//
// An extended CONNECT for WebSocket (RFC 8441) becomes the GET with Upgrade that it stands for, see codec.Request.UpgradeAsks.
func (c *Conn) ReadRequest(dst []byte, req *codec.Request, ended bool, lim *codec.Limits) ([]byte, error) {
	f := &c.fields
	f.reset(dst, &req.Header, lim, requestHead)
	req.Reset(nil)
	dst, err := c.readFields()
	req.Rebase(dst)
	req.Version, req.KeepAlive = codec.HTTP2, true
	if err == nil {
		f.applyPath(req)
		err = f.finishRequest(req, ended)
	} else {
		f.applyPath(req)
	}
	f.dst, f.header = nil, nil
	return dst, err
}

// applyPath stores what there is of the request line, whether it is right or not.
func (f *fields) applyPath(req *codec.Request) {
	target := f.pseudo[pseudoPath]
	path, query := target, codec.Span{Off: target.Off + target.Len}
	if i := bytes.IndexByte(f.bytes(target), '?'); i >= 0 {
		path.Len = uint32(i)
		query = codec.Span{Off: target.Off + uint32(i) + 1, Len: target.Len - uint32(i) - 1}
	}
	req.SetLine(f.pseudo[pseudoMethod], target, path, query)
	req.Method = codec.ParseMethod(f.bytes(f.pseudo[pseudoMethod]))
	if f.has(pseudoAuthority) {
		req.SetHostSpan(f.pseudo[pseudoAuthority])
	} else {
		req.SetHostSpan(f.host)
	}
}

// finishRequest does what needs the whole head.
func (f *fields) finishRequest(req *codec.Request, ended bool) error {
	if !f.has(pseudoMethod) {
		return ErrPseudoMissing
	}
	method := f.bytes(f.pseudo[pseudoMethod])
	for _, c := range method {
		if ascii.Class[c]&ascii.Token == 0 {
			return ErrMethod
		}
	}
	if len(method) == 0 {
		return ErrMethod
	}
	if req.Method == codec.MethodConnect && !f.has(pseudoProtocol) {
		if f.has(pseudoPath) || f.has(pseudoScheme) || !f.has(pseudoAuthority) {
			return ErrPseudoMissing // RFC 9113 §8.5
		}
		return ErrConnect
	}
	if err := f.checkTarget(req); err != nil {
		return err
	}
	if err := f.checkHost(req); err != nil {
		return err
	}
	if f.has(pseudoProtocol) {
		return f.finishConnect(req, ended)
	}
	req.Expect100 = f.expects && !ended
	f.joinCookies(req)
	return f.frame(&req.Framing, ended)
}

// checkTarget looks at :scheme and :path (RFC 9113 §8.3.1).
func (f *fields) checkTarget(req *codec.Request) error {
	if !f.has(pseudoScheme) || !f.has(pseudoPath) {
		return ErrPseudoMissing
	}
	if scheme := f.bytes(f.pseudo[pseudoScheme]); !ascii.EqualFold(scheme, "http") && !ascii.EqualFold(scheme, "https") {
		return ErrScheme
	}
	target := req.Target()
	if len(target) == 0 || target[0] != '/' && (string(target) != "*" || req.Method != codec.MethodOptions) {
		return ErrPath
	}
	for _, c := range target {
		if ascii.Class[c]&ascii.Target == 0 {
			return ErrPath
		}
	}
	return nil
}

// checkHost looks at :authority and Host, of which one must be there, and both the same (RFC 9113 §8.3.1).
func (f *fields) checkHost(req *codec.Request) error {
	if !codec.ValidAuthority(req.Host()) {
		return ErrAuthority
	}
	if f.hosted && f.has(pseudoAuthority) && !bytes.EqualFold(f.bytes(f.host), req.Host()) {
		return ErrHost
	}
	return nil
}

// finishConnect turns an extended CONNECT (RFC 8441 §4) into what it stands for. Only WebSocket is known: any other protocol could be one that carries requests past
// routes and plugins.
func (f *fields) finishConnect(req *codec.Request, ended bool) error {
	if req.Method != codec.MethodConnect {
		return ErrPseudo
	}
	protocol := f.bytes(f.pseudo[pseudoProtocol])
	if ended || f.length >= 0 || !ascii.EqualFold(protocol, "websocket") {
		return ErrConnect
	}
	f.joinCookies(req)
	req.SetMethod(get)
	req.UpgradeAsks = true
	req.Header.AddID(codec.FieldUpgrade, "Upgrade", websocket)
	return nil
}

var get, websocket = []byte("GET"), []byte("websocket")

// frame says how the body is delimited.
func (f *fields) frame(framing *codec.Framing, ended bool) error {
	switch {
	case ended && f.length > 0:
		return ErrContentLength
	case f.length >= 0:
		*framing = codec.Framing{Kind: codec.BodyLength, Length: f.length}
	case !ended:
		*framing = codec.Framing{Kind: codec.BodyStream}
	}
	return nil
}

// joinCookies makes one Cookie field of those that a client has split for the sake of compression (RFC 9113 §8.2.3): an HTTP/1.1 node expects one.
func (f *fields) joinCookies(req *codec.Request) {
	if f.cookies < 2 {
		return
	}
	h := &req.Header
	first := h.Find("cookie")
	joined := f.dst[len(f.dst):]
	for i := first; i >= 0; i = h.FindFrom(i+1, "cookie") {
		if i > first {
			joined = append(joined, "; "...)
			h.Remove(i)
		}
		joined = append(joined, h.Value(i)...)
	}
	h.Set("cookie", joined)
}
