package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sluice/control/admin"
)

// remote is the command line of a command that asks a running gateway, and the way to its admin API.
type remote struct {
	settings
	token string

	base   string // "http://127.0.0.1:9180"
	client http.Client
}

// callTimeout bounds a call: an apply of some thousand resources takes a second.
const callTimeout = time.Minute

// maxAnswer bounds what is read of an answer: a page of 1,000 resources of the largest size is not more.
const maxAnswer = 1 << 30

// addTo gives cmd the flags that say where the gateway is.
func (r *remote) addTo(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&r.admin, "admin", "", "address or URL of the admin API; default: admin.address of the configuration")
	f.StringVar(&r.token, "token", "", "admin token; default: SLUICE_ADMIN_TOKEN, then admin.token of the configuration, then the file in --data-dir")
	f.StringVar(&r.path, "config", "", "configuration file of the gateway, for its address and token")
	f.StringVar(&r.dataDir, "data-dir", "", "data directory of a gateway on this machine, for its token")
}

// connect finds out where the gateway is and what to show it. It does not call yet.
func (r *remote) connect(cmd *cobra.Command) error {
	address := r.admin
	r.admin = "" // it may be more than the file's admin.address may be
	cmd.Flags().Lookup("admin").Changed = false
	config, err := r.load(cmd)
	if err != nil {
		return err
	}
	if address == "" {
		address = loopback(config.Admin.Address)
	}
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return usageError{fmt.Errorf("--admin: %q is not an address: write host:port or a URL", address)}
	}
	r.base = strings.TrimSuffix(address, "/")
	r.client.Timeout = callTimeout
	if r.token == "" {
		r.token = config.Admin.Token
	}
	if r.token != "" {
		return nil
	}
	file := filepath.Join(config.DataDir, admin.TokenFile)
	text, err := os.ReadFile(file)
	if err != nil {
		return usageError{fmt.Errorf("no token to show the gateway: give --token, SLUICE_ADMIN_TOKEN, or --data-dir of a gateway on this machine (%w)", err)}
	}
	r.token = strings.TrimSpace(string(text))
	return nil
}

// answer is what the gateway said.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// refusal is an answer that says no: a problem document (RFC 9457).
type refusal struct {
	Status int    `json:"status"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Errors []struct {
		Location string `json:"location"`
		Message  string `json:"message"`
	} `json:"errors"`

	place func(location string) string // names a place for whoever typed the command; nil = as it is
}

// Error prints the document, one line for each field.
func (r *refusal) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the gateway says %d %s", r.Status, r.Title)
	if r.Detail != "" {
		b.WriteString(": " + r.Detail)
	}
	if r.Status == http.StatusUnauthorized {
		b.WriteString(": the token is not this gateway's")
	}
	for _, e := range r.Errors {
		at := e.Location
		if r.place != nil {
			at = r.place(at)
		}
		b.WriteString("\n  ")
		if at != "" {
			b.WriteString(at + ": ")
		}
		b.WriteString(e.Message)
	}
	return b.String()
}

// call makes one call. An answer of 400 and above is a *refusal. fields are pairs of names and values; those without a value are left out.
func (r *remote) call(ctx context.Context, method, path string, query url.Values, body []byte, fields ...string) (*answer, error) {
	target := r.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return nil, usageError{err}
	}
	req.Header.Set("Authorization", "Bearer "+r.token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(fields); i += 2 {
		if fields[i+1] != "" {
			req.Header.Set(fields[i], fields[i+1])
		}
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("the gateway cannot be asked: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("the gateway's answer to %s %s: %w", method, path, err)
	}
	if resp.StatusCode < 400 {
		return &answer{resp.StatusCode, resp.Header, text}, nil
	}
	no := &refusal{Status: resp.StatusCode, Title: http.StatusText(resp.StatusCode)}
	if err := json.Unmarshal(text, no); err != nil {
		no.Detail = "this is not the admin API of a gateway" // whoever it is, its words may be a page of HTML
	}
	return nil, no
}

// ask is call with the answer decoded.
func (r *remote) ask(ctx context.Context, method, path string, query url.Values, body []byte, into any) error {
	a, err := r.call(ctx, method, path, query, body)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(a.body, into); err != nil {
		return fmt.Errorf("the gateway's answer to %s %s: %w", method, path, err)
	}
	return nil
}

// placed has a refusal name its places by a function.
func placed(err error, place func(location string) string) error {
	var no *refusal
	if errors.As(err, &no) {
		no.place = place
	}
	return err
}

// inBody names the places of a body: what comes behind "body".
func inBody(location string) string {
	rest, ok := strings.CutPrefix(location, "body")
	if !ok {
		return location
	}
	return strings.TrimPrefix(rest, ".")
}

// dryRun is the query of a call that may be one.
func dryRun(yes bool) url.Values {
	if !yes {
		return nil
	}
	return url.Values{"dry_run": {"1"}}
}
