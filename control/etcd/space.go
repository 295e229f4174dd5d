package etcd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
)

// A server that has used up its quota raises an alarm (NOSPACE) and refuses writes until there is room and the alarm has been taken back. What fills one is mostly the
// last hour's history. The owner of a cluster decides what becomes of that; the embedded server is nobody's but ours, and makes room by itself: a watch that was away
// reads everything anew then, which it can, and nothing else is lost.

const (
	spaceEvery = 5 * time.Second // between two looks for the alarm, which cost nothing
	spaceAgain = 5 * time.Minute // after one that could not be taken back
	spaceShare = 8               // one part in so many of the quota must be free for writes to be taken again, or it would be full again in a moment
)

var (
	errNoRoom   = errors.New("what is stored takes all the room that there is: remove something by etcdctl")
	errStopping = errors.New("the server stops")
)

// keepSpace makes room whenever there is none, until the server stops. It is one of the server's own goroutines, as seeOut.
func (s *Server) keepSpace() {
	for {
		pause := spaceEvery
		if alarm := s.full(); alarm != nil {
			if err := s.makeSpace(alarm); err != nil && !s.stopping.Load() {
				s.log.Error("etcd is full and takes no writes", "error", err)
				pause = spaceAgain
			}
		}
		select {
		case <-s.etcd.Server.StoppingNotify():
			return
		case <-s.done:
			return
		case <-time.After(pause):
		}
	}
}

// full returns the alarm of a server that takes no writes for want of room, or nil.
func (s *Server) full() *etcdserverpb.AlarmMember {
	for _, alarm := range s.etcd.Server.Alarms() {
		if alarm.Alarm == etcdserverpb.AlarmType_NOSPACE {
			return alarm
		}
	}
	return nil
}

// makeSpace forgets all revisions but the last, gives what they took back to the file system, and takes the alarm back if that was enough. The server answers nobody while the file is written
// anew: some seconds for a gigabyte, so that it is not done again where nothing has been written since it was in vain.
func (s *Server) makeSpace(alarm *etcdserverpb.AlarmMember) error {
	server, ctx := s.etcd.Server, context.Background()
	before, revision := server.Backend().Size(), server.KV().Rev()
	if revision == s.tight.Load() {
		return errNoRoom
	}
	_, err := server.Compact(ctx, &etcdserverpb.CompactionRequest{Revision: revision, Physical: true})
	if err != nil && !errors.Is(err, mvcc.ErrCompacted) {
		return fmt.Errorf("compact: %w", err)
	}
	if s.stopping.Load() { // whoever takes the directory over makes room
		return errStopping
	}
	if err := server.Defragment(); err != nil {
		return fmt.Errorf("defragment: %w", err)
	}
	after := server.Backend().Size()
	if most := server.Cfg.QuotaBackendBytes; after > most-most/spaceShare {
		s.tight.Store(revision)
		return errNoRoom
	}
	if _, err := server.Alarm(ctx, &etcdserverpb.AlarmRequest{Action: etcdserverpb.AlarmRequest_DEACTIVATE, MemberID: alarm.MemberID, Alarm: alarm.Alarm}); err != nil {
		return fmt.Errorf("take the alarm back: %w", err)
	}
	s.log.Warn("etcd was full: its history is forgotten, and it takes writes again", "bytes_before", before, "bytes", after)
	return nil
}
