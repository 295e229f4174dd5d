package etcd

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"

	"sluice/upstream/register"
)

// leases is the client as package register works with it. Each call is made on the connection that there is, so that a registration outlives a connection
// whose token was refused.
type leases struct{ client *Client }

// Leases returns what a registration needs.
func (c *Client) Leases() register.Client { return leases{c} }

// call runs one call on the current connection.
func call[T any](ctx context.Context, c *Client, what string, f func(context.Context, *connection) (T, error)) (answer T, err error) {
	err = c.do(ctx, what, requestTimeout, func(ctx context.Context, conn *connection) (err error) {
		answer, err = f(ctx, conn)
		return err
	})
	return answer, err
}

func (l leases) Grant(ctx context.Context, ttl int64) (*clientv3.LeaseGrantResponse, error) {
	return call(ctx, l.client, "grant a lease", func(ctx context.Context, conn *connection) (*clientv3.LeaseGrantResponse, error) {
		return conn.Grant(ctx, ttl)
	})
}

func (l leases) KeepAliveOnce(ctx context.Context, id clientv3.LeaseID) (*clientv3.LeaseKeepAliveResponse, error) {
	return call(ctx, l.client, "renew a lease", func(ctx context.Context, conn *connection) (*clientv3.LeaseKeepAliveResponse, error) {
		return conn.KeepAliveOnce(ctx, id)
	})
}

func (l leases) TimeToLive(ctx context.Context, id clientv3.LeaseID, opts ...clientv3.LeaseOption) (*clientv3.LeaseTimeToLiveResponse, error) {
	return call(ctx, l.client, "look at a lease", func(ctx context.Context, conn *connection) (*clientv3.LeaseTimeToLiveResponse, error) {
		return conn.TimeToLive(ctx, id, opts...)
	})
}

func (l leases) Revoke(ctx context.Context, id clientv3.LeaseID) (*clientv3.LeaseRevokeResponse, error) {
	return call(ctx, l.client, "revoke a lease", func(ctx context.Context, conn *connection) (*clientv3.LeaseRevokeResponse, error) {
		return conn.Revoke(ctx, id)
	})
}

func (l leases) Put(ctx context.Context, key, value string, opts ...clientv3.OpOption) (*clientv3.PutResponse, error) {
	return call(ctx, l.client, "put "+key, func(ctx context.Context, conn *connection) (*clientv3.PutResponse, error) {
		return conn.Put(ctx, key, value, opts...)
	})
}

// LeaseEnded reports whether a lease is over. One that is not says that a key which was under it was removed alone.
func (c *Client) LeaseEnded(ctx context.Context, lease int64) (bool, error) {
	answer, err := c.Leases().TimeToLive(ctx, clientv3.LeaseID(lease))
	if err != nil {
		return false, err
	}
	return answer.TTL < 0, nil
}
