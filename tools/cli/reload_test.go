package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/control/file"
	"sluice/internal/testnet"
	"sluice/internal/unit"
)

// reloading is a gateway in this process that reads a configuration which the test changes.
type reloading struct {
	*gateway
	next file.Config
	logs strings.Builder
}

func startReloading(t *testing.T) *reloading {
	t.Helper()
	r := &reloading{gateway: startTest(t, nil)}
	r.next = *r.config
	r.gateway.log = slog.New(slog.NewTextHandler(&r.logs, nil))
	r.load = func() (*file.Config, error) {
		c := r.next
		return &c, nil
	}
	return r
}

// Every setting is either applied by a reload or named by it.
func TestAReloadAppliesOrNamesEverySetting(t *testing.T) {
	for _, path := range file.Settings() {
		group, _, _ := strings.Cut(path, ".")
		want := group == "limits" || group == "timeouts" || group == "access_log" || group == "trusted_proxies" || path == "admin.token" || path == "admin.expose"
		if isLive(path) != want {
			t.Errorf("%s is live: %v, want %v", path, isLive(path), want)
		}
	}
}

func TestAReloadSaysWhatItCannotChange(t *testing.T) {
	r := startReloading(t)
	r.next.Workers, r.next.DataDir, r.next.Etcd.Prefix = 7, "elsewhere", "/other/"
	r.next.Timeouts.Drain = unit.Duration(time.Second)
	for range 2 { // what waits is named every time, what was applied is not
		r.logs.Reset()
		r.reload()
		if log := r.logs.String(); !strings.Contains(log, `settings="[workers data_dir etcd.prefix]"`) {
			t.Errorf("not named:\n%s", log)
		}
	}
	if strings.Contains(r.logs.String(), "drain") {
		t.Errorf("applied twice:\n%s", r.logs.String())
	}
	if r.config.Timeouts.Drain.Std() != time.Second || r.config.Workers == 7 {
		t.Errorf("in force: %+v", r.config)
	}
}

func TestAReloadMovesTheAccessLogAndLosesNoLine(t *testing.T) {
	r := startReloading(t)
	dir := t.TempDir()
	first, second, third := r.config.AccessLog.Path, filepath.Join(dir, "json"), filepath.Join(dir, "combined")
	r.get(t, "/first")
	r.next.AccessLog.Path = second
	r.reload()
	r.get(t, "/second")
	r.next.AccessLog.Path, r.next.AccessLog.Format = third, "combined"
	r.reload()
	r.get(t, "/third")
	r.next.AccessLog.Path = ""
	r.reload()
	r.get(t, "/nobody")
	r.next.AccessLog.Path = third
	r.reload()
	r.get(t, "/fourth")
	r.next.AccessLog.Path = filepath.Join(dir, "no", "such", "directory")
	r.reload() // it cannot be opened: nothing changes
	r.get(t, "/fifth")
	for path, want := range map[string][]string{first: {"/first"}, second: {"/second"}, third: {"/third", "/fourth", "/fifth"}} {
		testnet.Await(t, fmt.Sprint(want, " in ", path), func() bool {
			text, err := os.ReadFile(path)
			return err == nil && strings.Count(string(text), "\n") == len(want)
		})
		text, _ := os.ReadFile(path)
		for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
			if !strings.Contains(line, want[i]) || json.Valid([]byte(line)) != (path != third) {
				t.Errorf("%s: line %q, want %s", path, line, want[i])
			}
		}
	}
	if !strings.Contains(r.logs.String(), "nothing was changed") {
		t.Errorf("the log says nothing of the file that could not be opened:\n%s", r.logs.String())
	}
}

// A change that fails half-way must change nothing, not even what comes before it.
func TestAReloadIsAllOrNothing(t *testing.T) {
	r := startReloading(t)
	r.next.Timeouts.Drain = unit.Duration(time.Second)
	r.next.Limits.Headers = 1 << 10
	r.next.Admin.Expose = true
	r.next.AccessLog.Path = filepath.Join(t.TempDir(), "no", "directory")
	r.reload()
	if r.config.Timeouts.Drain.Std() == time.Second {
		t.Error("half of it was applied")
	}
	panel, err := http.Get("http://" + r.server.Addrs()[0].String() + "/admin/user/info")
	if err != nil {
		t.Fatal(err)
	}
	panel.Body.Close()
	if panel.StatusCode != 404 {
		t.Errorf("the panel answers %d", panel.StatusCode)
	}
	resp, err := net.Dial("tcp", r.server.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Close()
	fmt.Fprintf(resp, "GET / HTTP/1.1\r\nHost: a\r\nX: %s\r\nConnection: close\r\n\r\n", strings.Repeat("x", 2<<10))
	var status [12]byte
	if _, err := io.ReadFull(resp, status[:]); err != nil || string(status[:]) != "HTTP/1.1 404" {
		t.Errorf("%q, %v: the new limit holds", status, err)
	}
}

func TestAReloadChangesTheAdminToken(t *testing.T) {
	r := startReloading(t)
	token := filepath.Join(r.config.DataDir, "admin-token")
	if status, _ := r.call(t, "GET", "/v1/routes", ""); status != 200 {
		t.Fatal(status)
	}
	made, err := os.ReadFile(token)
	if err != nil {
		t.Fatal(err)
	}
	r.next.Admin.Token = "a token of the operator's own"
	r.reload()
	if status, _ := r.call(t, "GET", "/v1/routes", ""); status != 401 {
		t.Errorf("the old token: %d", status)
	}
	for _, by := range []string{"file", "setting"} { // call shows what is in the file
		if by == "file" {
			if err := os.WriteFile(token, []byte(r.next.Admin.Token), 0o600); err != nil {
				t.Fatal(err)
			}
		} else {
			if err := os.WriteFile(token, made, 0o600); err != nil {
				t.Fatal(err)
			}
			r.next.Admin.Token = ""
			r.reload()
		}
		if status, _ := r.call(t, "GET", "/v1/routes", ""); status != 200 {
			t.Errorf("the new token by %s: %d", by, status)
		}
	}
	if strings.Contains(r.logs.String(), "operator") {
		t.Error("the token is in the log")
	}
}

// The whole way, with the signal: limits change on a connection that is open, a wrong file changes nothing and every mistake is named with its line.
func TestSIGHUPAppliesTheFileAndAWrongOneChangesNothing(t *testing.T) {
	p := run(t, baseConfig)
	p.route(startOrigin(t, "a").Addr())
	conn, r := p.connect()
	ask(t, conn, r, "/x/1")

	p.configure(baseConfig + "limits: {request_line: 256B}\ntimeouts: {drain: 7s}\n")
	p.signal(syscall.SIGHUP)
	p.awaitLog(`msg="configuration reloaded" changed="[limits.request_line timeouts.drain]"`, 1)
	long := "/x/" + strings.Repeat("l", 300)
	if resp := ask(t, conn, r, long); resp.StatusCode != 414 {
		t.Errorf("status %d for a request line over the new limit", resp.StatusCode)
	}

	p.configure("workers: -1\nlimits: {request_line: 8KiB, body: 3}\nunknown: 1\n")
	p.signal(syscall.SIGHUP)
	p.awaitLog("configuration not reloaded: nothing was changed", 3)
	for _, want := range []string{p.config + ":1:", p.config + ":2:", p.config + ":3:"} {
		if !strings.Contains(p.log(), want) {
			t.Errorf("no %s in the log", want)
		}
	}
	if status := p.get(long); status != 414 {
		t.Errorf("status %d: the wrong file has changed the limit", status)
	}

	if err := os.Rename(filepath.Join(p.dir, "access.log"), filepath.Join(p.dir, "access.log.1")); err != nil {
		t.Fatal(err)
	}
	p.configure(strings.Replace(baseConfig, "workers: 2", "workers: 3", 1) + "limits: {request_line: 8KiB}\n")
	p.signal(syscall.SIGHUP)
	p.awaitLog("settings=[workers]", 1)
	if status := p.get(long); status != 200 {
		t.Errorf("status %d under the limit that was put back", status)
	}
	p.await("the access log to be written to a new file", func() bool {
		text, err := os.ReadFile(filepath.Join(p.dir, "access.log"))
		return err == nil && strings.Contains(string(text), long)
	})

	// What had to wait is in force after an upgrade.
	old := p.pid()
	p.upgrade()
	p.awaitLog("workers=3 ", 1)
	p.exited(old, 0)
}
