package proxy

// replayMax bounds the request body that is kept for another try: one read of the loop.
const replayMax = 64 << 10

// keepForReplay keeps the body so far, as long as it is small enough, so that another node can be asked.
func (x *Exchange) keepForReplay(p []byte) {
	if x.replayLost || x.state != stateTrying {
		return
	}
	if len(x.replay)+len(p) > replayMax {
		x.replayLost = true
		x.dropReplay()
		return
	}
	if x.replay == nil {
		x.replay = x.worker.loop.Borrow(replayMax)[:0]
	}
	x.replay = append(x.replay, p...)
}

func (x *Exchange) dropReplay() {
	if x.replay != nil {
		x.worker.loop.Return(x.replay)
		x.replay = nil
	}
}
