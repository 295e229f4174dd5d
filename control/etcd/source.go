package etcd

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"sluice/control"
)

// Options are what may be set about a Source. The zero value of each means its default.
type Options struct {
	// ProgressPeriod is how often etcd is asked to say that nothing was missed; 10 s. After three of them without a word the
	// watch is taken for dead. etcd's own gRPC proxy does not pass the question on: behind one the watch is made anew that often.
	ProgressPeriod time.Duration
	// ResyncJitter is the most that a repeated full read is put off, by chance, so that the gateways which lost their watch by the
	// same compaction or restore do not all read everything in the same moment; 0 = not at all, right where there is one gateway.
	ResyncJitter time.Duration
	// AuditPeriod is how often, on average, what the watch has told is compared with the keys and revisions that are stored; 10 min.
	AuditPeriod time.Duration
	// PageSize is how many keys the first page of a full read has; 512. Later ones grow.
	PageSize int
	// Known is what the sink has been given before Run, nil for nothing: then the first full read is compared with it, as later ones are.
	Known *control.Batch
	// Log gets what an operator should know: once when etcd is lost, once when it is back. Default slog.Default().
	Log *slog.Logger
}

// Why everything was read: the keys of Status.Resyncs.
const (
	ReasonStart     = "start"     // nothing was known yet
	ReasonCompacted = "compacted" // the history since the last revision seen is gone
	ReasonRestored  = "restored"  // etcd is older than what was seen, or another cluster
	ReasonCanceled  = "canceled"  // the server gave the watch up and said nothing that would be handled better
	ReasonAudit     = "audit"     // an audit found that what the watch has told is not what is stored
)

// Status is what a Source knows of its connection.
type Status struct {
	Revision    int64             // everything up to this revision of the store has been handed to the sink
	LastLoss    time.Time         // when there was no watch last; zero = never
	LastContact time.Time         // when etcd last said something; zero = never. While connected it says something every ProgressPeriod
	Connected   bool              // the watch is up, as far as can be known
	Read        bool              // everything has been read once: what the sink has is the store's
	Error       string            // why there is no watch; "" while there is one
	Server      string            // versions of the servers, with commas; "" = not known
	Resyncs     map[string]uint64 // full reads by reason
	Audits      uint64            // that found what the watch has told to be what is stored
}

// Source feeds a sink with all resources below the prefix and every change of them.
//
//	            ┌────────────── lost: wait a little ──────────────┐
//	            v                                                 │
//	start ──> list at R ──> watch from R ────> event: hand on, R = its revision
//	            ^                │      ^─────> progress notice: R = its revision
//	            └────────────────┘
//	     compacted, restored, canceled, audit: list again, hand on only what differs
//
// R moves by events and progress notices only. A timeout says nothing about what was missed.
type Source struct {
	client  *Client
	options Options

	// Owned by the goroutine in Run.
	sink      control.Sink
	known     ledger    // what the sink has been given, with pending
	cursor    int64     // the watch has said everything up to here
	cluster   uint64    // id of the cluster that the cursor belongs to
	pending   pending   // changes on their way to the sink
	trail     trail     // for the audit that is running
	auditOwed bool      // the client may have met another server: an audit should look at values, soon
	lastApply time.Time // when the sink last returned
	down      bool      // the log has been told that there is no watch

	warned map[string]bool // versions of servers; inspect's, of which one runs at a time

	mu     sync.Mutex // guards status
	status Status
}

// NewSource returns a source on client.
func NewSource(client *Client, options Options) *Source {
	if options.ProgressPeriod == 0 {
		options.ProgressPeriod = 10 * time.Second
	}
	if options.AuditPeriod == 0 {
		options.AuditPeriod = auditPeriod
	}
	if options.PageSize == 0 {
		options.PageSize = pageSize
	}
	if options.Log == nil {
		options.Log = slog.Default()
	}
	s := &Source{client: client, options: options, known: ledger{seed: maphash.MakeSeed()}, warned: make(map[string]bool)}
	s.status.Error = "there was no answer yet"
	s.recall(options.Known)
	s.options.Known = nil // the values are of no use any more
	return s
}

// recall notes what the sink has.
func (s *Source) recall(b *control.Batch) {
	if b == nil {
		return
	}
	s.known, s.cursor = newLedger(s.known.seed, len(b.Changes)), b.Revision
	for i := range b.Changes {
		e := &b.Changes[i].Entry
		s.known.put(e.Key, s.known.version(e))
		s.known.lease(e.Key, b.Changes[i].Lease)
	}
}

// steady is how long a round must have lasted for its end to count as a first failure. Less than that, and a server that
// accepts watches only to cancel them would be asked without a pause.
const steady = 5 * time.Second

// What ends a watch.
var (
	errCompacted = errors.New("the revision to watch from has been compacted")
	errRestored  = errors.New("etcd is older than before, or another cluster: it was restored")
	errCanceled  = errors.New("etcd canceled the watch")
	errSilent    = errors.New("etcd has gone silent")
	errClosed    = errors.New("the watch was closed")
	errBehind    = errors.New("the library resumed the watch behind all that is stored, where it hears of no progress") // no fault: begin it at the cursor again
	errLost      = errors.New("the connection to etcd was lost")

	errHandedOver = errors.New("the embedded server stops")
	errNearer     = errors.New("the server is in this process now") // no fault either
)

// Run hands sink first one full batch, unless there is Options.Known, and then changes as they come, all on the calling goroutine, until ctx
// ends; what it returns is the reason of that. Whatever else happens it tries again. After the full batch a batch holds only what differs from
// what the sink has, and there is none without changes, with one exception: a store that was restored to a lower revision is
// reported even if all resources are the same, since later batches count from there.
//
// Run is called once.
func (s *Source) Run(ctx context.Context, sink control.Sink) error {
	s.sink = sink
	reason := ReasonStart
	for failures := 1; ; failures++ {
		begin := time.Now()
		err := s.connect(ctx, &reason)
		if ctx.Err() != nil {
			s.note(func(st *Status) { st.Connected = false })
			return ctx.Err()
		}
		if time.Since(begin) > steady {
			failures = 1
		}
		s.lost(err)
		switch {
		case errors.Is(err, errCompacted):
			reason = ReasonCompacted
		case errors.Is(err, errRestored):
			reason = ReasonRestored
		case errors.Is(err, errCanceled):
			reason = ReasonCanceled
		case errors.Is(err, errDiffers):
			reason = ReasonAudit
		}
		pause(ctx, s.delay(reason, failures))
	}
}

// connect does one round: read everything if there is a reason to, then watch until that ends. It clears the reason when the
// reading has succeeded.
func (s *Source) connect(ctx context.Context, reason *string) error {
	conn, err := s.client.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.release()
	if *reason != "" {
		if err = s.resync(ctx, conn, *reason); err == nil {
			*reason = ""
		}
	}
	if err == nil {
		for err = errBehind; errors.Is(err, errBehind) || errors.Is(err, errNearer); {
			err = s.watch(ctx, conn)
			s.auditOwed = true // the next watch may be another server's
		}
	}
	if errors.Is(err, errSilent) {
		s.client.sift()
	}
	if ctx.Err() == nil && needsConnection(err) {
		s.client.retire(conn)
	}
	return err
}

// needsConnection reports whether the next round should begin with a new connection. That is so for a refused token, and for
// silence: a connection that claims to be fine and brings nothing is the one fault nothing else would end.
func needsConnection(err error) bool {
	return tokenRefused(err) || errors.Is(err, errSilent) || errors.Is(err, errClosed) || errors.Is(err, context.DeadlineExceeded)
}

// lost notes that there is no watch, and says so in the log the first time.
func (s *Source) lost(err error) {
	s.note(func(st *Status) { st.Connected, st.Error, st.LastLoss = false, err.Error(), time.Now() })
	if !s.down {
		s.options.Log.Warn("etcd: there is no watch; what is in force stays, and it is tried again", "revision", s.cursor, "error", err)
	}
	s.down = true
}

// delay returns how long to wait before the next round: next to nothing after the first failure, then 50 ms, doubling up to 2 s,
// each less a random half. Before everything is read again comes what Options.ResyncJitter says.
func (s *Source) delay(reason string, failures int) time.Duration {
	longest := min(25*time.Millisecond<<min(failures-1, 10), 2*time.Second)
	wait := jitter(longest, longest/2)
	switch reason {
	case ReasonCompacted, ReasonRestored, ReasonCanceled: // what the others have met too; audits have their own
		wait += jitter(s.options.ResyncJitter, 0)
	}
	return wait
}

// jitter returns a random time from least up to most.
func jitter(most, least time.Duration) time.Duration {
	if most <= least {
		return least
	}
	return least + rand.N(most-least)
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Status returns a copy. Any goroutine may call it.
func (s *Source) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.status
	out.Resyncs = maps.Clone(s.status.Resyncs)
	return out
}

// note changes the status.
func (s *Source) note(change func(*Status)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.status)
}

// heard notes that the watch has brought something, and up to which revision the sink has everything.
func (s *Source) heard() {
	if s.down {
		s.options.Log.Info("etcd: the watch is up again", "revision", s.cursor)
	}
	s.down = false
	s.note(func(st *Status) {
		st.Connected, st.LastContact, st.Revision, st.Error = true, time.Now(), s.cursor, ""
	})
}

// relative returns a key without the prefix, and whether the sink wants it: a resource's, or what ACME has to serve. Other keys below the prefix
// belong to somebody else.
func relative(prefix string, key []byte) (string, bool) {
	below := string(key[len(prefix):])
	_, _, ok := control.SplitKey(below)
	return below, ok || control.ServedByACME(below)
}

// canceled sorts the error of a watch that the server has ended.
func canceled(err error) error {
	switch {
	case says(err, rpctypes.ErrCompacted):
		return errCompacted
	case tokenRefused(err), says(err, rpctypes.ErrNoLeader), says(err, rpctypes.ErrPermissionDenied):
		return err // nothing is wrong with the cursor
	}
	return fmt.Errorf("%w: %w", errCanceled, err)
}
