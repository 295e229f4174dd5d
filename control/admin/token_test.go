package admin

import (
	"encoding/base64"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func mode(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

// Contract, section 2: made at the first start, written to data_dir/admin-token, mode 0600.
func TestTheTokenIsMadeAtTheFirstStartAndKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "data")
	first, err := LoadOrCreateToken(dir)
	if err != nil {
		t.Fatal(err)
	}
	if random, err := base64.RawURLEncoding.DecodeString(first); err != nil || len(random) != 32 {
		t.Errorf("%q is not 32 bytes in base64url: %v", first, err)
	}
	if got := mode(t, filepath.Join(dir, TokenFile)); got != 0o600 {
		t.Errorf("mode %v", got)
	}
	again, err := LoadOrCreateToken(dir)
	if err != nil || again != first {
		t.Errorf("the second start has %q, %v; the first had %q", again, err, first)
	}
	other, err := LoadOrCreateToken(t.TempDir())
	if err != nil || other == first {
		t.Errorf("two gateways have one token: %v", err)
	}
	files, _ := os.ReadDir(dir)
	if len(files) != 1 {
		t.Errorf("left behind: %v", files)
	}
}

func TestATokenFileThatOthersCanReadIsTightened(t *testing.T) {
	for _, loose := range []fs.FileMode{0o644, 0o640, 0o604, 0o666, 0o700} {
		path := filepath.Join(t.TempDir(), TokenFile)
		if err := os.WriteFile(path, []byte("  by-hand\r\n"), loose); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, loose); err != nil {
			t.Fatal(err)
		}
		token, err := LoadOrCreateToken(filepath.Dir(path))
		if err != nil || token != "by-hand" {
			t.Errorf("%q, %v", token, err)
		}
		if got := mode(t, path); got != 0o600 {
			t.Errorf("%v became %v", loose, got)
		}
	}
}

func TestATokenFileWithoutAUsableTokenIsAnError(t *testing.T) {
	for content, says := range map[string]string{"": "empty", " \n": "empty", "two words": "more than one word", "päss": "plain characters"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, TokenFile), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadOrCreateToken(dir); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want one that says %q", content, err, says)
		}
	}
}

// Whoever creates the file first wins; nobody may go on with a token that is not in the file.
func TestProcessesThatStartTogetherHaveOneToken(t *testing.T) {
	dir := t.TempDir()
	tokens := make([]string, 16)
	var all sync.WaitGroup
	for i := range tokens {
		all.Go(func() {
			token, err := LoadOrCreateToken(dir)
			if err != nil {
				t.Error(err)
			}
			tokens[i] = token
		})
	}
	all.Wait()
	for _, token := range tokens {
		if token == "" || token != tokens[0] {
			t.Fatalf("different tokens: %q", tokens)
		}
	}
}
