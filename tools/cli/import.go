package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sluice/control"
	"sluice/control/etcd"
	"sluice/control/file"
	"sluice/control/seed"
)

// importing is the command line of import.
type importing struct {
	settings
	source       etcd.Config
	endpoints    string
	passwordFile string
	target       string // prefix
	dryRun       bool
	overwrite    bool
	options      seed.Options

	store   control.Store
	journal *control.Journal
	out     io.Writer
	counts  map[string]int
}

func newImport() *cobra.Command {
	var im importing
	cmd := &cobra.Command{
		Use:   "import --etcd ENDPOINTS [--prefix /my/cloud/]",
		Short: "Copy a ws-cloud-gateway store into Sluice's, and print what is changed on the way",
		Long: "Copy a ws-cloud-gateway store into Sluice's, and print what is changed on the way.\n\nThe store that is read stays as it is. The copy goes to the gateway of --config or --data-dir; without them to an embedded etcd\n" +
			"in the working directory, if a gateway has one there, and else to the etcd that is read, below Sluice's prefix. What is there\nalready, and differs, is kept unless --overwrite is given.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return im.run(cmd) },
	}
	f := cmd.Flags()
	f.StringVar(&im.endpoints, "etcd", "", "endpoints of the etcd that is read, separated by commas")
	f.StringVar(&im.source.Prefix, "prefix", seed.Prefix, "what the keys that are read begin with")
	f.StringVar(&im.source.Username, "username", "", "user of the etcd that is read")
	f.StringVar(&im.passwordFile, "password-file", "", "file with that user's password")
	f.StringVar(&im.source.CAFile, "ca-file", "", "who may have signed its certificates (PEM)")
	f.StringVar(&im.source.CertFile, "cert-file", "", "client certificate for it (PEM)")
	f.StringVar(&im.source.KeyFile, "key-file", "", "its key (PEM)")
	f.StringVar(&im.path, "config", "", "configuration file of the gateway whose store the copy goes to")
	f.StringVar(&im.dataDir, "data-dir", "", "directory of that gateway's embedded etcd, on this machine")
	f.StringVar(&im.target, "to-prefix", "", "what the keys of the copy begin with; as the configuration says, or /sluice/")
	f.BoolVar(&im.dryRun, "dry-run", false, "write nothing")
	f.BoolVar(&im.overwrite, "overwrite", false, "replace what is there and differs")
	f.BoolVar(&im.options.Leased, "leased", false, "copy nodes that are under a lease too; the copies stay for ever")
	return cmd
}

func (im *importing) run(cmd *cobra.Command) error {
	if im.endpoints == "" {
		return usageError{errors.New("import needs --etcd, the store that is read")}
	}
	im.source.Endpoints = strings.Split(im.endpoints, ",")
	if im.passwordFile != "" {
		secret, err := os.ReadFile(im.passwordFile)
		if err != nil {
			return usageError{err}
		}
		im.source.Password = strings.TrimSpace(string(secret))
	}
	from, err := etcd.NewClient(im.source)
	if err != nil {
		return usageError{err}
	}
	defer from.Close()
	target, err := im.destination(cmd)
	if err != nil {
		return err
	}
	if slices.Equal(target.Etcd.Endpoints, im.source.Endpoints) && target.Etcd.Prefix == im.source.Prefix {
		return usageError{fmt.Errorf("the copy would go to where it comes from: give another --to-prefix than %s", im.source.Prefix)}
	}
	to, closed, err := connect(target)
	if err != nil {
		return err
	}
	defer closed()
	im.store, im.out, im.counts = etcd.NewStore(to), cmd.OutOrStdout(), make(map[string]int)
	im.journal = control.NewJournal(im.store, nil)
	return im.copy(cmd.Context(), etcd.NewStore(from), target.Etcd.Prefix)
}

// destination returns the configuration of whose store the copy goes to.
func (im *importing) destination(cmd *cobra.Command) (*file.Config, error) {
	config, err := file.Load(im.path, environ(), im.overridesOf(cmd), checkEtcd)
	if err != nil {
		return nil, usageError{err}
	}
	if im.target != "" {
		config.Etcd.Prefix = im.target
	}
	if len(config.Etcd.Endpoints) > 0 || im.path != "" || im.dataDir != "" {
		return config, nil
	}
	if _, err := os.Stat(filepath.Join(config.DataDir, "etcd")); err != nil {
		source := im.source
		source.Prefix = config.Etcd.Prefix
		config.Etcd = file.EtcdConfig(source)
	}
	return config, nil
}

// overridesOf returns the flags that are settings of the destination: --etcd is not.
func (im *importing) overridesOf(cmd *cobra.Command) (list []file.Override) {
	if cmd.Flags().Changed("data-dir") {
		list = append(list, file.Override{Path: "data_dir", Value: im.dataDir, Source: "--data-dir"})
	}
	return list
}

// importTogether is how many resources one transaction takes: any etcd takes 128 operations, and the record is one too.
const importTogether = 100

// importTimeout bounds one transaction.
const importTimeout = 30 * time.Second

// copy does it, and says what it does.
func (im *importing) copy(ctx context.Context, from control.Store, prefix string) error {
	entries, revision, err := from.List(ctx, "", "", 0)
	if err != nil {
		return err
	}
	fmt.Fprintf(im.out, "%s at revision %d: %d keys; to %s\n", im.source.Prefix, revision, len(entries), prefix)
	var edits []control.Edit
	for _, item := range seed.Convert(entries, im.options) {
		edit, err := im.compare(ctx, item)
		if err != nil {
			return err
		}
		if edit != nil {
			edits = append(edits, *edit)
		}
	}
	for batch := range slices.Chunk(edits, importTogether) {
		if err := im.write(ctx, batch); err != nil {
			return err
		}
	}
	return im.sum()
}

// compare says what becomes of an item and returns what there is to write; nil for nothing.
func (im *importing) compare(ctx context.Context, item seed.Item) (*control.Edit, error) {
	switch {
	case item.Skipped:
		im.tell("left", item)
		return nil, nil
	case item.Value == nil:
		im.tell("not taken", item)
		return nil, nil
	}
	there, err := im.store.Get(ctx, item.Key)
	if err != nil && !errors.Is(err, control.ErrNotFound) {
		return nil, err
	}
	switch {
	case err != nil:
		im.tell("new", item)
		return &control.Edit{Key: item.Key, After: item.Value}, nil
	case bytes.Equal(there.Value, item.Value):
		im.tell("same", item)
		return nil, nil
	case !im.overwrite:
		im.tell("kept", item)
		return nil, nil
	}
	im.tell("replaced", item)
	return &control.Edit{Key: item.Key, Before: &there, After: item.Value}, nil
}

// tell prints one item. What is there already, and the same, is not worth a line.
func (im *importing) tell(what string, item seed.Item) {
	im.counts[what]++
	if what == "same" {
		return
	}
	line := fmt.Sprintf("%-9s %s", what, item.From)
	if item.Value != nil && item.Key != item.From {
		line += " -> " + item.Key
	}
	fmt.Fprintln(im.out, line)
	if what == "kept" {
		fmt.Fprintln(im.out, "            what is there differs: --overwrite replaces it")
		return
	}
	for _, change := range item.Changes {
		fmt.Fprintln(im.out, "            "+change)
	}
	for _, p := range item.Problems {
		fmt.Fprintln(im.out, "            "+p.String())
	}
}

func (im *importing) write(ctx context.Context, edits []control.Edit) error {
	if im.dryRun {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, importTimeout)
	defer cancel()
	_, err := im.journal.Commit(ctx, control.Author{Name: "import", Call: "sluice import"}, edits)
	if errors.Is(err, control.ErrConflict) {
		return fmt.Errorf("somebody else writes to the store at the same time: what is missing is taken by another import (%w)", err)
	}
	return err
}

// sum prints how many of each there were. It fails where something could not be taken.
func (im *importing) sum() error {
	said := fmt.Sprintf("%d new, %d replaced, %d there already, %d kept as they differ, %d left, %d not taken",
		im.counts["new"], im.counts["replaced"], im.counts["same"], im.counts["kept"], im.counts["left"], im.counts["not taken"])
	if im.dryRun {
		said += "; nothing was written"
	}
	fmt.Fprintln(im.out, said)
	if im.counts["not taken"] > 0 {
		return errReported
	}
	return nil
}
