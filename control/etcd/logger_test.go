package etcd

import (
	"bytes"
	"errors"
	"log/slog"
	"runtime"
	"sync/atomic"
	"testing"

	"go.uber.org/zap"
)

func TestTheServersWarningsAndErrorsReachTheLog(t *testing.T) {
	var out bytes.Buffer
	var stopping atomic.Bool
	log := newLogger(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})), &stopping, func(string) { runtime.Goexit() })
	log.Info("no")
	log.Warn("slow", zap.Int("ms", 7), zap.String("what", "fsync"))
	log.With(zap.String("member", "m")).Error("bad", zap.Error(errors.New("cause")))
	log.Warn("simple token is not cryptographically signed")
	log.Warn("Failed to detect schema version", zap.Error(errors.New("another reason")))
	log.Warn("Failed to detect schema version", zap.Error(errors.New("missing term information")))
	stopping.Store(true)
	log.Error("server closed")
	want := `level=WARN msg="etcd: slow" ms=7 what=fsync
level=ERROR msg="etcd: bad" member=m error=cause
level=WARN msg="etcd: Failed to detect schema version" error="another reason"
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}
