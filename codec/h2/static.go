package h2

import (
	"golang.org/x/net/http2/hpack"

	"sluice/codec"
	"sluice/internal/ascii"
)

// mark is what is known of a field once its name and value have been looked at. Table entries keep it, so that a field which comes by its index is not looked at again.
type mark struct {
	id   codec.FieldID
	kind fieldKind
	bad  badness
}

// fieldKind is what a field is to a message.
type fieldKind uint8

const (
	plainField fieldKind = iota
	cookieField
	pseudoMethod
	pseudoScheme
	pseudoPath
	pseudoAuthority
	pseudoStatus
	pseudoProtocol
	pseudoUnknown
)

func (k fieldKind) pseudo() bool { return k >= pseudoMethod }

// badness is what is wrong with a field.
type badness uint8

const (
	badName badness = 1 << iota
	badValue
	badSpace // white space at an end of the value
)

// markName looks at a name.
func markName(name []byte) mark {
	if len(name) > 0 && name[0] == ':' {
		return mark{kind: pseudoKind(name)}
	}
	m := mark{id: codec.LookupField(name)}
	if len(name) == 0 {
		m.bad = badName
	}
	for _, c := range name {
		if ascii.Class[c]&ascii.Token == 0 || c-'A' < 26 {
			m.bad = badName
		}
	}
	if string(name) == "cookie" {
		m.kind = cookieField
	}
	return m
}

func pseudoKind(name []byte) fieldKind {
	switch string(name) {
	case ":method":
		return pseudoMethod
	case ":scheme":
		return pseudoScheme
	case ":path":
		return pseudoPath
	case ":authority":
		return pseudoAuthority
	case ":status":
		return pseudoStatus
	case ":protocol":
		return pseudoProtocol
	}
	return pseudoUnknown
}

// markValue adds what a value tells.
func (m mark) markValue(value []byte) mark {
	m.bad &^= badValue | badSpace
	for _, c := range value {
		if ascii.Class[c]&ascii.Text == 0 {
			m.bad |= badValue
			return m
		}
	}
	if n := len(value); n > 0 && (value[0] <= ' ' || value[n-1] <= ' ') {
		m.bad |= badSpace
	}
	return m
}

// staticField is an entry of the static table (RFC 7541 appendix A).
type staticField struct {
	name, value string
	mark        mark
}

const staticLen = 61

// staticTable has the entries at their indices; 0 is none.
var staticTable = buildStatic()

func buildStatic() (t [staticLen + 1]staticField) {
	i := 1
	d := hpack.NewDecoder(0, func(f hpack.HeaderField) {
		t[i] = staticField{f.Name, f.Value, markName([]byte(f.Name))}
		i++
	})
	for index := range staticLen {
		// An indexed field is a byte with the top bit set; the table has no entry that the decoder would refuse.
		_, _ = d.Write([]byte{0x80 | byte(index+1)})
	}
	return t
}

// staticNames has the lowest index for each name of the static table, by the length of the name: few have the same, and they differ in the first letters mostly. A map
// would have to hash every name, also of the fields that are not in it.
var staticNames = func() (names [longestStatic + 1][]staticName) {
	for i := 1; i <= staticLen; i++ {
		name := staticTable[i].name
		if staticTable[i-1].name != name { // equal ones stand together
			names[len(name)] = append(names[len(name)], staticName{name, uint8(i)})
		}
	}
	return names
}()

type staticName struct {
	name  string
	index uint8
}

const longestStatic = len("access-control-allow-origin")

// findStatic returns the lowest index of a name in lower case, 0 where the static table does not have it.
func findStatic(name []byte) int {
	if len(name) > longestStatic {
		return 0
	}
	for _, s := range staticNames[len(name)] {
		if s.name[0] == name[0] && s.name == string(name) {
			return int(s.index)
		}
	}
	return 0
}
