// Package lastgood keeps what is in force in a file, so that a gateway that is started while the store is away serves what it served before.
//
//	store ──> Engine ──> Keeper.Keep ──> (pending) ──> Keeper.Run ──> last-good
//	            ^                                                        │
//	            └───────────────────── Keeper.Replay <───────────────────┘   at the start
//
// The file holds the last good version of each resource, under the revision at which that was written, and not what the store has: a value
// that was refused is not in it, and so the version before stays in force over a restart too. Nodes that were registered under a lease are
// in it as they were last known.
//
// It is never changed in place. A new one is written beside it, made durable and renamed over it: a crash at any moment leaves the old one
// or the new one. It has a version and a checksum; a file that is damaged, or of a later version, is reported and not used.
package lastgood

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/cespare/xxhash/v2"

	"sluice/control"
)

// The file, all numbers big endian or varints of encoding/binary:
//
//	magic  version uint32  length uvarint  header JSON
//	( length uvarint  key  revision uvarint  lease uvarint  length uvarint  value )*   in the order of keys
//	0  xxhash64 of all before
const (
	magic   = "sluice last good\n"
	version = 1

	maxHeader = 64 << 10 // a prefix and a few numbers
	maxKey    = 64 << 10 // of etcd's requests, which hold a key and a value, none is larger than maxValue
	maxValue  = 64 << 20 // etcd takes 1.5 MiB unless told otherwise
)

// What is wrong with a file.
var (
	ErrVersion = errors.New("lastgood: the file was written by a later version of the program")
	ErrDamaged = errors.New("lastgood: the file is damaged")
	ErrPrefix  = errors.New("lastgood: the file was written for another prefix of the store")
)

// header is what the file says of itself.
type header struct {
	Prefix   string    `json:"prefix"`   // of the store, that the keys are below
	Revision int64     `json:"revision"` // of the store, up to which its changes are in
	Saved    time.Time `json:"saved"`
}

// writer writes a file; the first error sticks.
type writer struct {
	buf *bufio.Writer
	sum hash.Hash64
	err error
}

func newWriter(w io.Writer, h header) *writer {
	sum := xxhash.New()
	out := &writer{buf: bufio.NewWriterSize(io.MultiWriter(w, sum), 1<<16), sum: sum}
	text, err := json.Marshal(h)
	if err != nil {
		out.err = fmt.Errorf("lastgood: header: %w", err)
		return out
	}
	out.bytes([]byte(magic))
	out.bytes(binary.BigEndian.AppendUint32(nil, version))
	out.block(text)
	return out
}

func (w *writer) bytes(b []byte) {
	if w.err == nil {
		_, w.err = w.buf.Write(b)
	}
}

func (w *writer) number(n uint64) { w.bytes(binary.AppendUvarint(nil, n)) }

// block writes a length and that many bytes.
func (w *writer) block(b []byte) {
	w.number(uint64(len(b)))
	w.bytes(b)
}

func (w *writer) resource(c *control.Change) {
	w.block([]byte(c.Key))
	w.number(uint64(c.ModRevision))
	w.number(uint64(c.Lease))
	w.block(c.Value)
}

// close writes the end. What is below the writer is the caller's to close.
func (w *writer) close() error {
	w.number(0)
	if w.err == nil {
		w.err = w.buf.Flush() // all that the sum is of has passed it now
	}
	w.bytes(binary.BigEndian.AppendUint64(nil, w.sum.Sum64()))
	if w.err == nil {
		w.err = w.buf.Flush()
	}
	return w.err
}

// reader reads a file. What it returns is only to be believed once next has returned io.EOF, since the checksum comes last.
type reader struct {
	header header
	buf    *bufio.Reader
	sum    *xxhash.Digest
	one    [1]byte // for ReadByte
}

// newReader reads the header.
func newReader(r io.Reader) (*reader, error) {
	in := &reader{buf: bufio.NewReaderSize(r, 1<<16), sum: xxhash.New()}
	head := make([]byte, len(magic)+4)
	if err := in.read(head); err != nil {
		return nil, err
	}
	if string(head[:len(magic)]) != magic {
		return nil, fmt.Errorf("%w: it does not begin as one", ErrDamaged)
	}
	switch v := binary.BigEndian.Uint32(head[len(magic):]); {
	case v > version:
		return nil, fmt.Errorf("%w: %d, and this one reads %d", ErrVersion, v, version)
	case v < version:
		return nil, fmt.Errorf("%w: version %d", ErrDamaged, v)
	}
	text, err := in.block(maxHeader)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &in.header); err != nil {
		return nil, fmt.Errorf("%w: header: %w", ErrDamaged, err)
	}
	return in, nil
}

// read fills b.
func (r *reader) read(b []byte) error {
	if _, err := io.ReadFull(r.buf, b); err != nil {
		return damaged(err)
	}
	_, _ = r.sum.Write(b) // a hash takes everything
	return nil
}

// ReadByte implements io.ByteReader for binary.ReadUvarint.
func (r *reader) ReadByte() (byte, error) {
	b, err := r.buf.ReadByte()
	if err == nil {
		r.one[0] = b
		_, _ = r.sum.Write(r.one[:])
	}
	return b, err
}

func (r *reader) number() (uint64, error) {
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return 0, damaged(err)
	}
	return n, nil
}

// block reads a length of up to limit and that many bytes.
func (r *reader) block(limit uint64) ([]byte, error) {
	n, err := r.number()
	if err != nil {
		return nil, err
	}
	if n > limit {
		return nil, fmt.Errorf("%w: a length of %d", ErrDamaged, n)
	}
	b := make([]byte, n)
	return b, r.read(b)
}

// next returns the next resource, or io.EOF once all were read and the checksum is right.
func (r *reader) next() (c control.Change, err error) {
	key, err := r.block(maxKey)
	if err != nil {
		return c, err
	}
	if len(key) == 0 {
		return c, r.end()
	}
	var numbers [2]uint64
	for i := range numbers {
		if numbers[i], err = r.number(); err != nil {
			return c, err
		}
	}
	value, err := r.block(maxValue)
	entry := control.Entry{Key: string(key), ModRevision: int64(numbers[0]), Value: value}
	return control.Change{Entry: entry, Lease: int64(numbers[1])}, err
}

// end compares the checksum.
func (r *reader) end() error {
	want := r.sum.Sum64()
	var stored [8]byte
	if err := r.read(stored[:]); err != nil {
		return err
	}
	if binary.BigEndian.Uint64(stored[:]) != want {
		return fmt.Errorf("%w: the checksum is wrong", ErrDamaged)
	}
	return io.EOF
}

// damaged says what a failed read means: a file that ends too soon is damaged.
func damaged(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it ends too soon", ErrDamaged)
	}
	return fmt.Errorf("lastgood: %w", err)
}
