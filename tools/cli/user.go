package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"sluice/control"
	"sluice/control/admin"
	"sluice/control/etcd"
)

// userCommand is the command line of user add, passwd and remove.
type userCommand struct {
	remote
	role  string
	stdin bool // the password comes from there
}

func newUser() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "user",
		Short: "Make, change and remove accounts of the control panel",
		Long: "Make, change and remove accounts of the control panel. None exists at first.\n\nThe commands work on the store itself, where --etcd, --data-dir or --config says which it is, and else through the\n" +
			"admin API. A password is asked for, or read from standard input where that is no terminal.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return noCommand(cmd) },
	}
	cmd.AddCommand(
		userVerb("add", "Make an account", true, func(ctx context.Context, u *userCommand, a accounts, name, password string) error {
			return a.Add(ctx, name, password, admin.Role(u.role))
		}),
		userVerb("passwd", "Give an account another password, and end its sessions", true, func(ctx context.Context, u *userCommand, a accounts, name, password string) error {
			return a.Change(ctx, name, password, admin.Role(u.role))
		}),
		userVerb("remove", "Remove an account, and end its sessions", false, func(ctx context.Context, _ *userCommand, a accounts, name, _ string) error {
			return a.Remove(ctx, name)
		}),
	)
	return cmd
}

// userTimeout bounds what a command asks of the store.
const userTimeout = 10 * time.Second

// userVerb makes one of the commands.
func userVerb(verb, short string, password bool, do func(ctx context.Context, u *userCommand, a accounts, name, password string) error) *cobra.Command {
	var u userCommand
	cmd := &cobra.Command{
		Use:   verb + " NAME",
		Short: short,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{fmt.Errorf("%s takes a name", cmd.CommandPath())}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return u.run(cmd, args[0], password, do)
		},
	}
	u.addStoreTo(cmd)
	cmd.Flags().StringVar(&u.admin, "admin", "", "address or URL of the admin API: go through that, not to the store")
	cmd.Flags().StringVar(&u.token, "token", "", "admin token for it; default: as for get and put")
	switch verb {
	case "add":
		cmd.Flags().StringVar(&u.role, "role", string(admin.RoleViewer), "admin may change everything, viewer may look")
	case "passwd":
		cmd.Flags().StringVar(&u.role, "role", "", "another role too: admin or viewer")
	}
	if password {
		cmd.Flags().BoolVar(&u.stdin, "password-stdin", false, "read the password from standard input, without asking")
	}
	return cmd
}

func (u *userCommand) run(cmd *cobra.Command, name string, password bool, do func(context.Context, *userCommand, accounts, string, string) error) error {
	if err := admin.CheckAccountName(name); err != nil {
		return usageError{err}
	}
	where, closed, err := u.accounts(cmd)
	if err != nil {
		return err
	}
	defer closed()
	secret := ""
	if password {
		if secret, err = readPassword(cmd, u.stdin); err != nil {
			return usageError{err}
		}
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), userTimeout)
	defer cancel()
	err = do(ctx, u, where, name, secret)
	var wrong *admin.AccountError
	if errors.As(err, &wrong) {
		return usageError{err}
	}
	return err
}

// accounts finds out where the accounts are. closed gives back what that needs.
func (u *userCommand) accounts(cmd *cobra.Command) (where accounts, closed func(), err error) {
	nothing := func() {}
	if cmd.Flags().Changed("admin") {
		return remoteAccounts{&u.remote}, nothing, u.connect(cmd)
	}
	config, err := u.load(cmd)
	if err != nil {
		return nil, nil, err
	}
	client, closed, err := connect(config)
	var unknown *noStoreError
	if errors.As(err, &unknown) {
		return remoteAccounts{&u.remote}, nothing, u.connect(cmd)
	}
	if err != nil {
		return nil, nil, err
	}
	return admin.NewAccounts(etcd.NewStore(client), control.Author{Name: "store", Role: string(admin.RoleAdmin), Call: cmd.CommandPath()}), closed, nil
}

// readPassword asks for a password, twice and without showing it, or takes the first line of standard input where that is no terminal or stdin is set.
func readPassword(cmd *cobra.Command, stdin bool) (string, error) {
	if in, ok := cmd.InOrStdin().(*os.File); ok && !stdin && term.IsTerminal(int(in.Fd())) {
		return askPassword(cmd, in)
	}
	line, err := bufio.NewReader(io.LimitReader(cmd.InOrStdin(), 4096)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("password: %w", err)
	}
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		return "", errors.New("no password: type one, or write it to standard input")
	}
	return line, nil
}

func askPassword(cmd *cobra.Command, in *os.File) (string, error) {
	var typed [2]string
	for i, prompt := range []string{"Password: ", "Again: "} {
		fmt.Fprint(cmd.ErrOrStderr(), prompt)
		secret, err := term.ReadPassword(int(in.Fd()))
		fmt.Fprintln(cmd.ErrOrStderr())
		if err != nil {
			return "", fmt.Errorf("password: %w", err)
		}
		typed[i] = string(secret)
	}
	if typed[0] != typed[1] {
		return "", errors.New("the two passwords differ")
	}
	return typed[0], nil
}
