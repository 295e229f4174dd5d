package etcd

import (
	"context"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"sluice/control"
)

const (
	silentPeriods = 3 // progress periods without a word after which a watch is taken for dead

	resumedIn = 500 * time.Millisecond // at most, after a new connection, until a watch that has said nothing there is looked at

	// A change that comes alone is applied at once. Changes that come within calm of the last batch are a burst, and are applied
	// together: when no more come for burstIdle, or burstMost after the first.
	calm      = 10 * time.Millisecond
	burstIdle = 5 * time.Millisecond
	burstMost = 20 * time.Millisecond
)

// watch hands on every change after the cursor. It returns why it ended, never nil.
func (s *Source) watch(ctx context.Context, conn *connection) error {
	// Without a leader a member would go on serving the watch in silence; so it ends with an error instead. The client keeps one
	// stream for each set of metadata, which this call sets: a progress request on any other context would go to another stream.
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	on := s.client.watching(conn)
	defer on.leave()
	changes, err := s.begin(ctx, cancel, on)
	if err != nil {
		return err
	}
	nudge := make(chan struct{}, 1)
	var asked sync.WaitGroup
	asking, stopAsking := context.WithCancel(ctx)
	asked.Go(func() { s.askProgress(asking, on, nudge) })
	asked.Go(func() { s.inspect(asking, conn) })
	defer func() { // before cancel: asking for progress after the watch has ended would open a stream that nobody closes
		stopAsking()
		asked.Wait()
	}()
	audits := s.newAudits(ctx, conn, func() { tell(nudge) })
	defer audits.stop()
	return s.follow(ctx, conn, on, changes, audits)
}

// begin opens the watch. Where the server does not answer it ends the context of it.
func (s *Source) begin(ctx context.Context, cancel context.CancelFunc, on watching) (clientv3.WatchChan, error) {
	impatience := time.AfterFunc(requestTimeout, cancel) // Watch returns only once the server has answered
	// From the cursor itself, and not from behind it: a server says nothing of the progress of a watch that begins later than what is stored, so a store in which
	// nothing happens would look like one that has gone. What is told twice is skipped.
	changes := on.Watch(ctx, s.client.cfg.Prefix, clientv3.WithPrefix(), clientv3.WithRev(max(s.cursor, 1)),
		clientv3.WithCreatedNotify(), clientv3.WithProgressNotify(), clientv3.WithFragment())
	if !impatience.Stop() {
		return nil, errSilent
	}
	return changes, nil
}

// follow waits for whatever comes next, and returns why the watch ends. It stays in one piece, since two clocks run through all of it:
//
//	           silent for too long: errSilent
//	watched ◄──────── any response ─────────────┐
//	   │                                        │
//	   └─ connected again ──► resumed ──────────┘
//	                             └─ etcd answers, is where the watch is, and the watch says nothing: errBehind
func (s *Source) follow(ctx context.Context, conn *connection, on watching, changes clientv3.WatchChan, audits *audits) error {
	silence := silentPeriods * s.options.ProgressPeriod
	watchdog := time.NewTimer(silence)
	defer watchdog.Stop()
	resumed := time.NewTimer(silence)
	resumed.Stop()
	defer resumed.Stop()
	for {
		select {
		case response, open := <-changes:
			if err := s.receive(ctx, conn, response, open, changes); err != nil {
				return err
			}
			resumed.Stop()
			watchdog.Reset(silence) // not before: the time the sink takes is no silence of etcd's
			if on.nearer(s.client) {
				return errNearer
			}
		case <-watchdog.C:
			return errSilent
		case <-on.ended:
			return errHandedOver
		case <-on.links.none:
			if on.links.open.Load() == 0 {
				s.lost(errLost) // the library tries to connect, and then goes on with the watch
			}
		case <-on.links.again:
			audits.nudge() // the answer tells which cluster it has met
			audits.owe()
			resumed.Reset(min(s.options.ProgressPeriod, resumedIn))
		case <-resumed.C:
			if s.idle(ctx, conn) {
				return errBehind
			}
			resumed.Reset(resumedIn)
		case <-audits.due.C:
			audits.begin()
		case r := <-audits.read:
			audits.came(r)
		}
		if err := audits.judge(); err != nil {
			return err
		}
	}
}

// idle reports whether etcd answers and the watch has nothing to tell. That is no fault of it.
func (s *Source) idle(ctx context.Context, conn *connection) bool {
	answer, err := get(ctx, conn, s.client.cfg.Prefix, []clientv3.OpOption{clientv3.WithCountOnly()})
	return err == nil && answer.Header.ClusterId == s.cluster && answer.Header.Revision == s.cursor
}

// askProgress asks the server, again and again and whenever it is nudged, to say up to which revision the watch has been told everything.
func (s *Source) askProgress(ctx context.Context, on watching, nudge <-chan struct{}) {
	ticker := time.NewTicker(s.options.ProgressPeriod)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-nudge:
		case <-ctx.Done():
			return
		}
		// It waits while the client has no connection. When it fails, the watchdog sees to the rest.
		_ = on.RequestProgress(ctx)
	}
}

// receive takes one response, and in a burst those that follow it, and hands their changes to the sink as one batch. What came
// before an error is handed on too.
func (s *Source) receive(ctx context.Context, conn *connection, response clientv3.WatchResponse, open bool, more clientv3.WatchChan) error {
	err := s.absorb(ctx, conn, response, open)
	if err == nil && len(s.pending.changes) > 0 && time.Since(s.lastApply) < calm {
		err = s.gather(ctx, conn, more)
	}
	s.apply()
	if err == nil {
		s.heard()
	}
	return err
}

// gather absorbs what follows in a burst.
func (s *Source) gather(ctx context.Context, conn *connection, more clientv3.WatchChan) error {
	idle := time.NewTimer(burstIdle)
	defer idle.Stop()
	for end := time.Now().Add(burstMost); time.Now().Before(end); {
		select {
		case response, open := <-more:
			if err := s.absorb(ctx, conn, response, open); err != nil {
				return err
			}
			idle.Reset(burstIdle)
		case <-idle.C:
			return nil
		}
	}
	return nil
}

// absorb adds one response to what is pending and moves the cursor. A response holds whole revisions, never a part of one.
func (s *Source) absorb(ctx context.Context, conn *connection, response clientv3.WatchResponse, open bool) error {
	if !open {
		return errClosed
	}
	if response.CompactRevision != 0 {
		return errCompacted
	}
	if err := response.Err(); err != nil {
		return canceled(err)
	}
	if id := response.Header.ClusterId; id != 0 && id != s.cluster {
		return errRestored
	}
	// Older than what was seen already: either the store was restored from a backup, or this member lags behind.
	old := response.Header.Revision < s.cursor
	if len(response.Events) > 0 {
		old = old || response.Events[0].Kv.ModRevision < s.cursor
	}
	if old {
		if err := s.confirm(ctx, conn); err != nil {
			return err
		}
	}
	if response.IsProgressNotify() {
		s.cursor = max(s.cursor, response.Header.Revision)
		s.trail.note(s.cursor, s.known.sums)
	}
	s.collect(response.Events, s.cursor)
	return nil
}

// collect makes pending changes of events that are later than seen: a watch begins with the revision that was seen last, and a server may tell some twice after a
// reconnect.
func (s *Source) collect(events []*clientv3.Event, seen int64) {
	for i, event := range events {
		kv := event.Kv
		if kv.ModRevision <= seen {
			continue
		}
		if key, ok := relative(s.client.cfg.Prefix, kv.Key); ok {
			entry := control.Entry{Key: key, Value: kv.Value, ModRevision: kv.ModRevision}
			c := control.Change{Entry: entry, Deleted: event.Type == clientv3.EventTypeDelete, Lease: kv.Lease}
			if c.Deleted {
				c.Lease = s.known.leases[key]
				s.pending.add(c, s.known.remove(key))
			} else {
				s.pending.add(c, s.known.put(key, s.known.version(&c.Entry)))
				s.known.lease(key, c.Lease)
			}
		}
		s.cursor = max(s.cursor, kv.ModRevision)
		if i == len(events)-1 || events[i+1].Kv.ModRevision != kv.ModRevision {
			s.trail.note(s.cursor, s.known.sums)
		}
	}
}

// confirm asks, with a read that no lagging member can answer, whether the store is older than the cursor.
func (s *Source) confirm(ctx context.Context, conn *connection) error {
	answer, err := get(ctx, conn, s.client.cfg.Prefix, []clientv3.OpOption{clientv3.WithCountOnly()})
	if err != nil {
		return err
	}
	if answer.Header.ClusterId != s.cluster || answer.Header.Revision < s.cursor {
		return errRestored
	}
	return nil
}

// apply hands what is pending to the sink.
func (s *Source) apply() {
	changes := s.pending.take()
	if len(changes) == 0 {
		return
	}
	s.sink.Apply(control.Batch{Revision: s.cursor, Changes: changes})
	s.lastApply = time.Now()
}
