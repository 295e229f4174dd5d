package proxy

import "sluice/core/event"

// backlog is bytes that wait for a window to open, in buffers borrowed from the loop. The zero value is empty.
type backlog struct {
	blocks []backlogBlock
	first  int // of blocks that holds bytes
	size   int
}

type backlogBlock struct {
	buf  []byte
	r, w int // buf[r:w] waits
}

// backlogBlockSize is what is borrowed at a time: a frame.
const backlogBlockSize = 16 << 10

// add copies p to the end.
func (b *backlog) add(loop *event.Loop, p []byte) {
	b.size += len(p)
	for len(p) > 0 {
		last := len(b.blocks) - 1
		if last < b.first || b.blocks[last].w == len(b.blocks[last].buf) {
			b.blocks = append(b.blocks, backlogBlock{buf: loop.Borrow(backlogBlockSize)})
			last++
		}
		block := &b.blocks[last]
		n := copy(block.buf[block.w:], p)
		block.w += n
		p = p[n:]
	}
}

// front returns bytes from the beginning, at most n and at least one where there are any.
func (b *backlog) front(n int) []byte {
	if b.size == 0 {
		return nil
	}
	block := &b.blocks[b.first]
	return block.buf[block.r:min(block.w, block.r+n)]
}

// skip drops n bytes that front has returned.
func (b *backlog) skip(loop *event.Loop, n int) {
	block := &b.blocks[b.first]
	block.r += n
	b.size -= n
	if block.r < block.w {
		return
	}
	loop.Return(block.buf)
	block.buf = nil
	if b.first++; b.first == len(b.blocks) {
		b.blocks, b.first = b.blocks[:0], 0
	}
}

// drop gives up what is there.
func (b *backlog) drop(loop *event.Loop) {
	for b.size > 0 {
		b.skip(loop, b.blocks[b.first].w-b.blocks[b.first].r)
	}
}
