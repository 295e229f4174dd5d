package etcd

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// leastVersions are the first releases without a known way to lose or leak events of a watch, by minor version. Versions after the last are taken to be fine.
// Before them: keys past those that were granted (GHSA-xg4h-6gfc-h4m8), events lost after a compaction (3.5.13), removals at the compacted
// revision (3.5.18), progress that overtakes events (3.5.8).
var leastVersions = map[string]int{"3.5": 33, "3.6": 14, "3.7": 1}

// tooOld says what an operator should install, "" where the version is fine or is none that can be read.
func tooOld(version string) string {
	var major, minor, patch int
	if n, _ := fmt.Sscanf(version, "%d.%d.%d", &major, &minor, &patch); n != 3 {
		return ""
	}
	if major < 3 || major == 3 && minor < 5 {
		return "3.5.33"
	}
	series := fmt.Sprintf("%d.%d", major, minor)
	if least, ok := leastVersions[series]; ok && patch < least {
		return fmt.Sprintf("%s.%d", series, least)
	}
	return ""
}

// inspect asks each server which version it is, and warns of those with known faults, once for a version. A server that does not answer is passed over.
func (s *Source) inspect(ctx context.Context, conn *connection) {
	var found []string
	for _, endpoint := range conn.Endpoints() {
		limited, cancel := context.WithTimeout(ctx, requestTimeout)
		answer, err := conn.Client.Status(limited, endpoint)
		cancel()
		if err != nil {
			continue
		}
		if !slices.Contains(found, answer.Version) {
			found = append(found, answer.Version)
		}
		if want := tooOld(answer.Version); want != "" && !s.warned[answer.Version] {
			s.warned[answer.Version] = true
			s.options.Log.Warn("etcd: this version of the server has known faults in its watches: upgrade it", "endpoint", endpoint, "version", answer.Version, "to", want+" or later")
		}
	}
	if len(found) > 0 {
		slices.Sort(found)
		s.note(func(st *Status) { st.Server = strings.Join(found, ", ") })
	}
}
