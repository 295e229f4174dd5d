package observe

import (
	"strconv"
	"time"
)

// stamp writes times, and keeps the last second that it wrote: all lines of one second share it. Owned by a worker's loop.
type stamp struct {
	second int64
	text   []byte // of that second; empty = none yet
}

// The layouts without what changes within a second.
const (
	layoutRFC3339  = "2006-01-02T15:04:05"
	layoutCombined = "02/Jan/2006:15:04:05 -0700"
)

// appendRFC3339 appends a time in UTC to the millisecond, such as 2026-02-03T04:05:06.789Z (RFC 3339 §5.6).
func (s *stamp) appendRFC3339(dst []byte, nanos int64) []byte {
	second, rest := split(nanos)
	if second != s.second || len(s.text) == 0 {
		s.second = second
		s.text = time.Unix(second, 0).UTC().AppendFormat(s.text[:0], layoutRFC3339)
	}
	dst = append(dst, s.text...)
	dst = append(dst, '.')
	dst = appendThree(dst, rest/ms)
	return append(dst, 'Z')
}

// appendCombined appends a time in the local zone to the second, such as 03/Feb/2026:05:05:06 +0100.
func (s *stamp) appendCombined(dst []byte, nanos int64) []byte {
	second, _ := split(nanos)
	if second != s.second || len(s.text) == 0 {
		s.second = second
		s.text = time.Unix(second, 0).AppendFormat(s.text[:0], layoutCombined)
	}
	return append(dst, s.text...)
}

// split returns the second that nanos lies in, and what is left of it, which is not negative.
func split(nanos int64) (second, rest int64) {
	second, rest = nanos/1e9, nanos%1e9
	if rest < 0 {
		second, rest = second-1, rest+1e9
	}
	return second, rest
}

// appendMillis appends a length of time in milliseconds to the microsecond, such as 12.345.
func appendMillis(dst []byte, nanos int64) []byte {
	micros := max(nanos, 0) / 1000
	dst = strconv.AppendInt(dst, micros/1000, 10)
	dst = append(dst, '.')
	return appendThree(dst, micros%1000)
}

// appendThree appends n, from 0 to 999, in three digits.
func appendThree(dst []byte, n int64) []byte {
	return append(dst, byte('0'+n/100), byte('0'+n/10%10), byte('0'+n%10))
}
