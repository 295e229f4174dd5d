package admin

import (
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"

	"sluice/control"
)

// handler puts the layers together.
func handler(d Deps, token *token) http.Handler {
	mux := http.NewServeMux()
	people := newLogins(NewAccounts(d.Store, control.Author{}), d.Stats, d.Log)
	registerAPI(mux, d, people)
	return guarded(d.Log, authenticated(asJSON(orProblem(mux)), token.identify, people.sessions.identify))
}

// asJSON reads every body as JSON, whatever it says it is: curl -d calls everything a form. Pages in a browser may send forms to anybody, but know no token; see authenticated.
func asJSON(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if said := r.Header.Get("Content-Type"); said != "" && !strings.Contains(said, "json") {
			r.Header.Set("Content-Type", jsonType)
		}
		next.ServeHTTP(w, r)
	})
}

// guarded answers 500 where a handler panics. That is a bug of ours; the message stays in the log, and a half-written answer is cut off
// so that it is not taken for a whole one.
func guarded(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Server", "sluice")
		h.Set("X-Content-Type-Options", "nosniff") // a stored text must not become a page
		h.Set("Cache-Control", "no-store")
		track := &tracked{ResponseWriter: w}
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			if r.Context().Err() == nil { // the client has not just gone away
				log.Error("admin API: BUG: handler failed", "method", r.Method, "path", r.URL.Path, "cause", cause, "stack", string(debug.Stack()))
			}
			if track.started {
				panic(http.ErrAbortHandler)
			}
			writeProblem(w, http.StatusInternalServerError, "the gateway failed on this request; its log says more")
		}()
		next.ServeHTTP(track, r)
	})
}

// tracked knows whether the answer has begun.
type tracked struct {
	http.ResponseWriter
	started bool
}

func (t *tracked) WriteHeader(status int) {
	t.started = true
	t.ResponseWriter.WriteHeader(status)
}

func (t *tracked) Write(p []byte) (int, error) {
	t.started = true
	return t.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (t *tracked) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// orProblem makes problem documents of the mux's own 404 and 405.
func orProblem(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		said := statusOnly{header: make(http.Header), status: http.StatusNotFound}
		refuse.ServeHTTP(&said, r)
		status, detail := http.StatusNotFound, "there is no such call" // nor where the mux would lead, for a path such as /v1/routes/..
		if said.status == http.StatusMethodNotAllowed {
			status = said.status
			allow := said.header.Get("Allow")
			w.Header().Set("Allow", allow)
			detail = "the call exists with " + allow
		}
		writeProblem(w, status, detail)
	})
}

// statusOnly takes an answer and keeps its status and fields.
type statusOnly struct {
	header http.Header
	status int
}

func (s *statusOnly) Header() http.Header         { return s.header }
func (s *statusOnly) WriteHeader(status int)      { s.status = status }
func (s *statusOnly) Write(p []byte) (int, error) { return len(p), nil }
