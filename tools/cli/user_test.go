package cli

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"sluice/control/file"
)

// typing runs a command with something on its standard input.
func typing(t *testing.T, input string, args ...string) (code int, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	root := newRoot(&out, &err)
	root.SetIn(strings.NewReader(input))
	code = execute(t.Context(), root, args, &err)
	return code, err.String()
}

// Contract, section 1: user add, passwd and remove; and section 4: their logins, also where the panel is exposed.
func TestAccountsAreMadeChangedAndRemoved(t *testing.T) {
	g := startTest(t, func(c *file.Config) { c.Admin.Expose = true })
	login := func(password string) (status int, token string) {
		t.Helper()
		status, body := g.curl(t, "/admin/login", `{"username":"alice","password":"`+password+`"}`)
		var said struct{ Token string }
		if status == 200 {
			if err := json.Unmarshal([]byte(body), &said); err != nil {
				t.Fatal(err)
			}
		}
		return status, said.Token
	}
	as := func(token, method, path string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+g.admin.Addr().String()+path, strings.NewReader(`{"prefix":"/x","service_name":"s"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Token", token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	dir := "--data-dir=" + g.config.DataDir
	if status, _ := login("secret-1"); status != 500 {
		t.Errorf("before there are accounts: %d", status)
	}
	for _, tc := range []struct {
		args  []string
		input string
		code  int
		says  string
	}{
		{[]string{"add", "alice"}, "secret-1\n", exitOK, ""},
		{[]string{"add", "alice"}, "secret-1\n", exitFailure, "there is an account of that name"},
		{[]string{"add", "bob", "--role", "root"}, "secret-1\n", exitUsage, "not a role"},
		{[]string{"add", "bob"}, "abc\n", exitUsage, "shorter than"},
		{[]string{"add", "bob"}, "", exitUsage, "no password"},
		{[]string{"add", "b/b"}, "secret-1", exitUsage, "not a name"},
		{[]string{"add"}, "secret-1", exitUsage, "takes a name"},
		{[]string{"passwd", "bob", "--password-stdin"}, "secret-2", exitFailure, "no such account"},
		{[]string{"remove", "bob"}, "", exitFailure, "no such account"},
	} {
		code, stderr := typing(t, tc.input, append(append([]string{"user"}, tc.args...), dir)...)
		if code != tc.code || !strings.Contains(stderr, tc.says) || strings.Contains(stderr, "secret-") {
			t.Errorf("user %v: exit code %d, want %d; %q", tc.args, code, tc.code, stderr)
		}
	}
	if code, stderr := typing(t, "secret-2\n", "user", "passwd", "alice", "--role", "owner", dir); code != exitUsage || !strings.Contains(stderr, "not a role") {
		t.Errorf("passwd with no role: exit code %d; %q", code, stderr)
	}
	status, token := login("secret-1") // which that has not changed
	if read, write := as(token, "GET", "/v1/routes"), as(token, "PUT", "/v1/routes/x"); status != 200 || read != 200 || write != 403 {
		t.Errorf("a viewer, who is what is not said to be an admin: %d, reads %d, writes %d", status, read, write)
	}
	if code, stderr := typing(t, "secret-2\n", "user", "passwd", "alice", "--role", "admin", "--password-stdin", dir); code != exitOK {
		t.Fatalf("passwd: %d %s", code, stderr)
	}
	if read := as(token, "GET", "/v1/routes"); read != 401 {
		t.Errorf("the session before the new password: %d", read)
	}
	if status, _ := login("secret-1"); status != 500 {
		t.Errorf("the old password: %d", status)
	}
	if _, token = login("secret-2"); as(token, "PUT", "/v1/routes/x") != 201 {
		t.Error("an admin cannot write")
	}
	if code, stderr := typing(t, "", "user", "remove", "alice", dir); code != exitOK {
		t.Fatalf("remove: %d %s", code, stderr)
	}
	if read := as(token, "GET", "/v1/routes"); read != 401 {
		t.Errorf("the session of an account that is gone: %d", read)
	}
}

// Where the store cannot be reached, the admin API can.
func TestAccountsAreMadeThroughTheAdminAPI(t *testing.T) {
	g := startTest(t, func(c *file.Config) { c.Admin.Token = seedToken })
	api := []string{"--admin", g.admin.Addr().String(), "--token", seedToken, "--data-dir", t.TempDir()}
	for _, tc := range []struct {
		args  []string
		input string
		code  int
	}{
		{[]string{"add", "alice", "--role", "admin"}, "secret-1", exitOK},
		{[]string{"add", "alice"}, "secret-1", exitFailure},
		{[]string{"passwd", "alice", "--role", "viewer"}, "secret-2", exitOK},
		{[]string{"passwd", "bob"}, "secret-2", exitFailure},
		{[]string{"remove", "bob"}, "", exitFailure},
	} {
		code, stderr := typing(t, tc.input, append(append([]string{"user"}, tc.args...), api...)...)
		if code != tc.code || strings.Contains(stderr, "secret-") {
			t.Errorf("user %v: exit code %d, want %d; %q", tc.args, code, tc.code, stderr)
		}
	}
	resp, err := http.Post("http://"+g.admin.Addr().String()+"/admin/login", "application/json", strings.NewReader(`{"username":"alice","password":"secret-2"}`))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("login: %d", resp.StatusCode)
	}
	if code, stderr := typing(t, "", append([]string{"user", "remove", "alice"}, api...)...); code != exitOK {
		t.Errorf("remove: %d %s", code, stderr)
	}
}
