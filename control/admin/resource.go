package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"sluice/control"
	"sluice/internal/problem"
	"sluice/internal/strict"
	"sluice/proxy"
)

// resource is one kind of resource as the API shows it. Everything that the kinds have in common is done once, in this file and
// the next few; what differs is here.
type resource struct {
	kind     control.Kind
	singular string
	idField  string // the member of the value that repeats the id; "" = none does
	value    any    // zero value of the document's type, for its schema
}

// maxBody bounds a body: etcd takes 1.5 MiB at once by default, and the largest routes seen have some 10 kB.
const maxBody = 1 << 20

// attempts is how often a change is worked out anew because somebody else was faster. With n writers of one resource who all try at
// once the last one needs n; that many do not edit one route.
const attempts = 16

// resources does what the calls under /v1/<kind> say.
type resources struct {
	store     control.Store
	journal   *control.Journal
	snapshot  func() *proxy.Snapshot                       // what is in force; nil = not known
	claimants func(claim control.Claim, most int) []string // see Deps; nil = not known
	log       *slog.Logger
}

func newResources(d Deps) *resources {
	return &resources{store: d.Store, journal: control.NewJournal(d.Store, d.Log), snapshot: d.Snapshot, claimants: d.Claimants, log: d.Log}
}

// reply is the answer about one resource, or a plan.
type reply struct {
	Status      int
	ETag        string   `header:"ETag" doc:"the revision of the store at which the resource was written last"`
	Location    string   `header:"Location" hidden:"true"`
	Warnings    []string `header:"X-Sluice-Warning" doc:"what is valid and probably not meant"`
	ContentType string   `header:"Content-Type" hidden:"true"`
	Body        []byte
}

const jsonType = "application/json"

// location returns where a resource is.
func location(kind control.Kind, id string) string {
	return "/v1/" + string(kind) + "/" + url.PathEscape(id)
}

// show is the reply with a stored value, but for its secrets. Whatever somebody has written into the store with other tools can be looked at: what is not
// JSON comes as text.
func (r *resource) show(status int, e control.Entry) *reply {
	contentType, body := jsonType, redacted(e.Key, e.Value)
	if !json.Valid(body) {
		contentType = "text/plain; charset=utf-8"
	}
	return &reply{Status: status, ETag: etag(e.ModRevision), ContentType: contentType, Body: body}
}

// redacted returns the value stored at key as it may be shown: as it is, if its kind has no secrets.
func redacted(key string, value []byte) []byte {
	kind, _, _ := control.SplitKey(key)
	if !control.HasSecrets(kind) {
		return value
	}
	n, err := strict.ParseJSON(value)
	if err != nil || obscure(key, value) {
		return []byte(control.Redacted)
	}
	return control.Redact(kind, n).AppendJSON(nil)
}

// obscure reports whether a value of a kind with secrets is not as its kind wants it: then a secret may be anywhere in it, or half of one.
func obscure(key string, value []byte) bool {
	kind, _, _ := control.SplitKey(key)
	return control.HasSecrets(kind) && control.Check(key, value) != nil
}

// get answers with one resource.
func (s *resources) get(ctx context.Context, r *resource, id string, asked condition) (*reply, error) {
	e, err := s.store.Get(ctx, r.kind.Key(id))
	if err != nil {
		return nil, storeFailed(err)
	}
	if asked.match != nil && !asked.match.has(&e) {
		return nil, errPrecondition
	}
	if asked.noneMatch.has(&e) {
		return &reply{Status: http.StatusNotModified, ETag: etag(e.ModRevision)}, nil
	}
	return r.show(http.StatusOK, e), nil
}

// edit is one write: from what stands to what shall stand.
type edit struct {
	resource *resource
	id       string
	asked    condition
	dryRun   bool

	// next returns the value that shall stand where current stands, nil for nothing on either side. It may be called more than once.
	next func(current *control.Entry) ([]byte, error)
}

// write makes an edit, or says what it would do.
func (s *resources) write(ctx context.Context, e edit) (*reply, error) {
	for range attempts {
		current, err := s.current(ctx, e.resource.kind.Key(e.id))
		if err != nil {
			return nil, err
		}
		next, err := e.next(current)
		if err != nil {
			return nil, err
		}
		// RFC 9110 §13.2.1: conditions count only where the write would succeed without them.
		if !e.asked.holds(current) {
			return nil, errPrecondition
		}
		switch {
		case e.dryRun:
			return s.planned(ctx, e.resource.kind.Key(e.id), current, next)
		case current != nil && next != nil && bytes.Equal(current.Value, next):
			return e.resource.show(http.StatusOK, *current), nil // nothing to write, and no revision to use up
		}
		answer, err := s.commit(ctx, e, current, next)
		if errors.Is(err, control.ErrConflict) {
			continue // somebody was faster; where that breaks a condition, the next round says so
		}
		return answer, err
	}
	return nil, errContended
}

// current reads what stands at a key; nil where nothing does.
func (s *resources) current(ctx context.Context, key string) (*control.Entry, error) {
	e, err := s.store.Get(ctx, key)
	switch {
	case errors.Is(err, control.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, storeFailed(err)
	}
	return &e, nil
}

// commit writes next over current, and nothing else. The error is control.ErrConflict where current stands no more.
func (s *resources) commit(ctx context.Context, e edit, current *control.Entry, next []byte) (*reply, error) {
	key := e.resource.kind.Key(e.id)
	by := authorOf(ctx)
	edits := []control.Edit{{Key: key, Before: current, After: next}}
	revision, err := s.journal.Commit(ctx, by, edits)
	if err != nil {
		return nil, conflictOr(err)
	}
	answer, did := &reply{Status: http.StatusNoContent}, "resource deleted"
	if next != nil {
		answer, did = e.resource.show(http.StatusOK, control.Entry{Key: key, Value: next, ModRevision: revision}), "resource written"
	}
	s.log.Info(did, "key", key, "revision", revision, "by", by.Name)
	for _, w := range s.lint(ctx, edits, false).warnings {
		answer.Warnings = append(answer.Warnings, fmt.Sprintf("%s: %s", w.Code, plain(w.Message)))
	}
	if current == nil && next != nil {
		answer.Status, answer.Location = http.StatusCreated, location(e.resource.kind, e.id)
	}
	return answer, nil
}

// plain is a text as a header field can carry it (RFC 9110 §5.5): others than visible characters of ASCII are escaped.
func plain(text string) string {
	return strings.Trim(strconv.QuoteToASCII(text), `"`)
}

// conflictOr returns ErrConflict as it is and any other error as the answer to it.
func conflictOr(err error) error {
	if errors.Is(err, control.ErrConflict) {
		return err
	}
	return writeFailed(err)
}

// put makes body the resource.
func (s *resources) put(ctx context.Context, e edit, body []byte) (*reply, error) {
	doc, err := strict.ParseJSON(body)
	if err != nil {
		return nil, unparsable(err)
	}
	e.next = func(current *control.Entry) ([]byte, error) {
		if current == nil { // older ones have been written by whom they may
			if err := e.resource.kind.CheckID(e.id); err != nil {
				return nil, refused("path.id", err)
			}
		}
		return e.complete(doc, doc, current, nil)
	}
	return s.write(ctx, e)
}

// patch changes the resource by a merge patch, RFC 7396.
func (s *resources) patch(ctx context.Context, e edit, body []byte) (*reply, error) {
	patch, err := strict.ParseJSON(body)
	if err != nil {
		return nil, unparsable(err)
	}
	e.next = func(current *control.Entry) ([]byte, error) {
		if current == nil {
			return nil, storeFailed(control.ErrNotFound)
		}
		stored, err := strict.ParseJSON(current.Value)
		if err != nil {
			return nil, huma.NewError(http.StatusConflict, "what is stored is not JSON and cannot be patched: replace it", details("", err)...)
		}
		return e.complete(merge(stored, patch), patch, current, repeated(patch))
	}
	return s.write(ctx, e)
}

// remove deletes the resource.
func (s *resources) remove(ctx context.Context, e edit) (*reply, error) {
	e.next = func(current *control.Entry) ([]byte, error) {
		if current == nil {
			return nil, storeFailed(control.ErrNotFound)
		}
		return nil, nil
	}
	return s.write(ctx, e)
}

// complete returns doc as it is stored: with its id and its secrets, checked, compact. sent is what the caller wrote and may not name another id; current is what
// stands, nil for nothing. The error lists these problems and all others at once.
func (e *edit) complete(doc, sent *strict.Node, current *control.Entry, problems problem.Problems) ([]byte, error) {
	value, problems := e.completed(doc, sent, current, problems)
	if err := problems.Err(); err != nil {
		return nil, refused("body", err)
	}
	return value, nil
}

// completed is complete with everything that is wrong.
func (e *edit) completed(doc, sent *strict.Node, current *control.Entry, problems problem.Problems) ([]byte, problem.Problems) {
	if doc.Kind != strict.Object {
		problems.Add("", "wants an object, not %v", doc.Kind)
		return nil, problems
	}
	if e.resource.idField != "" {
		e.checkSentID(sent, &problems)
		doc = e.withID(doc)
	}
	if control.HasSecrets(e.resource.kind) {
		var stored *strict.Node
		if current != nil {
			stored = parsed(current.Value)
		}
		with, missing := control.Unredact(e.resource.kind, doc, stored)
		if doc = with; len(missing) > 0 {
			return nil, append(problems, missing...)
		}
	}
	value := doc.AppendJSON(nil)
	var before []byte
	if current != nil {
		before = current.Value
	}
	problems.Under("", control.CheckWrite(e.resource.kind.Key(e.id), before, value))
	return value, problems
}

func (e *edit) checkSentID(sent *strict.Node, problems *problem.Problems) {
	named := sent.Get(e.resource.idField)
	if named != nil && named.Kind != strict.Null && (named.Kind != strict.String || named.Text != e.id) {
		problems.Add(e.resource.idField, "%s is not the %q of the URL: leave it out", named.AppendJSON(nil), e.id)
	}
}

// withID returns doc with the id in its member. An old id that would not be valid in a value today is left out: the key has it.
func (e *edit) withID(doc *strict.Node) *strict.Node {
	id := &strict.Node{Kind: strict.String, Text: e.id}
	if e.resource.kind.CheckID(e.id) != nil {
		id = &strict.Node{Kind: strict.Null}
	}
	if doc.Get(e.resource.idField) != nil || id.Kind == strict.Null {
		return merge(doc, &strict.Node{Kind: strict.Object, Members: []strict.Member{{Key: e.resource.idField, Value: id}}})
	}
	with := *doc
	with.Members = append([]strict.Member{{Key: e.resource.idField, Value: id}}, doc.Members...)
	return &with
}
