// Command caddy is Caddy with one route that forwards everything. Its configuration is JSON, as it comes out of a Caddyfile with reverse_proxy; the
// admin endpoint is off and nothing is written to disk.
package main

import (
	"encoding/json"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/standard"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"sluice/bench/rivals/internal/job"
)

const config = `{
  "admin": {"disabled": true, "config": {"persist": false}},
  "logging": {"logs": {"default": {"level": "ERROR"}}},
  "apps": {"http": {"servers": {"bench": {
    "listen": [%q], "idle_timeout": "2m", "automatic_https": {"disable": true}, "protocols": ["h1"],
    "routes": [{"handle": [
      {"handler": "headers", "response": {"deferred": true, "set": {"X-Request-Id": ["{http.request.uuid}"]}}},
      {"handler": "reverse_proxy", "upstreams": [{"dial": %q}],
       "headers": {"request": {"set": {"X-Real-IP": ["{http.request.remote.host}"], "X-Request-Id": ["{http.request.uuid}"]}, "delete": ["Via"]}},
       "transport": {"protocol": "http", "compression": false, "keep_alive": {"max_idle_conns": %d, "max_idle_conns_per_host": %d}}}
    ]}]
  }}}}
}`

func main() {
	o := job.Parse("github.com/caddyserver/caddy/v2")
	var c caddy.Config
	job.Must(json.Unmarshal(fmt.Appendf(nil, config, o.Listen, o.Origin, o.Idle, o.Idle), &c))
	job.Must(caddy.Run(&c))
	select {}
}
