package etcd

import (
	"fmt"
	"testing"

	"sluice/control"
)

func TestOfSeveralChangesToOneKeyTheLastIsKept(t *testing.T) {
	var p pending
	add := func(key, value string, deleted bool) {
		p.add(control.Change{Entry: control.Entry{Key: key, Value: []byte(value)}, Deleted: deleted}, key == "b")
	}
	show := func() string {
		out := ""
		for _, c := range p.take() {
			out += fmt.Sprintf("%s=%s,%v ", c.Key, c.Value, c.Deleted)
		}
		return out
	}
	add("a", "1", false)
	add("a", "2", false)
	add("b", "1", false)
	add("c", "1", false)
	add("b", "", true)
	add("d", "1", false)
	add("d", "", true) // nobody has heard of it
	if got, want := show(), "a=2,false b=,true c=1,false "; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	add("c", "2", false)
	if got, want := show(), "c=2,false "; got != want {
		t.Errorf("after take: got %s, want %s", got, want)
	}
}
