package cli

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"sluice/control/etcd"
	"sluice/control/file"
	"sluice/core/observe"
	"sluice/internal/problem"
)

// settings are the flags that override the file.
type settings struct {
	path     string
	listen   []string
	admin    string
	dataDir  string
	etcd     string
	workers  int
	logLevel string
}

// addTo gives cmd the flags of the contract.
func (s *settings) addTo(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.path, "config", "", "configuration file (YAML); without one the defaults hold")
	f.StringArrayVar(&s.listen, "listen", nil, "address to listen on, such as 0.0.0.0:10000 (repeatable)")
	f.StringVar(&s.admin, "admin", "", "address of the admin API")
	f.StringVar(&s.dataDir, "data-dir", "", "directory of the embedded etcd and the admin token")
	f.StringVar(&s.etcd, "etcd", "", "etcd endpoints, separated by commas; without any an embedded server is used")
	f.IntVar(&s.workers, "workers", 0, "event loops; 0 = the CPUs that this process may use")
	f.StringVar(&s.logLevel, "log-level", "info", "debug, info, warn or error")
}

// overrides returns the flags that were given.
func (s *settings) overrides(cmd *cobra.Command) []file.Override {
	var list []file.Override
	for _, one := range []struct{ flag, path, value string }{
		{"listen", "listeners", strings.Join(s.listen, ",")},
		{"admin", "admin.address", s.admin},
		{"data-dir", "data_dir", s.dataDir},
		{"etcd", "etcd.endpoints", s.etcd},
		{"workers", "workers", strconv.Itoa(s.workers)},
	} {
		if cmd.Flags().Changed(one.flag) {
			list = append(list, file.Override{Path: one.path, Value: one.value, Source: "--" + one.flag})
		}
	}
	return list
}

// read reads the configuration; base comes before the flags. A configuration that is wrong is a *file.Error.
func (s *settings) read(cmd *cobra.Command, base ...file.Override) (*file.Config, error) {
	return file.Load(s.path, environ(), append(slices.Clone(base), s.overrides(cmd)...), checkEtcd, checkAccessLog)
}

// load is read for the start of a command: everything that is wrong is printed to stderr, one problem a line.
func (s *settings) load(cmd *cobra.Command, base ...file.Override) (*file.Config, error) {
	config, err := s.read(cmd, base...)
	var wrong *file.Error
	switch {
	case errors.As(err, &wrong):
		fmt.Fprintln(cmd.ErrOrStderr(), wrong)
		return nil, usageError{errReported}
	case err != nil:
		return nil, usageError{err}
	}
	return config, nil
}

// checkEtcd is the part of the validation that belongs to the store.
func checkEtcd(c *file.Config) error {
	config := etcd.Config(c.Etcd)
	var p problem.Problems
	p.Under("etcd", config.Validate())
	p.Under("etcd", config.CheckFiles())
	return p.Err()
}

// checkAccessLog reports whether the access log could be opened, as far as can be known without making it: its directory is there or, since that is made before, is data_dir
// or around it.
func checkAccessLog(c *file.Config) error {
	var p problem.Problems
	const at = "access_log.path"
	path := c.AccessLog.Path
	if path == "" || path == observe.StandardOutput {
		return nil
	}
	dir := filepath.Dir(path)
	made, err := filepath.Rel(dir, c.DataDir)
	switch {
	case isDir(path):
		p.Add(at, "%s is a directory: name a file", path)
	case !isDir(dir) && (err != nil || !filepath.IsLocal(made)):
		p.Add(at, "the directory %s does not exist: make it, or name another", dir)
	}
	return p.Err()
}

func isDir(path string) bool {
	at, err := os.Stat(path)
	return err == nil && at.IsDir()
}

// logger returns a logger for people, on w, and its level, which may change.
func (s *settings) logger(w io.Writer) (*slog.Logger, *slog.LevelVar, error) {
	level := new(slog.LevelVar)
	if err := level.UnmarshalText([]byte(s.logLevel)); err != nil {
		return nil, nil, usageError{fmt.Errorf("--log-level: %q is not a level: write debug, info, warn or error", s.logLevel)}
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level})), level, nil
}
