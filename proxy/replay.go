package proxy

import "sluice/codec"

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
	if len(x.replay)+len(p) > cap(x.replay) {
		x.growReplay(len(p))
	}
	x.replay = append(x.replay, p...)
}

// growReplay makes room for n bytes more: as many as the request has said that it will send, or else twice what there is. Most bodies are far from the bound, and
// each of a thousand streams may keep one.
func (x *Exchange) growReplay(n int) {
	size := max(len(x.replay)+n, 2*len(x.replay))
	if f := x.req.Framing; f.Kind == codec.BodyLength && f.Length <= replayMax {
		size = max(size, int(f.Length))
	}
	loop := x.worker.loop
	grown := append(loop.Borrow(min(size, replayMax))[:0], x.replay...)
	loop.Return(x.replay)
	x.replay = grown
}

func (x *Exchange) dropReplay() {
	if x.replay != nil {
		x.worker.loop.Return(x.replay)
		x.replay = nil
	}
}
