package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"

	"sluice/control"
	"sluice/control/etcd"
)

// api is the admin API.
type api struct {
	base, token string
	client      *http.Client
}

func newAPI(base, token string, connections int) *api {
	return &api{base: base, token: token, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}}}
}

func (a *api) put(ctx context.Context, key string, value []byte) error {
	kind, id, _ := control.SplitKey(key)
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, fmt.Sprintf("%s/v1/%s/%s", a.base, kind, id), bytes.NewReader(value))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+a.token)
	req.Header.Set("Content-Type", "application/json")
	res, err := a.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 4096))
	if err == nil && res.StatusCode/100 != 2 {
		err = fmt.Errorf("%s: %s: %s", req.URL.Path, res.Status, answer)
	}
	return err
}

// store is an etcd.
type store struct{ *etcd.Store }

func newStore(endpoint, prefix string) (target, func(), error) {
	client, err := etcd.NewClient(etcd.Config{Endpoints: []string{endpoint}, Prefix: prefix})
	if err != nil {
		return nil, nil, err
	}
	return store{etcd.NewStore(client)}, client.Close, nil
}

func (s store) put(ctx context.Context, key string, value []byte) error {
	_, err := s.Put(ctx, key, value, control.Precondition{})
	return err
}
