package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
)

// The work of the scenario plugins, which is five: an id for the request, another target, clients by their addresses, a field that the answer is given, and a page of another
// origin that may read it.
const (
	pluginsOrigin  = "https://shop.example" // of the page; every request of the load names it
	pluginsField   = "Cache-Control"        // that the answer is given
	pluginsValue   = "no-store"
	pluginsClients = "127.0.0.1" // who may come, beside those of 10.0.0.0/8
)

const (
	sluicePlugins = `{"id":"bench","prefix":"/openapi/*","service_name":"bench","plugins":{"request-id":{},"proxy-rewrite":{"regex_uri":["^/openapi/(.*)$","/$1"]},
  "ip-restriction":{"whitelist":["10.0.0.0/8","{clients}"]},"response-rewrite":{"headers":{"set":{"{field}":"{value}"}}},"cors":{"allow_origins":"{page}"}}}`
	nginxPluginsMap = `  map $http_origin $allowed { default ""; "{page}" $http_origin; }
`
	nginxPlugins = `    location /openapi/ {
      allow 10.0.0.0/8; allow {clients}; deny all;
      rewrite ^/openapi/(.*)$ /$1 break;
      proxy_hide_header {field}; proxy_hide_header Access-Control-Allow-Origin;
      add_header X-Request-Id $request_id always;
      add_header {field} {value} always;
      add_header Access-Control-Allow-Origin $allowed always;
      add_header Vary Origin always;
      proxy_pass http://origin;
    }
`
	haproxyPlugins = `  http-request deny deny_status 403 unless { src 10.0.0.0/8 {clients} }
  http-request set-var(txn.page) req.hdr(origin)
  http-request replace-path ^/openapi/(.*)$ /\1
  http-response set-header {field} {value}
  http-response del-header Access-Control-Allow-Origin
  http-response set-header Access-Control-Allow-Origin %[var(txn.page)] if { var(txn.page) -m str {page} }
  http-response add-header Vary Origin
`
)

// fillPlugins puts the values into one of them.
func fillPlugins(text string) string {
	return fill(text, "{clients}", pluginsClients, "{field}", pluginsField, "{value}", pluginsValue, "{page}", pluginsOrigin)
}

// checkPlugins looks at what the answers to a page that may read them, to another page and to another client have. That the id and the target are right is checked with
// everybody's.
func checkPlugins(ctx context.Context, r *rival) error {
	var wrong []error
	for page, allowed := range map[string]string{pluginsOrigin: pluginsOrigin, "https://other.example": ""} {
		_, head, err := get(ctx, r.url(smallPath), http.Header{"Origin": {page}})
		if err != nil {
			return fmt.Errorf("%s: plugins: %w", r.name, err)
		}
		for name, want := range map[string]string{pluginsField: pluginsValue, "Access-Control-Allow-Origin": allowed, "Vary": "Origin"} {
			if got := head.Values(name); len(got) > 1 || head.Get(name) != want {
				wrong = append(wrong, fmt.Errorf("%s: plugins: %s of an answer to a page of %s is %q, want %q", r.name, name, page, got, want))
			}
		}
	}
	status, err := askFrom(ctx, net.IPv4(127, 0, 0, 2), r.url(smallPath))
	if err == nil && status != http.StatusForbidden {
		err = fmt.Errorf("%s: plugins: a client of another address gets %d, want 403", r.name, status)
	}
	return errors.Join(append(wrong, err)...)
}

// askFrom returns the status of an answer to a client with that address.
func askFrom(ctx context.Context, address net.IP, url string) (int, error) {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: address}}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: dialer.DialContext}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, err
}
