package proxy

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

var (
	dateLine  = regexp.MustCompile(`Date: [A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT`)
	requestID = regexp.MustCompile(`"request_id":"[0-9a-f]{32}"`)
)

// sameEveryTime replaces dates, ids and the node's port in what went over the wire, and makes the data of each chunked body one chunk: how it came is how it was cut.
func (w *wireGateway) sameEveryTime(s string) string {
	s = requestID.ReplaceAllString(dateLine.ReplaceAllString(s, "Date: DATE"), `"request_id":"ID"`)
	return joinChunks(strings.ReplaceAll(s, w.node.addr, "NODE"))
}

// joinChunks makes one chunk of those that follow each head with Transfer-Encoding. What is not a chunk stays as it is.
func joinChunks(s string) string {
	out := ""
	for {
		head, rest, found := strings.Cut(s, "\r\nTransfer-Encoding: chunked\r\n")
		if !found {
			return out + s
		}
		fields, rest, found := strings.Cut("\r\n"+rest, "\r\n\r\n")
		if !found {
			return out + s
		}
		out += head + "\r\nTransfer-Encoding: chunked" + fields + "\r\n\r\n"
		data := ""
		for {
			size, chunk, _ := strings.Cut(rest, "\r\n")
			n, err := strconv.ParseInt(size, 16, 32)
			if err != nil || n == 0 || len(chunk) < int(n)+2 {
				break
			}
			data, rest = data+chunk[:n], chunk[n+2:]
		}
		if data != "" {
			out += fmt.Sprintf("%x\r\n%s\r\n", len(data), data)
		}
		s = rest
	}
}

// isPart reports whether part is the beginning of a whole request, perhaps with less data in its chunk.
func isPart(part, whole string) bool {
	if strings.HasPrefix(whole, part) {
		return true
	}
	head, chunk, found := strings.Cut(part, "\r\n\r\n")
	rest, begins := strings.CutPrefix(whole, head+"\r\n\r\n")
	_, data, _ := strings.Cut(chunk, "\r\n")
	_, all, _ := strings.Cut(rest, "\r\n")
	return found && begins && strings.HasPrefix(all, strings.TrimSuffix(data, "\r\n"))
}
