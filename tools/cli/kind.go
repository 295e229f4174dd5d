package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"sluice/control"
	"sluice/control/admin"
	"sluice/internal/problem"
)

// kinds are the resources that the commands know, in the order of the documentation.
var kinds = []control.Kind{control.Routes, control.Services, control.Nodes, control.Consumers, control.Certificates, control.Settings}

// kindNames is them as a person writes them.
const kindNames = "routes|services|nodes|consumers|certificates|settings"

// parseKind reads a kind; the singular is understood too.
func parseKind(word string) (control.Kind, error) {
	for _, k := range kinds {
		if word == string(k) || word+"s" == string(k) {
			return k, nil
		}
	}
	return "", usageError{fmt.Errorf("%q is no kind of resource%s: write %s", word, problem.DidYouMean(word, strings.Split(kindNames, "|")), kindNames)}
}

// kindArgs checks the arguments KIND [ID], of which at least so many must be there.
func kindArgs(least int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || len(args) > 2 {
			return usageError{fmt.Errorf("%s wants %s", cmd.CommandPath(), strings.TrimPrefix(cmd.Use, cmd.Name()+" "))}
		}
		_, err := parseKind(args[0])
		return err
	}
}

// path returns where a resource is, or all of its kind for "".
func path(kind control.Kind, id string) string {
	if id == "" {
		return "/v1/" + string(kind)
	}
	return "/v1/" + string(kind) + "/" + url.PathEscape(id)
}

// list reads all resources of a kind, page by page. limit bounds how many; 0 = all.
func (r *remote) list(ctx context.Context, kind control.Kind, q string, limit int) (items []admin.Item, err error) {
	query := url.Values{"limit": {"1000"}}
	if q != "" {
		query.Set("q", q)
	}
	for {
		var page admin.Page
		if err := r.ask(ctx, "GET", path(kind, ""), query, nil, &page); err != nil {
			return nil, err
		}
		items = append(items, page.Items...)
		if page.NextCursor == "" || limit > 0 && len(items) >= limit {
			return items, nil
		}
		query.Set("cursor", page.NextCursor)
	}
}

// completeKinds offers kinds, and then the ids of the kind that the running gateway has.
func (r *remote) completeKinds(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		var names []string
		for _, k := range kinds {
			if strings.HasPrefix(string(k), begun) {
				names = append(names, string(k))
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	case 1:
		kind, err := parseKind(args[0])
		if err != nil || r.connect(cmd) != nil {
			break
		}
		items, err := r.list(cmd.Context(), kind, begun, 1000)
		if err != nil {
			break
		}
		var ids []string
		for _, it := range items {
			if strings.HasPrefix(it.ID, begun) {
				ids = append(ids, it.ID)
			}
		}
		return ids, cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// columns are what a table shows of a resource.
var columns = map[control.Kind]struct {
	names []string
	row   func(id string, value json.RawMessage) []string
}{
	control.Routes: {[]string{"ID", "STATUS", "HOSTS", "PATHS", "METHODS", "PRIORITY", "SERVICE", "PLUGINS"}, func(id string, value json.RawMessage) []string {
		r, err := control.DecodeRoute(value)
		if err != nil {
			return []string{id, "invalid"}
		}
		paths := r.Paths
		if r.Prefix != "" && !slices.Contains(paths, r.Prefix) {
			paths = append([]string{r.Prefix}, paths...)
		}
		var plugins []string
		for _, p := range r.Plugins.List {
			plugins = append(plugins, p.Name)
		}
		return []string{id, fmt.Sprint(*r.Status), join(r.Hosts), join(paths), join(r.Methods), fmt.Sprint(r.Priority), r.ServiceName, join(plugins)}
	}},
	control.Services: {[]string{"NAME", "PROTOCOL", "BALANCER", "NODES", "DESC"}, func(id string, value json.RawMessage) []string {
		s, err := control.DecodeService(value)
		if err != nil {
			return []string{id, "invalid"}
		}
		return []string{id, s.Protocol, s.Balancer.Type, fmt.Sprint(len(s.Nodes)), s.Desc}
	}},
	control.Nodes: {[]string{"ID", "SERVICE", "UPSTREAM", "WEIGHT", "STATUS"}, func(id string, value json.RawMessage) []string {
		n, err := control.ReadNode(id, value)
		if err != nil {
			return []string{id, "invalid"}
		}
		return []string{id, n.ServiceName, n.Upstream, fmt.Sprint(*n.Weight), fmt.Sprint(*n.Status)}
	}},
	control.Consumers: {[]string{"ID", "STATUS", "GROUPS", "CREDENTIALS", "DESC"}, func(id string, value json.RawMessage) []string {
		c, err := control.DecodeConsumer(id, value)
		if err != nil {
			return []string{id, "invalid"}
		}
		return []string{id, fmt.Sprint(*c.Status), join(c.Groups), join(credentials(c)), c.Desc}
	}},
	control.Certificates: {[]string{"ID", "NAMES", "DESC"}, func(id string, value json.RawMessage) []string {
		var c control.Certificate // its key is not shown, so it cannot be decoded whole
		if err := json.Unmarshal(value, &c); err != nil {
			return []string{id, "invalid"}
		}
		return []string{id, join(c.SNIs), c.Desc}
	}},
	control.Settings: {[]string{"NAME", "VALUE"}, func(id string, value json.RawMessage) []string { return []string{id, string(value)} }},
}

func credentials(c *control.Consumer) (names []string) {
	for name, there := range map[string]bool{
		"key-auth": c.Credentials.KeyAuth != nil, "basic-auth": c.Credentials.BasicAuth != nil,
		"jwt-auth": c.Credentials.JWTAuth != nil, "hmac-auth": c.Credentials.HMACAuth != nil,
	} {
		if there {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// join is a cell of several words; "-" for none.
func join(words []string) string {
	if len(words) == 0 {
		return "-"
	}
	return strings.Join(words, ",")
}
