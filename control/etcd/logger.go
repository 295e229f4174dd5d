package etcd

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// newLogger returns a logger of the kind that etcd wants, which hands lines at warn and above to log, and none while quiet is
// true. What comes after a line at level panic or fatal is up to end, which must not return.
func newLogger(log *slog.Logger, quiet *atomic.Bool, end func(message string)) *zap.Logger {
	hook := endHook{end}
	return zap.New(&slogCore{log: log, quiet: quiet}, zap.WithPanicHook(hook), zap.WithFatalHook(hook))
}

// slogCore is a zapcore.Core in front of a slog.Logger. It is immutable, so any goroutine may use it.
type slogCore struct {
	log   *slog.Logger
	quiet *atomic.Bool
}

// expected are lines about how this package runs the server, which is on purpose, with a part of their error where not all
// lines of the kind are meant.
var expected = map[string]string{
	"Running http and grpc server on single port. This is not recommended for production.": "",
	"simple token is not cryptographically signed":                                         "", // no passwords, so no tokens
	// At the first start etcd tries once before its first write and again 4 s later, after it.
	"Failed to detect schema version":  "missing term information",
	"failed to update storage version": "missing term information",
}

// Enabled implements zapcore.LevelEnabler.
func (c *slogCore) Enabled(level zapcore.Level) bool { return level >= zapcore.WarnLevel }

// With implements zapcore.Core.
func (c *slogCore) With(fields []zapcore.Field) zapcore.Core {
	return &slogCore{log: c.log.With(attributes(fields)...), quiet: c.quiet}
}

// Check implements zapcore.Core.
func (c *slogCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if !c.Enabled(entry.Level) {
		return checked
	}
	return checked.AddCore(entry, c)
}

// Write implements zapcore.Core.
func (c *slogCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	if part, ok := expected[entry.Message]; c.quiet.Load() || ok && strings.Contains(causes(fields), part) {
		return nil
	}
	level := slog.LevelWarn
	if entry.Level >= zapcore.ErrorLevel {
		level = slog.LevelError
	}
	c.log.Log(context.Background(), level, "etcd: "+entry.Message, attributes(fields)...)
	return nil
}

// Sync implements zapcore.Core.
func (c *slogCore) Sync() error { return nil }

// attributes turns fields into what slog takes.
func attributes(fields []zapcore.Field) []any {
	encoder := zapcore.NewMapObjectEncoder()
	out := make([]any, 0, len(fields))
	for _, field := range fields {
		field.AddTo(encoder)
	}
	for _, field := range fields {
		if value, ok := encoder.Fields[field.Key]; ok {
			out = append(out, slog.Any(field.Key, value))
			delete(encoder.Fields, field.Key)
		}
	}
	return out
}

// endHook stands in for os.Exit and panic.
type endHook struct {
	end func(message string)
}

// OnWrite implements zapcore.CheckWriteHook.
func (h endHook) OnWrite(checked *zapcore.CheckedEntry, fields []zapcore.Field) {
	h.end(checked.Message + causes(fields))
}

// causes returns the errors among fields, each with ": " before it.
func causes(fields []zapcore.Field) string {
	out := ""
	for _, field := range fields {
		if err, ok := field.Interface.(error); ok && field.Type == zapcore.ErrorType {
			out += ": " + err.Error()
		}
	}
	return out
}
