package admin

import (
	"strconv"
	"strings"

	"sluice/control"
)

// etag returns the entity tag of a resource at a revision.
func etag(revision int64) string { return `"` + strconv.FormatInt(revision, 10) + `"` }

// condition is what If-Match and If-None-Match ask, RFC 9110 §13.1.
type condition struct {
	match     tags // nil = not given
	noneMatch tags
}

// tags is a list of entity tags, without their quotes, or "*".
type tags []string

// parseTags reads the value of a field; "" gives nil. Ours are all strong, so that only where weak tags may match, in If-None-Match (RFC 9110 §13.1.2),
// one equals them. A bare number is taken too: people copy revisions from lists.
func parseTags(value string, weak bool) (list tags) {
	if strings.TrimSpace(value) == "" {
		return nil
	}
	for tag := range strings.SplitSeq(value, ",") {
		tag = strings.TrimSpace(tag)
		if weak {
			tag = strings.TrimPrefix(tag, "W/")
		}
		list = append(list, strings.Trim(tag, `"`))
	}
	return list
}

// has reports whether the list names what is there; current is nil where nothing is.
func (t tags) has(current *control.Entry) bool {
	if current == nil {
		return false
	}
	revision := strconv.FormatInt(current.ModRevision, 10)
	for _, tag := range t {
		if tag == "*" || tag == revision {
			return true
		}
	}
	return false
}

// holds reports whether a write may be made over current, nil where there is nothing.
func (c condition) holds(current *control.Entry) bool {
	return (c.match == nil || c.match.has(current)) && (c.noneMatch == nil || !c.noneMatch.has(current))
}
