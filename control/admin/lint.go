package admin

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"sluice/control"
)

// Warning is something that is valid and probably not meant.
type Warning struct {
	Resource string `json:"resource"`
	Code     string `json:"code" enum:"unreachable,shadows,duplicate,dangling,certificate,insecure"`
	Message  string `json:"message"`
}

// Affected is a route that a change does not name, and that gets less by it.
type Affected struct {
	Resource string `json:"resource"`
	Effect   string `json:"effect" enum:"shadowed,loses" doc:"shadowed: nothing reaches it any more; loses: a part of its requests goes to a route of the change"`
}

// Lint is what GET /v1/lint says.
type Lint struct {
	Warnings []Warning `json:"warnings" nullable:"false" doc:"of routes, by id, then of certificates"`
	More     bool      `json:"more,omitempty" doc:"not all was looked at: there were more warnings than were asked for, or it took too long"`
}

// WarningField is the header field of an answer to a write that has a warning; there may be several.
const WarningField = "X-Sluice-Warning"

const (
	mostWarnings = 50              // of one write: nobody reads more
	sweepTime    = 2 * time.Second // for a look at all routes
)

type lintInput struct {
	Limit int `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"most warnings"`
}

type lintOutput struct{ Body *Lint }

func registerLint(api huma.API, d Deps) {
	op := huma.Operation{
		OperationID: "lint", Method: http.MethodGet, Path: "/v1/lint", Tags: []string{"gateway"}, Summary: "List what is valid and probably not meant",
		Description: "Routes that are never reached, routes that nothing but their ids tells apart, consumers with the same credential, services without nodes, certificates that clients refuse, services that trust every certificate, listeners over TLS without any. In this gateway, now.",
	}
	huma.Register(api, op, func(ctx context.Context, in *lintInput) (*lintOutput, error) {
		l := &Lint{Warnings: []Warning{}}
		if d.Snapshot != nil {
			sweeping, cancel := context.WithTimeout(ctx, sweepTime)
			defer cancel()
			warnings, more := control.Sweep(sweeping, d.Snapshot(), in.Limit)
			l.Warnings, l.More = append(l.Warnings, describe(warnings)...), more
		}
		for _, kind := range []control.Kind{control.Certificates, control.Services, control.Consumers} {
			entries, _, err := d.Store.List(ctx, kind.Folder(), "", 0)
			if err != nil {
				return nil, storeFailed(err)
			}
			if kind == control.Consumers {
				l.Warnings = append(l.Warnings, sharedCredentials(entries, nil)...)
			}
			for _, e := range entries {
				l.Warnings = append(l.Warnings, documentWarnings(e.Key, e.Value)...)
			}
		}
		if d.Uncertified != nil && d.Uncertified() {
			l.Warnings = append(l.Warnings, Warning{Resource: string(control.Certificates), Code: control.WarnCertificate, Message: "a listener takes TLS, and there is no certificate: every handshake on it fails"})
		}
		if len(l.Warnings) > in.Limit {
			l.Warnings, l.More = l.Warnings[:in.Limit], true
		}
		return &lintOutput{l}, nil
	})
}

func describe(warnings []control.Warning) (list []Warning) {
	for _, w := range warnings {
		list = append(list, Warning{Resource: resourceName(w.Key), Code: w.Code, Message: w.Message})
	}
	return list
}

// documentWarnings returns what a document tells by itself, of the kinds that tell anything. One that is not valid is an error, which GET /v1/status tells.
func documentWarnings(key string, value []byte) (list []Warning) {
	kind, id, _ := control.SplitKey(key)
	switch kind {
	case control.Certificates:
		c, err := control.DecodeCertificate(id, value)
		if err != nil {
			return nil
		}
		for _, p := range c.Warnings(time.Now()) {
			list = append(list, Warning{Resource: resourceName(key), Code: control.WarnCertificate, Message: p.Path + ": " + p.Text})
		}
	case control.Services:
		if s, err := control.DecodeService(value); err == nil && s.TLS != nil && s.TLS.InsecureSkipVerify {
			text := "tls.insecure_skip_verify: whoever stands between the gateway and a node can read and change everything"
			list = append(list, Warning{Resource: resourceName(key), Code: control.WarnInsecure, Message: text})
		}
	}
	return list
}

// lint is what there is to say of a change that is valid.
type lint struct {
	warnings []Warning
	affected []Affected
	more     bool // there may be more affected
}

// registered reports whether the store has nodes of a service: under the usual keys, or in its own document. Where the store does not say, it is assumed: a warning must
// be true.
func (s *resources) registered(ctx context.Context, service string) bool {
	entries, _, err := s.store.List(ctx, control.Nodes.Key(service+"."), "", 1)
	if err != nil || len(entries) > 0 {
		return true
	}
	e, err := s.store.Get(ctx, control.Services.Key(service))
	if err != nil {
		return !errors.Is(err, control.ErrNotFound)
	}
	c, err := control.DecodeService(e.Value)
	return err != nil || len(c.Nodes) > 0
}

// elsewhere reports whether the store has a node of a service that edits do not touch: under one of the usual keys, or in the service's own document. Nodes under other keys are in force.
// Where the store does not say, it is assumed.
func (s *resources) elsewhere(ctx context.Context, service string, edits []control.Edit) bool {
	edited := func(e control.Entry) bool {
		return slices.ContainsFunc(edits, func(one control.Edit) bool { return one.Key == e.Key })
	}
	entries, _, err := s.store.List(ctx, control.Nodes.Key(service+"."), "", 0)
	if err != nil {
		return true
	}
	own, err := s.store.Get(ctx, control.Services.Key(service))
	switch {
	case err == nil:
		entries = append(entries, own)
	case !errors.Is(err, control.ErrNotFound):
		return true
	}
	return slices.ContainsFunc(entries, func(e control.Entry) bool { return !edited(e) && control.HasNodes(e, service) })
}

// lint looks at a change as it would stand; affected too, if they are wanted.
func (s *resources) lint(ctx context.Context, edits []control.Edit, affected bool) (l lint) {
	for _, e := range edits {
		if e.After != nil {
			l.warnings = append(l.warnings, documentWarnings(e.Key, e.After)...)
		}
	}
	if len(edits) > 0 { // of none, all would be meant
		l.warnings = append(l.warnings, sharedCredentials(s.rivals(ctx, edits), edits)...)
	}
	if s.snapshot == nil {
		return l
	}
	linter := control.NewLinter(s.snapshot(), edits, func(service string) bool { return s.registered(ctx, service) },
		func(service string) bool { return s.elsewhere(ctx, service, edits) })
	l.warnings = append(l.warnings, describe(linter.Warnings(mostWarnings))...)
	if !affected {
		return l
	}
	effects, more := linter.Effects(mostWarnings)
	l.more = more
	for _, e := range effects {
		one := Affected{Resource: resourceName(control.Routes.Key(e.Route)), Effect: "loses"}
		if e.Shadowed {
			one.Effect = "shadowed"
		}
		l.affected = append(l.affected, one)
	}
	return l
}
