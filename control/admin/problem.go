package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/bytedance/sonic"
	"github.com/danielgtaylor/huma/v2"

	"sluice/control"
	"sluice/internal/problem"
)

// writeProblem answers with a problem document (RFC 9457) outside of an operation.
func writeProblem(w http.ResponseWriter, status int, detail string) {
	body, err := sonic.ConfigStd.Marshal(huma.NewError(status, detail))
	if err != nil {
		panic("BUG: admin: a problem document does not marshal: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that has gone needs no answer
}

// unparsable is the answer to a body that is not JSON.
func unparsable(err error) error {
	return huma.NewError(http.StatusBadRequest, "the body cannot be parsed", details("body", err)...)
}

// refused is the answer to a request that is well formed, but does not say what is wanted at the place where: "body", "path.id".
func refused(where string, err error) error {
	return huma.NewError(http.StatusUnprocessableEntity, "the request is not valid: nothing was changed", details(where, err)...)
}

// withoutSent takes what was sent in a body out of a problem: huma shows the whole object beside one unknown key, with the password or the private key in it.
func withoutSent(_ huma.Context, _ string, answer any) (any, error) {
	if p, ok := answer.(*huma.ErrorModel); ok {
		for _, e := range p.Errors {
			if strings.HasPrefix(e.Location, "body") {
				e.Value = nil
			}
		}
	}
	return answer, nil
}

// details lists what err holds, each with its JSON path below where.
func details(where string, err error) (list []error) {
	var all problem.Problems
	all.Under(where, err)
	for _, p := range all {
		message := p.Text
		if p.Line > 0 {
			message = fmt.Sprintf("line %d, column %d: %s", p.Line, p.Column, p.Text)
		}
		list = append(list, &huma.ErrorDetail{Location: p.Path, Message: message})
	}
	return list
}

// retryAfter is when to try again, in seconds, where the store cannot be reached: it connects again within about that.
const retryAfter = "1"

// storeFailed is the answer where the store did not do what was asked.
func storeFailed(err error) error {
	switch {
	case errors.Is(err, control.ErrNotFound):
		return huma.NewError(http.StatusNotFound, "there is no such resource")
	case errors.Is(err, control.ErrTooLarge):
		return huma.NewError(http.StatusRequestEntityTooLarge, "this is more than etcd takes in one transaction: nothing was changed. An external etcd takes as many operations as its "+
			"--max-txn-ops says (128 by default) and as many bytes as its --max-request-bytes", details("", err)...)
	case errors.Is(err, control.ErrFull):
		return huma.NewError(http.StatusInsufficientStorage, "etcd is full, and takes no writes until it has been compacted and defragmented and its alarm disarmed: nothing was changed. What is in force stays", details("", err)...)
	case unanswered(err):
		return huma.ErrorWithHeaders(huma.NewError(http.StatusServiceUnavailable, err.Error()), http.Header{"Retry-After": {retryAfter}})
	}
	return huma.NewError(http.StatusInternalServerError, err.Error())
}

// unanswered reports whether the store was asked and nobody knows what it would have said.
func unanswered(err error) bool {
	return errors.Is(err, control.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// writeFailed is storeFailed for a write, whose end may be unknown.
func writeFailed(err error) error {
	if unanswered(err) {
		err = fmt.Errorf("%w; the change may still have been made: read the resource again", err)
	}
	return storeFailed(err)
}

var (
	errPrecondition = huma.NewError(http.StatusPreconditionFailed, "the resource is not at a revision that the request names: read it again")
	errContended    = huma.NewError(http.StatusConflict, "others change the resource at the same time: try again")
)
