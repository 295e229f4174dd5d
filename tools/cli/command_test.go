package cli

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// command runs one command line and returns its exit code and output.
func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = Main(t.Context(), args, &out, &err)
	return code, out.String(), err.String()
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sluice.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCheckPrintsEveryProblemWithItsPlace(t *testing.T) {
	path := write(t, "workers: -1\nlimits:\n  body: 10\nlisteners:\n  - adress: x\n")
	code, _, stderr := command(t, "check", "--config", path)
	if code != exitFailure {
		t.Errorf("exit code %d, want %d", code, exitFailure)
	}
	for _, want := range []string{path + ":1:", "workers", path + ":3:", "limits.body", path + ":5:", "adress", "address"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("no %q in:\n%s", want, stderr)
		}
	}
}

// Each problem has its place in the file and its path, also where two settings do not go together; files that are named and not there are a bad configuration, for run as for check.
func TestEveryProblemOfAFileHasItsPlace(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "no", "file")
	for _, c := range []struct{ text, want string }{
		{"access_log:\n  format: xml\n", ":2:11: access_log.format: \"xml\""},
		{"workers: 1\nlisteners: [{address: \"127.0.0.1:9180\"}]\n", ":2:23: listeners[0].address: \"127.0.0.1:9180\" is also admin.address"},
		{"workers: 1\nadmin: {address: \"0.0.0.0:10000\"}\n", ":2:18: admin.address: \"0.0.0.0:10000\" is also listeners[0]"},
		{"\ufeffworkers: -1\n", ":1:10: workers: -1"},
		{"access_log:\n  path: " + missing + "\n", ":2:9: access_log.path: the directory " + filepath.Dir(missing)},
		{"access_log:\n  path: " + t.TempDir() + "\n", ":2:9: access_log.path: "},
		{"etcd:\n  endpoints: [\"https://127.0.0.1:1\"]\n  ca_file: " + missing + "\n", ":3:12: etcd.ca_file: open " + missing},
		{"etcd:\n  endpoints: [\"https://127.0.0.1:1\"]\n  cert_file: " + missing + "\n  key_file: " + missing + "\n", ":4:13: etcd.key_file: open " + missing},
	} {
		path := write(t, c.text)
		for name, want := range map[string]int{"check": exitFailure, "run": exitUsage} {
			code, _, stderr := command(t, name, "--config", path)
			if code != want || !strings.Contains(stderr, path+c.want) {
				t.Errorf("%s of %q: exit code %d, want %d; no %q in %q", name, c.text, code, want, c.want, stderr)
			}
		}
	}
}

// What an editor puts before a text is no part of it; and what run makes itself need not be there for check.
func TestCheckAcceptsWhatRunWouldMake(t *testing.T) {
	data := filepath.Join(t.TempDir(), "new", "data")
	path := write(t, "\ufeffdata_dir: "+data+"\naccess_log: {path: "+filepath.Join(data, "access.log")+"}\n")
	if code, _, stderr := command(t, "check", "--config", path); code != exitOK {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

func TestCheckAcceptsAGoodFile(t *testing.T) {
	code, stdout, stderr := command(t, "check", "--config", write(t, "workers: 2\naccess_log: {path: \"\"}\n"))
	if code != exitOK || !strings.HasSuffix(stdout, ": good\n") {
		t.Errorf("%d %q %q", code, stdout, stderr)
	}
}

func TestBadUsageExitsWithTwo(t *testing.T) {
	for _, args := range [][]string{
		{}, {"user"}, {"fly"}, {"run", "--no-such-flag"}, {"run", "extra"}, {"check"}, {"run", "--workers", "-3"},
		{"run", "--config", filepath.Join(t.TempDir(), "missing.yaml")}, {"run", "--log-level", "loud"},
		{"run", "--config", write(t, "nonsense: 1\n")}, {"run", "--etcd", "nowhere"},
	} {
		code, _, stderr := command(t, args...)
		if code != exitUsage || stderr == "" {
			t.Errorf("%v: exit code %d, want %d; stderr %q", args, code, exitUsage, stderr)
		}
	}
}

func TestAPortThatIsTakenIsARuntimeFailure(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	code, _, stderr := command(t, "run", "--data-dir", t.TempDir(), "--admin", "127.0.0.1:0", "--listen", taken.Addr().String(), "--log-level", "error")
	if code != exitFailure || !strings.Contains(stderr, "address already in use") {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
}

func TestVersionNamesVersionCommitAndGo(t *testing.T) {
	code, stdout, _ := command(t, "version")
	if code != exitOK || !strings.HasPrefix(stdout, "sluice "+Version+" commit ") || !strings.Contains(stdout, " go1.") {
		t.Errorf("%d %q", code, stdout)
	}
	if code, flag, _ := command(t, "--version"); code != exitOK || flag != stdout { // what people try first
		t.Errorf("--version: %d %q", code, flag)
	}
}
