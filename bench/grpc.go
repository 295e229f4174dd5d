package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Paths that are called in gRPC, see callee.
const (
	grpcPath      = "/bench.Unary/"
	grpcCallPath  = grpcPath + "Call"  // what is measured
	grpcCheckPath = grpcPath + "Check" // says which fields reached the origin
)

// grpcMessage is what is sent and answered: not compressed, 64 bytes long, the bytes.
const grpcMessage = "\x00\x00\x00\x00\x40" + smallBody

// callJob is unary calls over 16 connections.
func callJob() job {
	return job{path: grpcCallPath, size: int64(len(grpcMessage)), connections: 16, grpc: true}
}

// probeHTTP2 is probe for HTTP/2.
var probeHTTP2 = &http.Client{Transport: transportHTTP2()}

func transportHTTP2() *http.Transport {
	t := &http.Transport{DisableKeepAlives: true, TLSClientConfig: benchTLS(), Protocols: new(http.Protocols)}
	t.TLSClientConfig.NextProtos = []string{"h2"}
	t.Protocols.SetHTTP2(true)
	t.Protocols.SetUnencryptedHTTP2(true)
	return t
}

// call makes a unary call, and returns the message and the fields of the answer's head. A status other than 0 is an error.
func call(ctx context.Context, url string, fields http.Header) (string, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(grpcMessage))
	if err != nil {
		return "", nil, err
	}
	for name, values := range fields {
		req.Header[name] = values
	}
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("TE", "trailers")
	answer, res, err := askHTTP2(req)
	if err != nil {
		return "", nil, err
	}
	if status := res.Trailer.Get("Grpc-Status"); status != "0" {
		return "", nil, fmt.Errorf("%s: grpc-status is %q in the trailer %v, head %v", url, status, res.Trailer, res.Header)
	}
	return answer, res.Header, nil
}

// askHTTP2 returns the body of a 200 over HTTP/2.
func askHTTP2(req *http.Request) (string, *http.Response, error) {
	res, err := probeHTTP2.Do(req)
	if err != nil {
		return "", nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return "", nil, err
	}
	if res.StatusCode != http.StatusOK || res.ProtoMajor != 2 {
		return "", nil, fmt.Errorf("%s: %s %s: %.200s", req.URL, res.Proto, res.Status, answer)
	}
	return string(answer), res, nil
}

// expectAnswerHTTP2 is expectAnswer over HTTP/2.
func expectAnswerHTTP2(ctx context.Context, r *rival, j job) error {
	var answer string
	var err error
	if j.grpc {
		answer, _, err = call(ctx, r.urlHTTP2(j.path), nil)
	} else {
		var req *http.Request
		if req, err = http.NewRequestWithContext(ctx, http.MethodGet, r.urlHTTP2(j.path), nil); err == nil {
			answer, _, err = askHTTP2(req)
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", r.name, err)
	}
	return isAnswer(r, j, answer)
}
