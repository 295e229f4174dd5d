package lastgood

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"sluice/control"
)

// replace makes a new file of the one that there is and changes, and puts it in its place.
func (k *Keeper) replace(h header, changes map[string]control.Change) error {
	// The process id: in an upgrade two processes write for a while.
	path := fmt.Sprintf("%s.%d%s", k.path, os.Getpid(), leftover)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("lastgood: %w", err)
	}
	out := newWriter(file, h)
	err = k.merge(out, changes)
	if err == nil {
		err = out.close()
	}
	if err == nil {
		err = file.Sync()
	}
	if err == nil {
		err = os.Rename(path, k.path)
	}
	if err != nil {
		file.Close()
		_ = os.Remove(path) // the first error is the one that counts
		return fmt.Errorf("lastgood: %w", err)
	}
	if k.base != nil {
		k.base.Close()
	}
	k.base = file
	return syncDir(filepath.Dir(k.path))
}

// merge writes the resources of the base, with the changes made to them, in the order of keys. It holds one at a time.
func (k *Keeper) merge(out *writer, changes map[string]control.Change) error {
	keys := slices.Sorted(maps.Keys(changes))
	put := func(until string, all bool) {
		for len(keys) > 0 && (all || keys[0] < until) {
			if c := changes[keys[0]]; !c.Deleted {
				out.resource(&c)
			}
			keys = keys[1:]
		}
	}
	if err := k.eachOfBase(func(c *control.Change) {
		put(c.Key, false)
		if _, changed := changes[c.Key]; !changed {
			out.resource(c)
		}
	}); err != nil {
		return err
	}
	put("", true)
	return out.err
}

func (k *Keeper) eachOfBase(visit func(*control.Change)) error {
	if k.base == nil {
		return nil
	}
	if _, err := k.base.Seek(0, io.SeekStart); err != nil {
		return err
	}
	in, err := newReader(k.base)
	if err != nil {
		return err
	}
	for {
		c, err := in.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		visit(&c)
	}
}

// syncDir makes a rename durable. A file system that cannot do that for directories does it by itself.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("lastgood: %w", err)
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) {
		return fmt.Errorf("lastgood: %w", err)
	}
	return nil
}

// leftover ends the name of a file that is not finished.
const leftover = ".tmp"

// removeLeftovers removes what a process that died while it wrote has left. A younger one may be that of a process which is being replaced.
func (k *Keeper) removeLeftovers() {
	found, err := filepath.Glob(filepath.Join(filepath.Dir(k.path), Name+".*"+leftover))
	if err != nil {
		return // the directory's name is not a pattern: then they stay
	}
	for _, path := range found {
		info, err := os.Stat(path)
		if err == nil && time.Since(info.ModTime()) > time.Hour && strings.HasSuffix(path, leftover) {
			_ = os.Remove(path)
		}
	}
}
