package cli

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"sluice/control/etcd"
	"sluice/control/file"
)

// addStoreTo gives cmd the flags that say where the gateway's store is, for commands that work on it themselves.
func (s *settings) addStoreTo(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.path, "config", "", "configuration file of the gateway, for its etcd block and data_dir")
	f.StringVar(&s.dataDir, "data-dir", "", "directory of the gateway's embedded etcd, on this machine")
	f.StringVar(&s.etcd, "etcd", "", "etcd endpoints, separated by commas")
	f.StringVar(&s.logLevel, "log-level", "info", "debug, info, warn or error")
}

// connect returns a client of the store that a configuration names: its etcd, or the embedded one of a gateway that runs on this machine. closed gives back what
// the client needs; it does not connect yet.
func connect(config *file.Config) (client *etcd.Client, closed func(), err error) {
	store := etcd.Config(config.Etcd)
	closed = func() {}
	if len(store.Endpoints) == 0 {
		dir := filepath.Join(config.DataDir, "etcd")
		if _, err := os.Stat(dir); err != nil {
			return nil, nil, usageError{&noStoreError{dir}}
		}
		heir, err := etcd.Attach(dir, slog.New(slog.NewTextHandler(io.Discard, nil)))
		if err != nil {
			return nil, nil, err
		}
		store.Endpoints = []string{heir.Endpoint()}
		closed = heir.Close
	}
	client, err = etcd.NewClient(store)
	if err != nil {
		closed()
		return nil, nil, err
	}
	release := closed
	return client, func() { client.Close(); release() }, nil
}

// noStoreError is a command that does not know where the store is.
type noStoreError struct{ dir string }

func (e *noStoreError) Error() string {
	return "where is the store? Give --etcd, or --data-dir or --config of a gateway on this machine: " + e.dir + " is not there"
}
