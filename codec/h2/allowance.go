package h2

// allowance is what a peer may do that costs us work and itself nothing. There are two accounts; every frame that does no work is paid from calm, every
// stream that is given up before its answer from resets. Window updates are paid from calm where our data have not paid for them. Useful work pays in, and the owner fills both up from time to time ([Conn.Refill]), so that a
// quiet connection may ping for ever and one under attack runs dry after a bounded number of frames.
//
//	CVE-2019-9511, -9517  window updates of one byte      calm: each is a frame, and the tiny DATA of ours that it asks for pays nothing in
//	CVE-2019-9512         PING flood                      calm
//	CVE-2019-9513         PRIORITY flood                  calm
//	CVE-2019-9515         SETTINGS flood                  calm
//	CVE-2019-9518         empty DATA, HEADERS, …          calm
//	CVE-2019-9514         RST_STREAM flood                resets: a stream that broke a rule is a reset of ours
//	CVE-2023-44487        HEADERS, RST_STREAM, …          resets
//	CVE-2025-8671         HEADERS, a frame that breaks a rule, …   resets, since ours count as the peer's
//
// A node has no accounts. It is not the gateway's attacker, and the calls of many clients would pay for one of it that cancels many.
type allowance struct {
	calm    int
	updates int // of windows, that our data have paid for
	resets  int
	trusted bool // the peer is a node
}

// The accounts. A client that downloads sends two window updates for each of our frames of data, which pay in as many. gRPC sends a PING for a frame
// of data now and then. A browser that closes a page gives up at most as many streams as may be open.
const (
	calmMost   = 1000
	calmFull   = 500 // what Refill brings the account to
	resetsMost = 1000
	resetsFull = 2 * MaxStreams

	usefulData = 512 // bytes of a DATA frame that pays in. One without data, or with padding and less, is paid for

	// updateWorth is how many bytes of our data pay for one more window update. They pay for nothing else: one SETTINGS can have every stream send a byte. A client that gives back at once what
	// each frame has taken is sent as little again, so that with several streams on one window frames become ever smaller, and it is not to blame: one of twice as much pays for both of its
	// updates. The smaller ones of an attack pay nothing.
	updateWorth = 64
)

func (a *allowance) refill() {
	a.calm, a.resets = max(a.calm, calmFull), max(a.resets, resetsFull)
}

// useful notes work: data or a head, in either direction.
func (a *allowance) useful(n int) { a.calm = min(a.calm+n, calmMost) }

// dataSent notes n bytes of our data.
func (a *allowance) dataSent(n int) { a.updates = min(a.updates+n/updateWorth, calmMost) }

// windowUpdate is idleFrame for one that data may have paid for.
func (a *allowance) windowUpdate() *Error {
	if a.updates > 0 {
		a.updates--
		return nil
	}
	return a.idleFrame()
}

// answered notes a stream that has come to a good end.
func (a *allowance) answered() { a.resets = min(a.resets+1, resetsMost) }

func (a *allowance) idleFrame() *Error {
	if a.trusted {
		return nil
	}
	if a.calm--; a.calm < 0 {
		return ErrCalm
	}
	return nil
}

func (a *allowance) reset() *Error {
	if a.trusted {
		return nil
	}
	if a.resets--; a.resets < 0 {
		return ErrResets
	}
	return nil
}
