package lastgood

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/control"
	"sluice/internal/testnet"
)

func TestMain(m *testing.M) { testnet.Main(m) }

// sink keeps the one batch that it is given.
type sink struct{ batches []control.Batch }

func (s *sink) Apply(b control.Batch) { s.batches = append(s.batches, b) }

func newKeeper(t *testing.T, dir string) *Keeper {
	return New(dir, "/sluice/", slog.New(slog.NewTextHandler(t.Output(), nil)))
}

func put(key, value string, revision int64) control.Change {
	return control.Change{Entry: control.Entry{Key: key, Value: []byte(value), ModRevision: revision}, Lease: 7 * revision}
}

func del(key string) control.Change {
	return control.Change{Entry: control.Entry{Key: key}, Deleted: true}
}

// contents reads the file as the next start would.
func contents(t *testing.T, dir string) (values map[string]string, revision int64) {
	t.Helper()
	k := newKeeper(t, dir)
	var s sink
	b := k.Replay(&s)
	if b == nil {
		t.Fatalf("the file is not used: %+v", k.Status())
	}
	k.base.Close()
	if len(s.batches) != 1 || !s.batches[0].Full {
		t.Fatalf("the sink got %+v, want one full batch", s.batches)
	}
	values = make(map[string]string)
	for _, c := range b.Changes {
		values[c.Key] = fmt.Sprintf("%s@%d", c.Value, c.ModRevision)
		if c.Lease != 7*c.ModRevision {
			t.Errorf("%s is under lease %d", c.Key, c.Lease)
		}
	}
	return values, b.Revision
}

func TestWhatIsKeptIsThereAtTheNextStart(t *testing.T) {
	dir := t.TempDir()
	k := newKeeper(t, dir)
	if b := k.Replay(new(sink)); b != nil || k.Status() != (Status{}) {
		t.Fatalf("an empty directory gives %+v, %+v", b, k.Status())
	}
	steps := []struct {
		changes []control.Change
		want    map[string]string
	}{
		{[]control.Change{put("routes/b", "1", 2), put("routes/a", "1", 1), put("services/s", "1", 3)},
			map[string]string{"routes/a": "1@1", "routes/b": "1@2", "services/s": "1@3"}},
		{[]control.Change{put("routes/b", "2", 4), del("routes/a"), put("a/first", "1", 5), put("z/last", "", 6), del("none")},
			map[string]string{"routes/b": "2@4", "services/s": "1@3", "a/first": "1@5", "z/last": "@6"}},
		{[]control.Change{del("a/first"), del("z/last"), del("services/s"), del("routes/b")}, map[string]string{}},
		{[]control.Change{put("routes/b", strings.Repeat("x", 2<<20), 9)}, map[string]string{"routes/b": strings.Repeat("x", 2<<20) + "@9"}},
	}
	for i, step := range steps {
		k.Keep(step.changes, int64(10+i))
		if !k.save() {
			t.Fatalf("step %d: %+v", i, k.Status())
		}
		values, revision := contents(t, dir)
		if !maps.Equal(values, step.want) || revision != int64(10+i) {
			t.Fatalf("step %d: got %v at %d, want %v", i, values, revision, step.want)
		}
	}
	k.base.Close()
	info, err := os.Stat(filepath.Join(dir, Name))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file, which may hold secrets, has mode %v, %v", info.Mode(), err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("there is more than the file: %v", files)
	}
}

// What Replay hands on comes back through Keep, since it comes into force; writing it once more would be for nothing.
func TestReplayIsNotWrittenAgain(t *testing.T) {
	dir := t.TempDir()
	k := newKeeper(t, dir)
	k.Keep([]control.Change{put("routes/a", "1", 1)}, 5)
	k.save()
	k.base.Close()

	next := newKeeper(t, dir)
	next.Replay(applyFunc(func(b control.Batch) { next.Keep(b.Changes, b.Revision) }))
	defer next.base.Close()
	if len(next.pending) != 0 {
		t.Errorf("%d changes are pending", len(next.pending))
	}
	// And the changes after it are made to what was read.
	next.Keep([]control.Change{put("routes/b", "2", 6)}, 6)
	next.save()
	if values, _ := contents(t, dir); len(values) != 2 {
		t.Errorf("got %v", values)
	}
}

type applyFunc func(control.Batch)

func (f applyFunc) Apply(b control.Batch) { f(b) }

// Any byte that is lost or changed makes the file one that is not used; none makes it one that holds something else.
func TestADamagedFileIsReportedAndNotUsed(t *testing.T) {
	dir := t.TempDir()
	k := newKeeper(t, dir)
	k.Keep([]control.Change{put("routes/a", "one", 1), put("routes/b", "two", 300)}, 300)
	k.save()
	k.base.Close()
	path := filepath.Join(dir, Name)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what string, data []byte) {
		t.Helper()
		in, err := newReader(bytes.NewReader(data))
		for err == nil {
			_, err = in.next()
		}
		if errors.Is(err, io.EOF) || !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrVersion) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	for i := range good {
		refused(fmt.Sprint("cut at ", i), good[:i])
		for _, bit := range []byte{1, 0x80} {
			changed := bytes.Clone(good)
			changed[i] ^= bit
			refused(fmt.Sprintf("byte %d changed", i), changed)
		}
	}

	for what, data := range map[string][]byte{
		"empty": nil, "something else": []byte(strings.Repeat("hello", 1000)), "cut": good[:len(good)-1],
		"a later version": binary.BigEndian.AppendUint32([]byte(magic), version+1),
	} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		next := newKeeper(t, dir)
		var s sink
		if b := next.Replay(&s); b != nil || len(s.batches) != 0 {
			t.Errorf("%s: it is used", what)
		}
		if st := next.Status(); st.Loaded || st.Error == "" || st.Failures != 1 {
			t.Errorf("%s: it is not reported: %+v", what, st)
		}
		next.Keep([]control.Change{put("routes/c", "3", 400)}, 400) // the store's first word puts a good one in its place
		next.save()
		next.base.Close()
		if values, _ := contents(t, dir); len(values) != 1 || next.Status().Error != "" {
			t.Errorf("%s: afterwards there is %v, %+v", what, values, next.Status())
		}
	}
}

// The state of another store, or of another part of one, must not come into force because the configuration was changed.
func TestAFileOfAnotherPrefixIsNotUsed(t *testing.T) {
	dir := t.TempDir()
	k := newKeeper(t, dir)
	k.Keep([]control.Change{put("routes/a", "1", 1)}, 5)
	k.save()
	k.base.Close()
	other := New(dir, "/other/", slog.New(slog.DiscardHandler))
	if b := other.Replay(new(sink)); b != nil || !strings.Contains(other.Status().Error, "another prefix") {
		t.Errorf("got %+v, %+v", b, other.Status())
	}
}

// A full disk, here a directory that is gone: what could not be written is written once it can, with what came meanwhile.
func TestAWriteThatFailedIsMadeUpFor(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	k := newKeeper(t, dir)
	k.Keep([]control.Change{put("routes/a", "1", 1), put("routes/b", "1", 1)}, 5)
	if k.save() || k.Status().Error == "" || k.Status().Failures != 1 {
		t.Fatalf("%+v", k.Status())
	}
	k.Keep([]control.Change{put("routes/b", "2", 6)}, 6)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if !k.save() || k.Status().Error != "" {
		t.Fatalf("%+v", k.Status())
	}
	defer k.base.Close()
	if values, revision := contents(t, dir); values["routes/a"] != "1@1" || values["routes/b"] != "2@6" || revision != 6 {
		t.Errorf("got %v at %d", values, revision)
	}
	// Somebody tidies up: what was in the file is not lost.
	if err := os.Remove(filepath.Join(dir, Name)); err != nil {
		t.Fatal(err)
	}
	k.Keep([]control.Change{put("routes/c", "3", 7)}, 7)
	k.save()
	if values, _ := contents(t, dir); len(values) != 3 {
		t.Errorf("got %v", values)
	}
}

// Changes that come together are one write; what is pending at the end is written at once.
func TestRunWritesBurstsOnceAndTheRestAtTheEnd(t *testing.T) {
	dir := t.TempDir()
	k := newKeeper(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		k.Run(ctx)
	}()
	for i := range 100 {
		k.Keep([]control.Change{put(fmt.Sprint("routes/", i), "1", int64(i))}, int64(i))
	}
	testnet.Await(t, "the file", func() bool { return k.Status().Revision == 99 })
	written := k.Status().Current
	before, _ := contents(t, dir)
	k.Confirm()
	if !k.Status().Current.After(written) {
		t.Error("a confirmed file is as stale as before")
	}
	k.Keep([]control.Change{del("routes/0")}, 100)
	cancel()
	<-ended
	after, revision := contents(t, dir)
	if len(before) != 100 || len(after) != 99 || revision != 100 {
		t.Errorf("%d, then %d at %d", len(before), len(after), revision)
	}
}

// The file that is there while another one is written lacks what that will have: were it confirmed, and the process to die before the other is in its place, the next start would
// serve old routes as current ones. The new file is a pipe here, which is not read until it has been seen that the writing is under way.
func TestTheFileIsNotConfirmedWhileAnotherOneIsWritten(t *testing.T) {
	dir := t.TempDir()
	k := newKeeper(t, dir)
	k.Keep([]control.Change{put("routes/a", "1", 1)}, 5)
	k.save()
	old := time.Now().Add(-time.Hour).Truncate(time.Second)
	if err := os.Chtimes(k.path, old, old); err != nil {
		t.Fatal(err)
	}
	before := k.Status()
	pipe := fmt.Sprintf("%s.%d%s", k.path, os.Getpid(), leftover)
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	large := make([]byte, 1<<20) // more than a pipe holds, also compressed
	rand.Read(large)
	k.Keep([]control.Change{put("routes/b", hex.EncodeToString(large), 2)}, 6)
	saved := make(chan bool)
	go func() { saved <- k.save() }()
	if _, err := io.ReadFull(reader, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	k.Confirm()
	if info, err := os.Stat(k.path); err != nil || !info.ModTime().Equal(old) || !k.Status().Current.Equal(before.Current) {
		t.Errorf("the old file is of %v, %v; current since %v", info.ModTime(), err, k.Status().Current)
	}
	read := make(chan error)
	go func() { _, err := io.Copy(io.Discard, reader); read <- err }()
	if <-saved {
		t.Error("a pipe was taken for a file on disk")
	}
	if err := os.Remove(pipe); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if !k.save() { // what could not be written
		t.Fatalf("%+v", k.Status())
	}
	reader.SetReadDeadline(time.Now())
	<-read
	k.Confirm()
	if now := k.Status(); now.Current.Before(before.Current.Add(time.Nanosecond)) {
		t.Errorf("the file that is whole is not confirmed: %+v", now)
	}
	k.base.Close()
}

func TestWhatADeadProcessLeftIsRemoved(t *testing.T) {
	dir := t.TempDir()
	old, young := filepath.Join(dir, Name+".1.tmp"), filepath.Join(dir, Name+".2.tmp")
	for _, path := range []string{old, young} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	past := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(old, past, past); err != nil {
		t.Fatal(err)
	}
	newKeeper(t, dir).Replay(new(sink))
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old one: %v", err)
	}
	if _, err := os.Stat(young); err != nil {
		t.Errorf("the young one, of a process that this one replaces: %v", err)
	}
}

func FuzzAFileOfAnyBytesIsReadWithoutPanic(f *testing.F) {
	f.Add([]byte(magic + "\x00\x00\x00\x01\x02{}\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		in, err := newReader(bytes.NewReader(data))
		for err == nil {
			_, err = in.next()
		}
	})
}
