package admin

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"sluice/control"
)

// journalTest is a journal, and how many records it has.
func journalTest(t *testing.T) (*memory, *control.Journal, func() []control.Record) {
	m := newMemory()
	j := control.NewJournal(m, nil)
	return m, j, func() []control.Record {
		t.Helper()
		records, _, err := j.Records(t.Context(), 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		return records
	}
}

func write(t *testing.T, m *memory, j *control.Journal, key, value string) int64 {
	t.Helper()
	e := control.Edit{Key: key, After: []byte(value)}
	if current, err := m.Get(t.Context(), key); err == nil {
		e.Before = &current
	}
	revision, err := j.Commit(t.Context(), control.Author{Name: "jack", Call: "test"}, []control.Edit{e})
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

// FIELD: etcd's quota is finite, and a gateway reads all keys at its start.
func TestTheHistoryIsBoundedInNumber(t *testing.T) {
	m, j, records := journalTest(t)
	var last int64
	for i := range 1600 {
		last = write(t, m, j, "routes/a", fmt.Sprint(i))
	}
	kept := records()
	if len(kept) < 1000 || len(kept) > 1250 || kept[0].Revision != last {
		t.Errorf("%d records", len(kept))
	}
	for i, r := range kept[1:] {
		if r.Revision >= kept[i].Revision {
			t.Fatalf("not the newest first: %d after %d", r.Revision, kept[i].Revision)
		}
	}
	if _, err := j.Undo(t.Context(), kept[len(kept)-1].Revision-2, ""); err == nil || !strings.Contains(err.Error(), "does not reach back") {
		t.Errorf("beyond the oldest record: %v", err)
	}
	if u, err := j.Undo(t.Context(), kept[len(kept)-1].Revision-1, ""); err != nil || len(u.Edits) != 1 {
		t.Errorf("just before the oldest record: %+v, %v", u, err)
	}
}

func TestTheHistoryIsBoundedInSize(t *testing.T) {
	m, j, records := journalTest(t)
	random := make([]byte, 240<<10) // twice that in hex, which compression halves
	for i := range 66 {
		rand.Read(random)
		write(t, m, j, fmt.Sprintf("routes/%d", i), hex.EncodeToString(random))
	}
	size := 0
	for key, e := range m.entries {
		if strings.HasPrefix(key, "history/") {
			size += len(e.Value)
		}
	}
	if size > 18<<20 || len(records()) < 40 {
		t.Errorf("%d records of %d bytes in all", len(records()), size)
	}
}

// A change that is too large for a record is made all the same. It is in the history without its values, and is no way back.
func TestAChangeThatIsTooLargeIsRecordedWithoutItsValues(t *testing.T) {
	m, j, records := journalTest(t)
	start := write(t, m, j, "routes/a", "1")
	random := make([]byte, 600<<10)
	rand.Read(random)
	at := write(t, m, j, "routes/a", hex.EncodeToString(random))
	write(t, m, j, "routes/b", "1")
	r, err := j.Record(t.Context(), at)
	if err != nil || len(r.Changes) != 1 || !r.Changes[0].Dropped || r.Changes[0].Created || r.Changes[0].After != nil {
		t.Fatalf("%+v, %v", r, err)
	}
	if len(records()) != 3 {
		t.Errorf("%d records", len(records()))
	}
	if _, err := j.Undo(t.Context(), start, ""); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("back over it: %v", err)
	}
	if u, err := j.Undo(t.Context(), start, "routes/b"); err != nil || len(u.Edits) != 1 {
		t.Errorf("another resource: %+v, %v", u, err)
	}
	if u, err := j.Undo(t.Context(), start-1, ""); err != nil || len(u.Edits) != 2 {
		t.Errorf("an older record has the values: %+v, %v", u, err)
	}
}

// Values come back byte by byte, whatever they are.
func TestARecordKeepsValuesExactly(t *testing.T) {
	m, j, _ := journalTest(t)
	for i, value := range []string{"{ \"a\" : \"<&>\u2028\" }\n", "\xff\xfe not text", "", strings.Repeat("long ", 10<<10)} {
		key := fmt.Sprintf("routes/%d", i)
		m.set(key, value)
		at := write(t, m, j, key, "new")
		u, err := j.Undo(t.Context(), at-1, key)
		if err != nil || len(u.Edits) != 1 || u.Edits[0].After == nil || string(u.Edits[0].After) != value {
			t.Errorf("%.20q: %+v, %v", value, u, err)
		}
	}
}

// A hash that was replaced is nobody's to keep, and a password that was taken away must not come back.
func TestAccountsAreRecordedWithoutTheirValues(t *testing.T) {
	m, j, _ := journalTest(t)
	m.set("users/jack", "hash1")
	at := write(t, m, j, "users/jack", "hash2")
	for key, e := range m.entries {
		if strings.HasPrefix(key, "history/") && strings.Contains(string(e.Value), "hash") {
			t.Errorf("%s", e.Value)
		}
	}
	u, err := j.Undo(t.Context(), at-1, "")
	if err != nil || len(u.Edits) != 0 || u.LeftOut["users/jack"] == "" {
		t.Errorf("%+v, %v", u, err)
	}
}

// Somebody writes nonsense below history/: it is shown as such, and nothing is undone over it.
func TestARecordThatCannotBeReadIsNotPassedOver(t *testing.T) {
	m, j, records := journalTest(t)
	at := write(t, m, j, "routes/a", "1")
	for _, bad := range []string{"{", "\x1f\x8b nonsense"} {
		m.set("history/bad", bad)
		if r := records(); !r[0].Unreadable {
			t.Errorf("%q: %+v", bad, r)
		}
		if _, err := j.Undo(t.Context(), at, ""); err == nil || !strings.Contains(err.Error(), "cannot be read") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
