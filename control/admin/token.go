package admin

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// TokenFile is the name of the file in the data directory that holds the token.
const TokenFile = "admin-token"

const (
	tokenBytes = 32 // of chance: 2^256 cannot be guessed, so guesses need not be counted
	tokenMode  = 0o600
)

// LoadOrCreateToken returns the token in the file admin-token of dataDir. At the first start it makes one, and dataDir too where it is
// missing. A file that others can read is made the owner's alone. The file may be written by hand: white space around the token does not count.
func LoadOrCreateToken(dataDir string) (string, error) {
	path := filepath.Join(dataDir, TokenFile)
	token, err := loadToken(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return token, err
	}
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return "", fmt.Errorf("admin: token: %w", err)
	}
	if err := createToken(dataDir, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("admin: token: %w", err)
	}
	return loadToken(path) // where another process was faster, it is that one's token
}

func loadToken(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("admin: token: %w", err)
	}
	if info.Mode().Perm()&^tokenMode != 0 {
		if err := os.Chmod(path, tokenMode); err != nil {
			return "", fmt.Errorf("admin: token: others can read it: %w", err)
		}
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("admin: token: %w", err)
	}
	token := bytes.TrimSpace(content)
	for _, c := range token {
		if c <= ' ' || c > '~' {
			return "", fmt.Errorf("admin: token: %s holds more than one word of plain characters: a header cannot carry it", path)
		}
	}
	if len(token) == 0 {
		return "", fmt.Errorf("admin: token: %s is empty: delete it, and a new one is made", path)
	}
	return string(token), nil
}

// createToken makes a token and gives it the name path in one step: nobody ever sees half of it, and one that is there already is not
// replaced (fs.ErrExist).
func createToken(dir, path string) error {
	random := make([]byte, tokenBytes)
	rand.Read(random)                               // never fails: it ends the program instead
	temp, err := os.CreateTemp(dir, TokenFile+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.WriteString(base64.RawURLEncoding.EncodeToString(random) + "\n")
	if err == nil {
		err = temp.Sync()
	}
	if closed := temp.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	if err := os.Link(temp.Name(), path); err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	return os.Rename(temp.Name(), path) // some network and desktop file systems have no links
}
