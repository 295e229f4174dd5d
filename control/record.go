package control

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"
)

// Author is who made a change, and through what.
type Author struct {
	Name string `json:"name"`           // of the account, or what stands for the token
	Role string `json:"role,omitempty"` // that he had
	From string `json:"from,omitempty"` // address that he called from
	Call string `json:"call"`           // such as "PUT /v1/routes/demo1"
	Note string `json:"note,omitempty"` // what the call does not say, such as "back to revision 17"
}

// Record is one change as the history has it.
type Record struct {
	Revision   int64            `json:"-"` // at which it was made: that of its own entry
	Time       time.Time        `json:"time"`
	By         Author           `json:"by"`
	Changes    []RecordedChange `json:"changes"`
	Unreadable bool             `json:"-"` // what is stored is no record; nothing else is known
}

// RecordedChange is one resource before and after a change.
type RecordedChange struct {
	Key     string `json:"key"`
	Before  Text   `json:"before,omitzero"`   // nil = it was not there
	After   Text   `json:"after,omitzero"`    // nil = it was deleted
	Leased  bool   `json:"leased,omitempty"`  // it was under a lease
	Dropped bool   `json:"dropped,omitempty"` // the values are not here: together they were too large
	Created bool   `json:"created,omitempty"` // of a change without values
	Deleted bool   `json:"deleted,omitempty"` // the same
}

// Text is a stored value within a record: JSON text in a JSON string, so that not a byte of it changes. nil is none.
type Text []byte

// MarshalJSON writes a string, or an object with base64 for what is no text.
func (t Text) MarshalJSON() ([]byte, error) {
	switch {
	case t == nil:
		return []byte("null"), nil
	case utf8.Valid(t):
		return json.Marshal(string(t))
	}
	return json.Marshal(struct {
		Base64 []byte `json:"base64"`
	}{t})
}

// UnmarshalJSON reads either form.
func (t *Text) UnmarshalJSON(data []byte) error {
	if bytes.Equal(data, []byte("null")) {
		*t = nil
		return nil
	}
	var text string
	if err := json.Unmarshal(data, &text); err == nil {
		*t = Text(text)
		return nil
	}
	var other struct {
		Base64 []byte `json:"base64"`
	}
	if err := json.Unmarshal(data, &other); err != nil {
		return fmt.Errorf("control: a value of a record: %w", err)
	}
	*t = Text(other.Base64)
	return nil
}

const (
	packAbove = 16 << 10  // bytes; what is larger is compressed, what is not can be read with etcd's own tool
	maxRecord = 384 << 10 // bytes as it is stored: beside the largest body of one resource it stays below the 1.5 MiB that any etcd takes at once
	maxUnpack = 64 << 20  // bytes; a transaction is not larger than 10 MiB, and JSON in JSON is at most six times as long
)

// newRecord returns the record of edits that are about to be made.
func newRecord(by Author, edits []Edit) *Record {
	r := &Record{Time: time.Now().UTC().Truncate(time.Millisecond), By: by}
	for _, e := range edits {
		c := RecordedChange{Key: e.Key, After: Text(e.After)}
		if e.Before != nil {
			c.Before, c.Leased = Text(e.Before.Value), e.Before.Leased
			if c.Before == nil {
				c.Before = Text{} // an empty value is not none
			}
		}
		if kind, _, _ := SplitKey(e.Key); kind == Users {
			c.dropValues() // the hash of a password that was changed is nobody's to keep
		}
		r.Changes = append(r.Changes, c)
	}
	return r
}

// dropValues leaves what happened, and takes the values out.
func (c *RecordedChange) dropValues() {
	c.Created, c.Deleted, c.Dropped = c.Before == nil, c.After == nil, true
	c.Before, c.After = nil, nil
}

// encode returns the record as it is stored. One that is too large goes without its values.
func (r *Record) encode() ([]byte, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("control: record: %w", err)
	}
	if len(text) <= packAbove {
		return text, nil
	}
	packed, err := pack(text)
	if err != nil || len(packed) <= maxRecord {
		return packed, err
	}
	for i := range r.Changes {
		r.Changes[i].dropValues()
	}
	if text, err = json.Marshal(r); err != nil {
		return nil, fmt.Errorf("control: record: %w", err)
	}
	return pack(text)
}

func pack(text []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestSpeed) // somebody waits for the write
	if err == nil {
		_, err = w.Write(text)
	}
	if closed := w.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return nil, fmt.Errorf("control: record: %w", err)
	}
	return b.Bytes(), nil
}

var errTooLong = errors.New("it is longer than any record")

// unpack is the reverse of pack.
func unpack(packed []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(r, maxUnpack+1))
	if err == nil && len(text) > maxUnpack { // somebody has stored a bomb
		err = errTooLong
	}
	return text, err
}

// decodeRecord reads a record of the store.
func decodeRecord(e Entry) (Record, error) {
	r := Record{Revision: e.ModRevision}
	text := e.Value
	if bytes.HasPrefix(text, []byte{0x1f, 0x8b}) { // RFC 1952 §2.3.1
		var err error
		if text, err = unpack(text); err != nil {
			return r, fmt.Errorf("control: record: %w", err)
		}
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("control: record: %w", err)
	}
	return r, nil
}
