package origin

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
)

// Echo is a request as it reached the origin, in the answer's body as JSON.
type Echo struct {
	Origin  string      `json:"origin"`  // the name of the instance that answered
	Method  string      `json:"method"`  //
	URI     string      `json:"uri"`     // the request target, as it was written
	Proto   string      `json:"proto"`   // such as "HTTP/1.1"
	Host    string      `json:"host"`    // the Host field
	Peer    string      `json:"peer"`    // address of the connection's other end: the gateway's
	Headers http.Header `json:"headers"` // all fields but Host; net/http has put the names into canonical case
	Body    Body        `json:"body"`
}

// Body is what the origin read of a request's body.
type Body struct {
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256,omitempty"` // in hex; empty for an empty body
	Error  string `json:"error,omitempty"`  // why it could not be read to its end
}

// echo reads the body to its end and answers with what came.
func (s *Server) echo(w http.ResponseWriter, r *http.Request, code int) {
	e := Echo{
		Origin: s.name, Method: r.Method, URI: r.RequestURI, Proto: r.Proto,
		Host: r.Host, Peer: r.RemoteAddr, Headers: r.Header,
	}
	sum := sha256.New()
	n, err := io.Copy(sum, r.Body)
	e.Body.Bytes = n
	if n > 0 {
		e.Body.SHA256 = hex.EncodeToString(sum.Sum(nil))
	}
	if err != nil {
		e.Body.Error = err.Error()
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	if code == http.StatusNoContent || code == http.StatusNotModified {
		return // these have no body
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(&e) // a client that has gone needs no answer
}
