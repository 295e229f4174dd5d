package cli

import (
	"log/slog"
	"sync"
	"time"

	"sluice/control"
	"sluice/proxy"
)

// live is the settings that change while the gateway runs: those of its file, with what the store has for all gateways over them.
type live struct {
	level   *slog.LevelVar // of the gateway's log; nil = it cannot be changed
	started slog.Level     // what it was at the start

	mu     sync.Mutex // guards the rest
	server *proxy.Server
	file   proxy.Settings
	stored control.LiveSettings
	drain  time.Duration // in force
}

// begin tells what is in force at the start, before the store has said anything.
func (l *live) begin(server *proxy.Server, file proxy.Settings) {
	if l.level != nil {
		l.started = l.level.Level()
	}
	l.server = server
	l.setFile(file)
}

// setFile puts settings of the file in force.
func (l *live) setFile(file proxy.Settings) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.file = file
	l.apply()
}

// setStored puts settings of the store in force.
func (l *live) setStored(s control.LiveSettings) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stored = s
	l.apply()
	if l.level == nil {
		return
	}
	level := l.started
	if s.LogLevel != nil {
		level = *s.LogLevel
	}
	l.level.Set(level)
}

// apply is called with the lock.
func (l *live) apply() {
	now := l.file
	if l.stored.Limits != nil {
		l.stored.Limits(&now.Limits)
	}
	if l.stored.Timeouts != nil {
		l.stored.Timeouts(&now.Timeouts)
	}
	now.Paths = l.stored.Paths
	l.drain = now.Timeouts.Drain.Std()
	l.server.Apply(now)
}

// drainTime returns how long a drain may take.
func (l *live) drainTime() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.drain
}
