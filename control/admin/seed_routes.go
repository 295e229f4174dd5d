package admin

import (
	"errors"
	"net/http"

	"sluice/control"
	"sluice/internal/strict"
)

// listRoutes answers with every route as it is stored. Each has its key, by which the other calls know it.
func (s *seedStore) listRoutes(w http.ResponseWriter, r *http.Request) {
	entries, _, err := s.store.List(r.Context(), control.Routes.Folder(), "", 0)
	if err != nil {
		seedFailed(w, err)
		return
	}
	list := &strict.Node{Kind: strict.Array}
	for _, e := range entries {
		_, id, _ := control.SplitKey(e.Key)
		doc, err := strict.ParseJSON(e.Value)
		if err != nil || doc.Kind != strict.Object {
			continue // no panel could show it; GET /v1/status names it
		}
		if plugins := doc.Get("plugins"); plugins != nil && plugins.Kind == strict.Object && len(plugins.Members) == 0 {
			doc = with(doc, "plugins", &strict.Node{Kind: strict.Array}) // what Lua makes of an empty list
		}
		if key := seedText(doc, "key"); key != id && seedIDs(key, control.RouteID(key))[0] != id {
			doc = with(doc, "key", textNode(id))
		}
		list.Items = append(list.Items, doc)
	}
	seedShowJSON(w, list.AppendJSON(nil))
}

// saveRoute stores a route. Its id is the md5 of its prefix, so a route whose prefix changes moves; one that has been given another id keeps it.
func (s *seedStore) saveRoute(w http.ResponseWriter, r *http.Request) {
	doc := seedBody(w, r, http.StatusInternalServerError)
	if doc == nil {
		return
	}
	key, prefix := seedText(doc, "key"), seedText(doc, "prefix")
	if key == "" && prefix == "" {
		seedSay(w, http.StatusInternalServerError, seedNoBody)
		return
	}
	move := seedMove{kind: control.Routes, old: seedRouteIDs(key)}
	if key == "" {
		move.old = []string{control.RouteID(prefix)}
	}
	move.next = func(was *control.Entry) (string, []byte, error) {
		if key == "" && was != nil {
			return "", nil, errSeedExists
		}
		id := seedRouteID(was, prefix)
		saved := with(with(doc, "key", textNode(id)), "time", numberNode(s.millis()))
		if prefix != "" {
			saved = with(saved, "prefix", textNode(prefix))
		}
		if saved.Get("id") != nil {
			saved = with(saved, "id", textNode(id))
		}
		value := saved.AppendJSON(nil)
		return id, value, control.Check(control.Routes.Key(id), value)
	}
	err := s.move(r.Context(), move)
	switch {
	case err == nil:
		seedSay(w, http.StatusOK, seedOK)
	case errors.Is(err, errSeedExists):
		seedSay(w, http.StatusInternalServerError, seedRouteKept+"路由["+prefix+"]配置已存在")
	case isProblem(err):
		seedSay(w, http.StatusInternalServerError, seedRouteKept+err.Error())
	default:
		seedFailed(w, err)
	}
}

// seedRouteIDs returns the ids that a route's key may mean: it may also be the prefix.
func seedRouteIDs(key string) []string {
	if key == "" {
		return nil
	}
	return seedIDs(key, control.RouteID(key))
}

// seedRouteID returns the id of a route that is saved with a prefix, where was is what the caller has edited. An id that does not come of the old prefix was chosen
// by somebody, and stays.
func seedRouteID(was *control.Entry, prefix string) string {
	if was == nil {
		return control.RouteID(prefix)
	}
	_, id, _ := control.SplitKey(was.Key)
	old := ""
	if stored, err := strict.ParseJSON(was.Value); err == nil && stored.Kind == strict.Object {
		old = seedText(stored, "prefix")
	}
	if prefix == "" || id != control.RouteID(old) && "/"+id != old {
		return id
	}
	return control.RouteID(prefix)
}

// removeRoute deletes a route by its key or its prefix. One that is not there is no error.
func (s *seedStore) removeRoute(w http.ResponseWriter, r *http.Request) {
	doc := seedBody(w, r, http.StatusBadRequest)
	if doc == nil {
		return
	}
	ids := seedRouteIDs(seedText(doc, "key"))
	if len(ids) == 0 {
		ids = seedRouteIDs(seedText(doc, "prefix"))
	}
	s.removeAll(w, r, control.Routes, ids)
}

// removeAll deletes what there is under some ids.
func (s *seedStore) removeAll(w http.ResponseWriter, r *http.Request, kind control.Kind, ids []string) {
	if len(ids) == 0 {
		seedSay(w, http.StatusBadRequest, seedNoBody)
		return
	}
	err := s.move(r.Context(), seedMove{kind: kind, old: ids, next: func(*control.Entry) (string, []byte, error) { return "", nil, nil }})
	if err != nil {
		seedFailed(w, err)
		return
	}
	seedSay(w, http.StatusOK, seedOK)
}
