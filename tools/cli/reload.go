package cli

import (
	"errors"
	"strings"

	"sluice/control/file"
	"sluice/core/observe"
	"sluice/proxy"
)

// liveSettings are those, or groups of them, that a reload changes at once. All others are what the process was started with.
var liveSettings = []string{"trusted_proxies", "admin.token", "admin.expose", "access_log", "limits", "timeouts"}

// isLive reports whether a reload applies the setting at path.
func isLive(path string) bool {
	for _, one := range liveSettings {
		if rest, ok := strings.CutPrefix(path, one); ok && (rest == "" || rest[0] == '.') {
			return true
		}
	}
	return false
}

// reload is SIGHUP: the configuration is read again, what can change live does, and the rest is named. A configuration that is wrong changes nothing. The access log is
// opened again in any case, since a tool may have moved its file away.
func (g *gateway) reload() {
	next, err := g.load()
	if err != nil {
		g.logProblems(err)
		g.reopenLog()
		return
	}
	var applied, waiting []string
	for _, path := range file.Diff(g.config, next) {
		if isLive(path) {
			applied = append(applied, path)
		} else {
			waiting = append(waiting, path)
		}
	}
	if err := g.apply(next); err != nil {
		g.log.Error("configuration not reloaded: nothing was changed", "error", err)
		return
	}
	g.log.Info("configuration reloaded", "changed", applied)
	if len(waiting) > 0 {
		g.log.Warn("these settings stay as they were: SIGUSR2 puts them in force without losing a connection, and so does a restart", "settings", waiting)
	}
}

// logProblems logs everything that is wrong with a configuration, one line each.
func (g *gateway) logProblems(err error) {
	var wrong *file.Error
	if !errors.As(err, &wrong) {
		g.log.Error("configuration not reloaded: nothing was changed", "error", err)
		return
	}
	for line := range strings.Lines(wrong.Error()) {
		g.log.Error("configuration not reloaded: nothing was changed", "problem", strings.TrimSuffix(line, "\n"))
	}
}

// apply puts the live settings of next in force, all or, with an error, none.
func (g *gateway) apply(next *file.Config) error {
	trusted, err := proxy.ParseTrustedProxies(next.TrustedProxies)
	if err != nil {
		return err
	}
	merged := *g.config
	merged.TrustedProxies, merged.AccessLog = next.TrustedProxies, next.AccessLog
	merged.Limits, merged.Timeouts = next.Limits, next.Timeouts
	merged.Admin.Token, merged.Admin.Expose = next.Admin.Token, next.Admin.Expose
	token, err := adminToken(&merged)
	if err != nil {
		return err
	}
	if merged.Admin.Expose {
		if err := g.openPanel(); err != nil {
			return err
		}
	}
	if merged.AccessLog != g.config.AccessLog {
		err = g.changeLog(merged.AccessLog)
	} else {
		g.reopenLog()
	}
	if err != nil {
		return err
	}
	g.showPanel(merged.Admin.Expose)
	g.admin.SetToken(token)
	g.live.setFile(proxy.Settings{TrustedProxies: trusted, Limits: merged.Limits, Timeouts: merged.Timeouts})
	g.config = &merged
	return nil
}

func (g *gateway) reopenLog() {
	if err := g.access.Reopen(); err != nil {
		g.log.Error("access log not reopened: lines go where they went", "error", err)
	}
}

// changeLog writes finished exchanges to another place, or in another form. No line is lost on the way.
func (g *gateway) changeLog(config observe.AccessLogConfig) error {
	loops := g.server.Loops()
	next, err := observe.OpenAccessLog(config, len(loops))
	if err != nil {
		return err
	}
	old := g.access
	g.stats.SetAccessLog(next)
	g.access = next
	// A worker that is writing a line may have found the old log: in its next turn it has not.
	turned := make(chan struct{}, len(loops))
	for _, loop := range loops {
		loop.Post(func() { turned <- struct{}{} })
	}
	for range loops {
		<-turned
	}
	if err := old.Close(); err != nil {
		g.log.Error("access log: the last lines of the one before", "error", err)
	}
	return nil
}
