package observe

import (
	"net/netip"
	"strconv"
)

// appendJSON appends the line of rec as one JSON object. Times of day are RFC 3339 in UTC, lengths of time are milliseconds with three
// decimals. A field that is optional below is left out where there is nothing to say.
//
//	time           when the request began
//	request_id     optional
//	client         address of the client
//	client_port    optional
//	tls            optional: TLSv1.2 or TLSv1.3
//	client_cert    optional: subject of the client's certificate
//	method         empty if the request did not come so far; so are host, target and protocol
//	host
//	target         path and query as sent
//	protocol       HTTP/1.1
//	status         as sent; 0 = the client had gone
//	bytes_in       of the request body
//	bytes_out      of the response body
//	duration_ms    until the end of the answer
//	head_ms        optional: until the request head was whole, where that took more than one piece
//	connect_ms     optional: the connection to the node was new, and took this long
//	first_byte_ms  optional: until the node's response head began
//	route          optional: id of the route
//	service        optional: what the route points to
//	node           optional: host:port
//	retries        optional: attempts beyond the first
//	flag, code     optional: what went wrong, in two letters (three where Envoy has three) and as the word of the error body
//	reason         optional: why, such as the rule that the request broke
//	user_agent     optional
//	referer        optional
func appendJSON(dst []byte, rec *Record, clock *stamp) []byte {
	dst = append(dst, `{"time":"`...)
	dst = clock.appendRFC3339(dst, rec.Start)
	dst = append(dst, '"')
	dst = appendJSONField(dst, `,"request_id":"`, rec.RequestID)
	dst = append(dst, `,"client":"`...)
	dst = appendAddr(dst, rec.ClientIP)
	dst = append(dst, '"')
	if rec.ClientPort != 0 {
		dst = appendJSONInt(dst, `,"client_port":`, int64(rec.ClientPort))
	}
	dst = appendJSONField(dst, `,"tls":"`, rec.TLS)
	dst = appendJSONField(dst, `,"client_cert":"`, rec.ClientCert)
	dst = append(dst, `,"method":"`...)
	dst = appendJSONText(dst, rec.Method)
	dst = append(dst, `","host":"`...)
	dst = appendJSONText(dst, rec.Host)
	dst = append(dst, `","target":"`...)
	dst = appendJSONText(dst, rec.Target)
	dst = append(dst, `","protocol":"`...)
	dst = appendJSONText(dst, rec.Protocol)
	dst = appendJSONInt(dst, `","status":`, int64(rec.Status))
	dst = appendJSONInt(dst, `,"bytes_in":`, rec.BytesIn)
	dst = appendJSONInt(dst, `,"bytes_out":`, rec.BytesOut)
	dst = append(dst, `,"duration_ms":`...)
	dst = appendMillis(dst, rec.Duration)
	if rec.ReadTime > 0 {
		dst = append(dst, `,"head_ms":`...)
		dst = appendMillis(dst, rec.ReadTime)
	}
	if rec.ConnectTime > 0 {
		dst = append(dst, `,"connect_ms":`...)
		dst = appendMillis(dst, rec.ConnectTime)
	}
	if rec.HeadTime > 0 {
		dst = append(dst, `,"first_byte_ms":`...)
		dst = appendMillis(dst, rec.HeadTime)
	}
	dst = appendJSONRouting(dst, rec)
	dst = appendJSONField(dst, `,"flag":"`, rec.Flag)
	dst = appendJSONField(dst, `,"code":"`, rec.Code)
	dst = appendJSONField(dst, `,"reason":"`, rec.Reason)
	dst = appendJSONField(dst, `,"user_agent":"`, rec.UserAgent)
	dst = appendJSONField(dst, `,"referer":"`, rec.Referer)
	return append(dst, '}', '\n')
}

// appendJSONRouting appends where the request went.
func appendJSONRouting(dst []byte, rec *Record) []byte {
	service := ""
	if rec.Route != nil {
		dst = appendJSONField(dst, `,"route":"`, rec.Route.id)
		service = rec.Route.service
	}
	if rec.Service != nil {
		service = rec.Service.name
	}
	dst = appendJSONField(dst, `,"service":"`, service)
	dst = appendJSONField(dst, `,"node":"`, rec.Node)
	if rec.Retries > 0 {
		dst = appendJSONInt(dst, `,"retries":`, int64(rec.Retries))
	}
	return dst
}

// appendJSONField appends key, which ends with the opening quotation mark, and value, or nothing where value is empty.
func appendJSONField[T text](dst []byte, key string, value T) []byte {
	if len(value) == 0 {
		return dst
	}
	dst = append(dst, key...)
	dst = appendJSONText(dst, value)
	return append(dst, '"')
}

func appendJSONInt(dst []byte, key string, n int64) []byte {
	dst = append(dst, key...)
	return strconv.AppendInt(dst, n, 10)
}

// appendAddr appends an address, or nothing for the zero Addr. IPv4 in IPv6 is written as IPv4. A zone is left out: it is any text at all, it may
// come from a header field, and it means nothing on another host.
func appendAddr(dst []byte, a netip.Addr) []byte {
	if !a.IsValid() {
		return dst
	}
	return a.Unmap().WithZone("").AppendTo(dst)
}
