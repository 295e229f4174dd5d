package etcd

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"sluice/control"
)

// A store that was restored from a backup, and written to until it was past the cursor before the watch went on, looks like one that was
// never away: same cluster, higher revision. So what the watch has told is compared, now and then, with what is there; and soon whenever the client
// may have met another server than before. The comparison is one of sums: it goes on beside the watch and takes nothing from it.
//
//	begin ──> read page by page at one revision R ──> the watch reaches R ──> sums equal? ──> go on, or read everything again
const (
	auditPeriod = 10 * time.Minute // between audits when nothing has happened, on average
	auditShare  = 20               // an audit is followed by a rest of this many times its length
	auditAgain  = 10 * time.Second // after one that failed

	// auditSpread is how many more keys delay an audit after a lost connection by a second more, at most: all gateways of a fleet have lost it at once, and
	// each of them reads everything.
	auditSpread = 10_000
)

var errDiffers = errors.New("etcd holds something else than what the watch has told")

// audits runs audits beside one watch, one at a time. It belongs to the goroutine of the watch, but for read.
type audits struct {
	source *Source
	conn   *connection
	ctx    context.Context
	due    *time.Timer
	nudge  func() // asks etcd how far it is
	read   chan auditResult

	running bool
	values  bool  // the one that is running compares values too
	from    int64 // the cursor when it began
	begun   time.Time
	cancel  context.CancelFunc
	result  *auditResult // waits for the watch to reach its revision
}

// auditResult is what was read.
type auditResult struct {
	cluster  uint64
	revision int64
	sums     sums
	err      error
}

func (s *Source) newAudits(ctx context.Context, conn *connection, nudge func()) *audits {
	a := &audits{source: s, conn: conn, ctx: ctx, nudge: nudge, due: time.NewTimer(time.Hour), read: make(chan auditResult, 1)}
	a.plan(time.Now())
	return a
}

// stop ends what is running and waits for it.
func (a *audits) stop() {
	a.due.Stop()
	if a.running {
		a.cancel()
		<-a.read
	}
	a.source.trail = trail{}
}

// plan sets the time of the next audit, which is not before earliest.
func (a *audits) plan(earliest time.Time) {
	s := a.source
	at := time.Now()
	if s.auditOwed {
		most := s.options.ResyncJitter
		if most > 0 {
			most += time.Second * time.Duration(len(s.known.versions)) / auditSpread
		}
		at = at.Add(jitter(most, 0))
	} else {
		at = at.Add(jitter(s.options.AuditPeriod*5/4, s.options.AuditPeriod*3/4))
	}
	if at.Before(earliest) {
		at = earliest
	}
	a.due.Reset(time.Until(at))
}

// owe asks for an audit that looks at values, soon.
func (a *audits) owe() {
	a.source.auditOwed = true
	if !a.running {
		a.plan(time.Now())
	} // else the one that is running began before the reason for this one: see finish
}

// begin starts to read.
func (a *audits) begin() {
	s := a.source
	a.running, a.values, a.from, a.begun, a.result = true, s.auditOwed, s.cursor, time.Now(), nil
	s.auditOwed = false // until it is owed again
	s.trail = trail{on: true}
	s.trail.note(s.cursor, s.known.sums)
	ctx, cancel := context.WithCancel(a.ctx)
	a.cancel = cancel
	book := newLedger(s.known.seed, 0) // only its seed and sums are used
	values, prefix, page := a.values, s.client.cfg.Prefix, s.options.PageSize
	go func() { a.read <- a.readAll(ctx, book, prefix, page, values) }()
}

// readAll adds up what is stored. It runs on a goroutine of its own.
func (a *audits) readAll(ctx context.Context, book ledger, prefix string, page int, values bool) auditResult {
	var r auditResult
	var options []clientv3.OpOption
	if !values {
		options = append(options, clientv3.WithKeysOnly())
	}
	r.err = eachPage(ctx, a.conn, under(prefix), 0, page, options, func(header *etcdserverpb.ResponseHeader, kvs []*mvccpb.KeyValue) {
		r.cluster, r.revision = header.ClusterId, header.Revision
		for _, kv := range kvs {
			key, ok := relative(prefix, kv.Key)
			if !ok {
				continue
			}
			v := version{revision: kv.ModRevision}
			if values {
				v = book.version(&control.Entry{Value: kv.Value, ModRevision: kv.ModRevision})
			}
			r.sums.add(book.mark(key, v))
		}
	})
	return r
}

// came takes the result.
func (a *audits) came(r auditResult) {
	a.cancel()
	a.running, a.result = false, &r
	if r.err == nil && a.source.cursor < r.revision {
		a.nudge()
	}
}

// judge compares, once the watch is where the reading was. It returns errDiffers where they do not agree.
func (a *audits) judge() error {
	r, s := a.result, a.source
	if r == nil || r.err == nil && s.cursor < r.revision {
		return nil
	}
	if r.err == nil && (r.revision < a.from || r.cluster != s.cluster) {
		return errRestored
	}
	rest := time.Now().Add(auditShare * time.Since(a.begun))
	want, known := s.trail.at(r.revision)
	a.result, s.trail = nil, trail{}
	if r.err != nil || !known {
		s.auditOwed = s.auditOwed || a.values
		a.plan(time.Now().Add(auditAgain))
		return nil
	}
	if a.values && r.sums.values != want.values || r.sums.keys != want.keys {
		return errDiffers
	}
	s.note(func(st *Status) { st.Audits++ })
	a.plan(rest)
	return nil
}
