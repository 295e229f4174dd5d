package etcd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	lockName   = "lock"
	socketName = "etcd.sock"

	// A socket's address holds 108 bytes, the last of which is 0 (unix(7)).
	maxSocketPath = 107
)

// ErrInUse is StartServer's answer where another process has a server in the directory. [Attach] reaches it.
var ErrInUse = errors.New("in use by another process")

// directory is a data directory that this process, and no other, uses.
type directory struct {
	path   string   // absolute
	lock   *os.File // held with flock(2); the kernel gives it free when the process dies
	handle *os.File // the directory itself, open when the socket is reached through it
}

// ownDirectory makes the directory if need be, closes it to other users and locks it. The lock comes before anything of etcd's:
// etcd itself would first take the running server's socket away and then wait for its database for ever.
func ownDirectory(path string) (*directory, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("etcd: %w", err)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("etcd: cannot make the data directory: %w", err)
	}
	// Whoever can enter it can connect and change every route.
	if err := os.Chmod(path, 0o700); err != nil {
		return nil, fmt.Errorf("etcd: cannot close the data directory to other users: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(path, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("etcd: cannot write to the data directory: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("etcd: the data directory %s is %w: stop it, or choose another data_dir", path, ErrInUse)
		}
		return nil, fmt.Errorf("etcd: cannot lock the data directory %s: %w", path, err)
	}
	return &directory{path: path, lock: lock}, nil
}

// socket returns the path at which the socket is bound and connected to. In the file system the socket is etcd.sock in the directory.
func (d *directory) socket() (path string, err error) {
	path, d.handle, err = socketPath(d.path)
	return path, err
}

// socketPath returns the path of the socket in a directory. Where the plain path is too long for a socket's address, or has characters that a URL would
// escape, the way goes through the directory, which is then open: /proc/self/fd/N names it in few and plain characters, for this process.
func socketPath(dir string) (path string, handle *os.File, err error) {
	path = filepath.Join(dir, socketName)
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+", r)
	}
	if len(path) <= maxSocketPath && strings.IndexFunc(path, func(r rune) bool { return !plain(r) }) < 0 {
		return path, nil, nil
	}
	handle, err = os.Open(dir)
	if err != nil {
		return "", nil, fmt.Errorf("etcd: cannot open the data directory: %w", err)
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", handle.Fd(), socketName), handle, nil
}

// release gives the directory free.
func (d *directory) release() {
	if d.handle != nil {
		d.handle.Close()
	}
	d.lock.Close()
}

// abandon keeps the directory locked until the process ends, whatever becomes of d: a server that broke while it started has
// the database open and never closes it, and another one in this process would wait for that for ever.
func (d *directory) abandon() {
	// A second descriptor of the same lock, which no finalizer closes. A program that is started later must not get it, or the lock would be held as long as
	// that one lives.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if fd, err := syscall.Dup(int(d.lock.Fd())); err == nil {
		syscall.CloseOnExec(fd)
	}
}
