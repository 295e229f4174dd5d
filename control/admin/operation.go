package admin

import (
	"context"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
)

const (
	inForce     = "The answer comes once the store has it; it is in force on every worker within 100 ms of that."
	mergeType   = "application/merge-patch+json"
	problemType = "application/problem+json"
)

type listInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"most items on a page"`
	Cursor string `query:"cursor" maxLength:"1024" doc:"next_cursor of the page before"`
	Q      string `query:"q" maxLength:"256" doc:"only resources with this text in their id or value; case does not matter"`
}

type listOutput struct{ Body *Page }

// IDPath is the path of one resource. It is exported, as the next few are, since huma finds fields in embedded structs only where those are.
type IDPath struct {
	ID string `path:"id" doc:"a slash in it is written %2F"`
}

// Conditions are the fields of a conditional request.
type Conditions struct {
	IfMatch     string `header:"If-Match" doc:"only if the resource is at one of these ETags, or exists (*)"`
	IfNoneMatch string `header:"If-None-Match" doc:"only if the resource is at none of these ETags, or does not exist (*)"`
}

func (c Conditions) parse() condition {
	return condition{match: parseTags(c.IfMatch, false), noneMatch: parseTags(c.IfNoneMatch, true)}
}

// WriteQuery is the query of a write.
type WriteQuery struct {
	DryRun bool `query:"dry_run" doc:"check, say what would change, and write nothing"`
}

// Resolve implements huma.Resolver. A bare ?dry_run has no value, which huma takes for none given; it must not write.
func (q *WriteQuery) Resolve(ctx huma.Context) []error {
	url := ctx.URL()
	if given := url.Query()["dry_run"]; len(given) > 0 && given[0] == "" {
		q.DryRun = true
	}
	return nil
}

type getInput struct {
	IDPath
	Conditions
}

// WriteInput is a write of one resource, but for its body.
type WriteInput struct {
	IDPath
	Conditions
	WriteQuery
}

func (in *WriteInput) edit(r *resource) edit {
	return edit{resource: r, id: in.ID, asked: in.parse(), dryRun: in.DryRun}
}

type bodyInput struct {
	WriteInput
	RawBody []byte `contentType:"application/json"` // the caller's until the operation returns
}

// registerResource puts the calls of one kind on the API.
func registerResource(api huma.API, s *resources, r *resource) {
	all, one := "/v1/"+string(r.kind), "/v1/"+string(r.kind)+"/{id}"
	registerList(api, s, r, all)
	registerGet(api, s, r, one)
	registerPut(api, s, r, one)
	registerPatch(api, s, r, one)
	registerDelete(api, s, r, one)
}

func registerList(api huma.API, s *resources, r *resource, path string) {
	op := r.operation("list", http.MethodGet, path, "List "+string(r.kind), "")
	huma.Register(api, op, func(ctx context.Context, in *listInput) (*listOutput, error) {
		page, err := s.list(ctx, r, search{limit: in.Limit, cursor: in.Cursor, q: in.Q})
		if err != nil {
			return nil, err
		}
		return &listOutput{Body: page}, nil
	})
}

func registerGet(api huma.API, s *resources, r *resource, path string) {
	op := r.operation("get", http.MethodGet, path, "Get a "+r.singular, "")
	op.Responses = map[string]*huma.Response{
		"200":     {Description: "As it is stored", Content: content(r.schema(api))},
		"304":     {Description: "It is at an ETag of If-None-Match"},
		"default": failure(api),
	}
	huma.Register(api, op, func(ctx context.Context, in *getInput) (*reply, error) {
		return s.get(ctx, r, in.ID, in.parse())
	})
}

func registerPut(api huma.API, s *resources, r *resource, path string) {
	op := r.operation("put", http.MethodPut, path, "Create or replace a "+r.singular, inForce)
	op.Responses = r.written(api)
	op.RequestBody = &huma.RequestBody{Required: true}
	huma.Register(api, op, func(ctx context.Context, in *bodyInput) (*reply, error) {
		return s.put(ctx, in.edit(r), in.RawBody)
	})
	op.RequestBody.Content = content(r.schema(api)) // in place of the "binary" that is made of RawBody
}

func registerPatch(api huma.API, s *resources, r *resource, path string) {
	op := r.operation("patch", http.MethodPatch, path, "Change a "+r.singular, "A JSON merge patch (RFC 7396): null removes a member. "+inForce)
	op.Responses = r.written(api)
	delete(op.Responses, "201")
	op.RequestBody = &huma.RequestBody{Required: true}
	huma.Register(api, op, func(ctx context.Context, in *bodyInput) (*reply, error) {
		return s.patch(ctx, in.edit(r), in.RawBody)
	})
	anything := &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeObject}}
	op.RequestBody.Content = map[string]*huma.MediaType{mergeType: anything, jsonType: anything}
}

func registerDelete(api huma.API, s *resources, r *resource, path string) {
	op := r.operation("delete", http.MethodDelete, path, "Delete a "+r.singular, inForce)
	op.DefaultStatus = http.StatusNoContent
	op.Responses = map[string]*huma.Response{
		"200":     {Description: "What a dry run would do", Content: content(schemaOf[Plan](api))},
		"204":     {Description: "Deleted"},
		"default": failure(api),
	}
	huma.Register(api, op, func(ctx context.Context, in *WriteInput) (*reply, error) {
		return s.remove(ctx, in.edit(r))
	})
}

// operation describes one call of the kind.
func (r *resource) operation(verb, method, path, summary, description string) huma.Operation {
	name := r.singular
	if verb == "list" {
		name = string(r.kind)
	}
	return huma.Operation{
		OperationID: verb + "-" + name, Method: method, Path: path, Summary: summary, Description: description, Tags: []string{string(r.kind)},
		MaxBodyBytes:     maxBody,
		SkipValidateBody: true, // control.Check decides what is valid, and nothing else
	}
}

// written lists the answers to a write.
func (r *resource) written(api huma.API) map[string]*huma.Response {
	value := r.schema(api)
	either := &huma.Schema{OneOf: []*huma.Schema{value, schemaOf[Plan](api)}}
	return map[string]*huma.Response{
		"200":     {Description: "Replaced; or a Plan, with dry_run", Content: content(either)},
		"201":     {Description: "Created", Content: content(value)},
		"default": failure(api),
	}
}

func content(s *huma.Schema) map[string]*huma.MediaType {
	return map[string]*huma.MediaType{jsonType: {Schema: s}}
}

// failure describes a problem document.
func failure(api huma.API) *huma.Response {
	statuses := ""
	for _, status := range []int{400, 401, 404, 409, 412, 413, 422, 503} {
		statuses += strconv.Itoa(status) + " " + http.StatusText(status) + "; "
	}
	return &huma.Response{
		Description: statuses + "the body says what is wrong",
		Content:     map[string]*huma.MediaType{problemType: {Schema: schemaOf[huma.ErrorModel](api)}},
	}
}
