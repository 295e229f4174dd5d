package observe

import "strconv"

// appendCombined appends the line of rec in nginx's combined format:
//
//	$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"
//
// As there, the time is that of the end of the exchange, and what is not known is a hyphen. A status of 0 is written as 000.
func appendCombined(dst []byte, rec *Record, clock *stamp) []byte {
	if rec.ClientIP.IsValid() {
		dst = appendAddr(dst, rec.ClientIP)
	} else {
		dst = append(dst, '-')
	}
	dst = append(dst, " - - ["...)
	dst = clock.appendCombined(dst, rec.Start+max(rec.Duration, 0))
	dst = append(dst, `] "`...)
	dst = appendRequestLine(dst, rec)
	dst = append(dst, `" `...)
	dst = appendThree(dst, int64(min(max(rec.Status, 0), 999)))
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, rec.BytesOut, 10)
	dst = append(dst, ` "`...)
	dst = appendNginxField(dst, rec.Referer)
	dst = append(dst, `" "`...)
	dst = appendNginxField(dst, rec.UserAgent)
	return append(dst, '"', '\n')
}

// appendRequestLine appends method, target and protocol, as far as they came.
func appendRequestLine(dst []byte, rec *Record) []byte {
	if len(rec.Method) == 0 {
		return append(dst, '-')
	}
	dst = appendNginxText(dst, rec.Method)
	dst = append(dst, ' ')
	dst = appendNginxText(dst, rec.Target)
	if rec.Protocol == "" {
		return dst
	}
	dst = append(dst, ' ')
	return appendNginxText(dst, rec.Protocol)
}

// appendNginxField appends the value of a field: a hyphen where the request had no such field, and nothing where it was empty.
func appendNginxField(dst, value []byte) []byte {
	if value == nil {
		return append(dst, '-')
	}
	return appendNginxText(dst, value)
}
