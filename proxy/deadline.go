package proxy

import (
	"time"

	"sluice/core/observe"
	"sluice/internal/fault"
	"sluice/upstream"
)

// setDeadline bounds the whole exchange: by what the route or the service says, and by what the client does, who may ask for less.
func (x *Exchange) setDeadline() {
	x.total = firstOf(x.route.Timeout.Total, x.service.TotalTimeout)
	d := x.total
	h := &x.req.Header
	for _, asked := range [...]time.Duration{parseRequestTimeout(h.Get("X-Request-Timeout")), parseGRPCTimeout(h.Get("Grpc-Timeout"))} {
		if asked > 0 && (d == 0 || asked < d) {
			d, x.total = asked, 0
		}
	}
	if d > 0 {
		x.worker.loop.SetTimer(&x.deadline, d)
	}
}

// outOfTime ends an exchange whose time is over. Its node has failed where it has owed something for half of that, and the service has set it: clients who ask for a moment, or take theirs
// to send a body, do not decide who is well.
func (x *Exchange) outOfTime() {
	now := x.worker.loop.Now()
	if x.state == stateTrying && x.call != nil && x.total > 0 && x.owed() >= x.total/2 {
		x.try.Failed(upstream.FailedBroken, now)
		x.service.Stats.Outcome(x.worker.index, observe.OutcomeTimeout)
	}
	x.fail(fault.New("wait for the answer", fault.Upstream, fault.UpstreamTimeout, errTotalTimeout))
}

// parseRequestTimeout reads a number of seconds, or one with a unit: "5", "1.5s", "250ms", "1m". 0 where it is none of these, or nothing.
func parseRequestTimeout(text []byte) time.Duration {
	if len(text) == 0 || len(text) > 16 {
		return 0
	}
	digits := len(text)
	for digits > 0 && (text[digits-1] < '0' || text[digits-1] > '9') {
		digits--
	}
	unit := time.Second
	switch string(text[digits:]) {
	case "", "s":
	case "ms":
		unit = time.Millisecond
	case "m":
		unit = time.Minute
	default:
		return 0
	}
	return decimal(text[:digits], unit)
}

// decimal reads "12" or "1.5" in a unit. What does not fit is as long as there is.
func decimal(text []byte, unit time.Duration) time.Duration {
	var d time.Duration
	scale, point := unit, false
	for _, c := range text {
		switch {
		case c == '.' && !point:
			point = true
		case c < '0' || c > '9':
			return 0
		case point:
			scale /= 10
			d += time.Duration(c-'0') * scale
		case d < maxAsked:
			d = 10*d + time.Duration(c-'0')*unit
		}
	}
	return min(d, maxAsked)
}

// maxAsked is a day, beyond which nothing in a gateway is waited for.
const maxAsked = 24 * time.Hour

// parseGRPCTimeout reads the timeout of gRPC's protocol: up to 8 digits and a unit. 0 where it is none.
func parseGRPCTimeout(text []byte) time.Duration {
	if len(text) < 2 || len(text) > 9 {
		return 0
	}
	var unit time.Duration
	switch text[len(text)-1] {
	case 'H':
		unit = time.Hour
	case 'M':
		unit = time.Minute
	case 'S':
		unit = time.Second
	case 'm':
		unit = time.Millisecond
	case 'u':
		unit = time.Microsecond
	case 'n':
		unit = time.Nanosecond
	default:
		return 0
	}
	n := time.Duration(0)
	for _, c := range text[:len(text)-1] {
		if c < '0' || c > '9' {
			return 0
		}
		n = 10*n + time.Duration(c-'0')
	}
	if n > maxAsked/unit {
		return maxAsked
	}
	return n * unit
}
