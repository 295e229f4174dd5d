package observe

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// StoreState is how the connection to the store stands, as a scrape tells it.
type StoreState struct {
	Connected    bool              // the watch is up, as far as can be known
	LastContact  time.Time         // when the store last said something; zero = never
	Revision     int64             // of the store, up to which its changes have been looked at
	Resyncs      map[string]uint64 // full reads, by reason
	Audits       uint64            // comparisons with what is stored that found no difference
	FromDisk     bool              // what is served is the last good state on disk
	DiskRevision int64             // of the store, that the last good state on disk shows; 0 = there is none
	DiskFailures uint64            // times that the file could not be read or written
}

var (
	connectedDesc    = desc("config_store_connected", "1 while the watch of the store is up.")
	stalenessDesc    = desc("config_staleness_seconds", "Time since the store last said something; up to some 10 while connected. Absent where it never has.")
	storeDesc        = desc("config_store_revision", "Revision of the store up to which its changes have been looked at.")
	resyncsDesc      = desc("config_resyncs_total", "Times that everything was read from the store, by reason.", "reason")
	auditsDesc       = desc("config_audits_total", "Comparisons of what the watch has told with what is stored that found no difference.")
	fromDiskDesc     = desc("config_from_disk", "1 while what is served is the last good state on disk, since the store has not been read yet.")
	diskRevisionDesc = desc("config_disk_revision", "Revision of the store that the last good state on disk shows; 0 = there is none.")
	rebuildsDesc     = desc("config_rebuilds_total", "Times that the table of routes was made anew in the background, by whether it was the same; different is a bug.", "result")
	diskErrorsDesc   = desc("config_disk_errors_total", "Times that the last good state on disk could not be read or written.")
)

var storeDescs = []*prometheus.Desc{connectedDesc, stalenessDesc, storeDesc, resyncsDesc, auditsDesc, fromDiskDesc, diskRevisionDesc, diskErrorsDesc, rebuildsDesc}

// SetStore tells whom a scrape asks for the state of the store. state may be called by any goroutine.
func (r *Registry) SetStore(state func() StoreState) { r.store.Store(&state) }

// CountRebuild counts a comparison of the table of routes with one that was made anew.
func (r *Registry) CountRebuild(same bool) {
	if same {
		r.rebuildsSame.Add(1)
	} else {
		r.rebuildsDifferent.Add(1)
	}
}

// collectStore sends the state of the store, and of what came of it.
func (r *Registry) collectStore(s sink) {
	s.counter(rebuildsDesc, r.rebuildsSame.Load(), "same")
	s.counter(rebuildsDesc, r.rebuildsDifferent.Load(), "different")
	ask := r.store.Load()
	if ask == nil {
		return
	}
	state := (*ask)()
	s.gauge(connectedDesc, oneIf(state.Connected))
	if !state.LastContact.IsZero() {
		s.gauge(stalenessDesc, max(0, time.Since(state.LastContact).Seconds()))
	}
	s.gauge(storeDesc, float64(state.Revision))
	for reason, n := range state.Resyncs {
		s.counter(resyncsDesc, n, reason)
	}
	s.counter(auditsDesc, state.Audits)
	s.gauge(fromDiskDesc, oneIf(state.FromDisk))
	s.gauge(diskRevisionDesc, float64(state.DiskRevision))
	s.counter(diskErrorsDesc, state.DiskFailures)
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
