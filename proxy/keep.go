package proxy

// kept is what a plugin's instance keeps of an exchange: where it stands in Exchange.keptBytes.
type kept struct {
	owner    any
	from, to int
}

// Keep remembers a value of a plugin's. The memory is the exchange's for good.
func (x *Exchange) Keep(owner any, value []byte) {
	from := len(x.keptBytes)
	x.keptBytes = append(x.keptBytes, value...)
	for i := range x.kept {
		if x.kept[i].owner == owner {
			x.kept[i].from, x.kept[i].to = from, len(x.keptBytes)
			return
		}
	}
	x.kept = append(x.kept, kept{owner, from, len(x.keptBytes)})
}

// Kept returns it.
func (x *Exchange) Kept(owner any) []byte {
	for i := range x.kept {
		if k := &x.kept[i]; k.owner == owner {
			return x.keptBytes[k.from:k.to:k.to]
		}
	}
	return nil
}

// keptMost is how much memory for values an exchange keeps for the next: more than a plugin has to remember of a request, unless its client wants it to.
const keptMost = 1 << 10

// forget drops what was kept. An exchange that waits for use must not hold on to a plugin that is to be closed.
func (x *Exchange) forget() {
	clear(x.kept)
	x.kept, x.keptBytes = x.kept[:0], x.keptBytes[:0]
	if cap(x.keptBytes) > keptMost {
		x.keptBytes = nil
	}
}
