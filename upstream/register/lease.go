package register

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// stay renews the lease until it is lost or ctx ends.
//
// Every renewal is a call of its own, with a bound and an answer. The client's own loop would tell of its end by a channel that closes, drop answers when
// nobody reads them in time, and say nothing of a stream that hangs.
func (r *Registration) stay(ctx context.Context, lease clientv3.LeaseID) error {
	ticker := time.NewTicker(r.options.renew)
	defer ticker.Stop()
	for last, n := time.Now(), 1; ; n++ {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		begun := time.Now()
		err := r.renew(ctx, lease)
		if err == nil {
			last = begun
			if n%checkEvery == 0 {
				err = r.look(ctx, lease)
			}
		}
		if errors.Is(err, errLost) || time.Since(last) > r.options.TTL {
			return fmt.Errorf("%w: %w", errLost, err)
		}
	}
}

// renew asks etcd to keep the lease for another TTL.
func (r *Registration) renew(ctx context.Context, lease clientv3.LeaseID) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := r.client.KeepAliveOnce(ctx, lease)
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return errLost
	}
	return err
}

// look finds out whether the node is there, and puts it where it is not: etcd before 3.5.23 and 3.6.5 could say that it had renewed a lease which was
// revoked, and somebody may have deleted the key alone. What somebody has changed in the value stays.
func (r *Registration) look(ctx context.Context, lease clientv3.LeaseID) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := r.client.TimeToLive(ctx, lease, clientv3.WithAttachedKeys())
	switch {
	case err != nil:
		return err
	case answer.TTL < 0: // 0 is less than a second, and it is renewed in time
		return errLost
	case slices.ContainsFunc(answer.Keys, func(key []byte) bool { return string(key) == r.key }):
		return nil
	}
	r.options.Log.Warn("the registered key was gone: it is put again", "key", r.key)
	return r.put(ctx, lease, r.node.Weight)
}

// leave drains the node and takes it out.
func (r *Registration) leave(lease clientv3.LeaseID) error {
	if r.options.Drain == nil {
		return r.revoke(lease)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var kept sync.WaitGroup
	if lease != clientv3.NoLease {
		r.announce(lease)
		kept.Go(func() { r.keep(ctx, lease) })
	}
	err := r.options.Drain(context.Background())
	stop()
	kept.Wait()
	return errors.Join(err, r.revoke(lease))
}

// announce tells the gateways that the node is not to be asked any more. Where etcd cannot be reached they find out from the node itself.
func (r *Registration) announce(lease clientv3.LeaseID) {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	if err := r.put(ctx, lease, 0); err != nil {
		r.options.Log.Warn("the gateways have not been told that the node goes", "key", r.key, "error", err)
	}
}

// keep renews the lease until ctx ends: what is in flight is the node's as long as it is there. A lease that is lost meanwhile is a node that is out.
func (r *Registration) keep(ctx context.Context, lease clientv3.LeaseID) {
	ticker := time.NewTicker(r.options.renew)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := r.renew(ctx, lease); errors.Is(err, errLost) {
				return
			}
		}
	}
}

// revoke ends the lease, and so removes the key.
func (r *Registration) revoke(lease clientv3.LeaseID) error {
	if lease == clientv3.NoLease {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	if _, err := r.client.Revoke(ctx, lease); err != nil && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return fmt.Errorf("register: revoke: the node stays until its lease ends: %w", err)
	}
	return nil
}

// jitter returns how long to wait before the next try: up to 100 ms after the first failure, doubling up to most, at least half of it.
func jitter(failures int, most time.Duration) time.Duration {
	longest := min(100*time.Millisecond<<min(failures-1, 16), most)
	return longest/2 + rand.N(longest/2+1)
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
