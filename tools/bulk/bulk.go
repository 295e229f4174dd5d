// Package bulk writes many new resources to a store, as fast as any etcd takes them.
package bulk

import (
	"context"
	"fmt"
	"iter"
	"sync"

	"sluice/control"
)

// Any etcd takes a hundred operations in a transaction; a few writers at once let it sync once for several of them.
const (
	perTransaction = 100
	writers        = 8
)

// Write writes entries, none of which may be there yet, in no order. It returns the first failure; what was written before that stays.
func Write(ctx context.Context, target control.Store, entries iter.Seq[control.Entry]) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	batches := make(chan []control.Op)
	var writing sync.WaitGroup
	for range writers {
		writing.Go(func() {
			for ops := range batches {
				if _, err := target.Commit(ctx, ops); err != nil {
					cancel(fmt.Errorf("write %s and those behind it: %w", ops[0].Key, err))
				}
			}
		})
	}
	send := func(ops []control.Op) bool {
		select {
		case batches <- ops:
			return true
		case <-ctx.Done():
			return false
		}
	}
	var ops []control.Op
	for e := range entries {
		ops = append(ops, control.Op{Key: e.Key, Value: e.Value, If: control.Precondition{Absent: true}})
		if len(ops) == perTransaction {
			if !send(ops) {
				break
			}
			ops = nil
		}
	}
	if len(ops) > 0 {
		send(ops)
	}
	close(batches)
	writing.Wait()
	return context.Cause(ctx)
}
