package h1

import (
	"fmt"
	"strings"

	"sluice/codec"
	"sluice/codec/codectest"
)

// The runs below write down everything a parser says, so that two outcomes are the same when the strings are.

func requestRun(lim *codec.Limits) codectest.Run {
	var req codec.Request
	req.Reset(nil)
	return func(buf []byte) (string, bool) {
		n, err := ParseRequest(buf, &req, lim)
		switch {
		case err != nil:
			return "reject: " + err.Error(), true
		case n == 0:
			return "unfinished", false
		}
		return fmt.Sprintf("%d bytes\n%s", n, dumpRequest(&req)), true
	}
}

func dumpRequest(req *codec.Request) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %d %s %s\n", req.MethodBytes(), req.Method, req.Target(), req.Version)
	fmt.Fprintf(&b, "host %q path %q query %q\n", req.Host(), req.Path(), req.Query())
	fmt.Fprintf(&b, "body %s%s%s%s\n", dumpFraming(req.Framing), flag(req.KeepAlive, "keep-alive"), flag(req.Expect100, "expect"),
		flag(req.UpgradeAsks, "upgrade"))
	dumpHeader(&b, &req.Header)
	return b.String()
}

func responseRun(method codec.Method, lim *codec.Limits) codectest.Run {
	var resp codec.Response
	resp.Reset(nil)
	return func(buf []byte) (string, bool) {
		n, err := ParseResponse(buf, &resp, method, lim)
		switch {
		case err != nil:
			return "reject: " + err.Error(), true
		case n == 0:
			return "unfinished", false
		}
		return fmt.Sprintf("%d bytes\n%s", n, dumpResponse(&resp)), true
	}
}

func dumpResponse(resp *codec.Response) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %d %q\n", resp.Version, resp.Status, resp.Reason())
	fmt.Fprintf(&b, "body %s%s\n", dumpFraming(resp.Framing), flag(resp.KeepAlive, "keep-alive"))
	dumpHeader(&b, &resp.Header)
	return b.String()
}

// bodyRun decodes what follows; a connection that ends after total bytes is told to the decoder.
func bodyRun(f codec.Framing, total int, lim *codec.Limits) codectest.Run {
	return bodyDecoderRun(total, func(d *BodyDecoder) { d.Reset(f, lim) })
}

// bodyDecoderRun is bodyRun for a decoder that is readied in some other way.
func bodyDecoderRun(total int, ready func(*BodyDecoder)) codectest.Run {
	var d BodyDecoder
	ready(&d)
	var data []byte
	at := 0
	return func(buf []byte) (string, bool) {
		for {
			run, n, err := d.Next(buf[at:])
			if err != nil {
				return fmt.Sprintf("data %q reject: %v", data, err), true
			}
			at += n
			data = append(data, run...)
			if d.Done() {
				var b strings.Builder
				fmt.Fprintf(&b, "data %q at %d", data, at)
				if t := d.Trailer(); t != nil {
					b.WriteString("\n")
					dumpHeader(&b, t)
				}
				return b.String(), true
			}
			if n == 0 {
				break
			}
		}
		if len(buf) < total {
			return "", false
		}
		if err := d.EOF(); err != nil {
			return fmt.Sprintf("data %q reject: %v", data, err), true
		}
		return fmt.Sprintf("data %q at eof", data), true
	}
}

func dumpHeader(b *strings.Builder, h *codec.Header) {
	for i := range h.Len() {
		if !h.Removed(i) {
			fmt.Fprintf(b, "%s: %q\n", h.Name(i), h.Value(i))
		}
	}
}

func dumpFraming(f codec.Framing) string {
	switch f.Kind {
	case codec.BodyNone:
		return "none"
	case codec.BodyLength:
		return fmt.Sprint("length ", f.Length)
	case codec.BodyStream:
		return "stream"
	case codec.BodyClose:
		return "close"
	}
	return "?"
}

func flag(on bool, name string) string {
	if on {
		return ", " + name
	}
	return ""
}
