package control

import (
	"slices"
	"strings"
	"time"

	"sluice/internal/problem"
)

// Status is what the engine knows of the store and of what is in force. It is immutable.
type Status struct {
	Revision  int64     // of the store, that has been looked at
	Published int64     // of the store, that the last snapshot shows: lower while later changes changed nothing
	Snapshots uint64    // published so far; 0 = not ready
	Applied   time.Time // when the last batch had been worked in
	Routes    int       // in force
	Services  int       // in force: with a configuration, or named by a route
	Nodes     int       // registered, whatever their status
	Errors    []ResourceError

	Consumers, Certificates, Settings int // in force
}

// Ready reports whether a first snapshot has been published.
func (s *Status) Ready() bool { return s.Snapshots > 0 }

// ResourceError is one resource whose stored value is not in force.
type ResourceError struct {
	Key      string
	Revision int64 // at which the bad value was written
	Problems problem.Problems
	Previous bool // an earlier version of it stays in force
}

// errorList is the resources in error, by key.
type errorList struct {
	byKey   map[string]ResourceError
	changed bool // since sorted was made
	sorted  []ResourceError
}

func (l *errorList) set(e ResourceError) {
	l.byKey[e.Key] = e
	l.changed = true
}

func (l *errorList) clear(key string) {
	if _, ok := l.byKey[key]; ok {
		delete(l.byKey, key)
		l.changed = true
	}
}

// list returns the errors in the order of keys. The slice is never changed afterwards.
func (l *errorList) list() []ResourceError {
	if l.changed {
		l.sorted = make([]ResourceError, 0, len(l.byKey))
		for _, e := range l.byKey {
			l.sorted = append(l.sorted, e)
		}
		slices.SortFunc(l.sorted, func(a, b ResourceError) int { return strings.Compare(a.Key, b.Key) })
		l.changed = false
	}
	return l.sorted
}
