package cli

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"sluice/control/file"
	"sluice/internal/unit"
)

// Contract, section 3: a setting in the store is live on every gateway, over what its own file says, and gone it leaves the file's.
func TestASettingOfTheStoreIsLiveOverTheFile(t *testing.T) {
	level := new(slog.LevelVar)
	config := testConfig(t)
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: level}))
	g, err := startGateway(t.Context(), plan{config: config, log: log, level: level})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.stop(context.Background(), nil) })
	o := startOrigin(t, "a")
	put := func(path, body string) {
		t.Helper()
		if status, text := g.call(t, "PUT", path, body); status/100 != 2 {
			t.Fatalf("%s: %d %s", path, status, text)
		}
	}
	put("/v1/routes/all", `{"prefix":"/*","service_name":"s"}`)
	put("/v1/nodes/a", `{"service_name":"s","upstream":"`+o.Addr()+`"}`)
	post := func() int {
		resp, err := http.Post("http://"+g.server.Addrs()[0].String()+"/x", "text/plain", strings.NewReader(strings.Repeat("x", 100)))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	eventually(t, "the route is in force", func() bool { return post() == 200 })
	put("/v1/settings/limits", `{"body":"10B"}`)
	put("/v1/settings/timeouts", `{"drain":"123ms"}`)
	put("/v1/settings/log_level", `{"level":"debug"}`)
	eventually(t, "the limit is in force", func() bool { return post() == 413 })
	eventually(t, "the drain and the level are in force", func() bool {
		return g.live.drainTime() == 123*time.Millisecond && level.Level() == slog.LevelDebug
	})
	put("/v1/settings/limits", `{"body":"1KiB"}`)
	hidden := func() int {
		resp, err := http.Get("http://" + g.server.Addrs()[0].String() + "/a%2Fb")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if status := hidden(); status != 200 {
		t.Errorf("a path whose readings agree got %d", status)
	}
	put("/v1/settings/path_policy", `{"ambiguous":"refuse"}`)
	eventually(t, "the policy for paths is in force", func() bool { return hidden() == 400 })
	put("/v1/settings/limits", `{"body":"10B"}`)
	eventually(t, "the limit is in force again", func() bool { return post() == 413 })
	// A reload of the file goes below what the store says.
	g.load = func() (*file.Config, error) {
		next := *config
		next.Limits.Body, next.Timeouts.Drain = 50, unit.Duration(7*time.Second)
		return &next, nil
	}
	g.reload()
	if post() != 413 || g.live.drainTime() != 123*time.Millisecond {
		t.Error("the file won over the store")
	}
	for _, name := range []string{"limits", "timeouts", "log_level", "path_policy"} {
		if status, text := g.call(t, "DELETE", "/v1/settings/"+name, ""); status != 204 {
			t.Fatal(text)
		}
	}
	eventually(t, "the file's are in force again", func() bool { return g.live.drainTime() == 7*time.Second && level.Level() == slog.LevelInfo })
	if post() != 413 {
		t.Error("the file's limit of 50 bytes is not in force")
	}
}
