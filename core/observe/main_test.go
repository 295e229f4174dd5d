package observe

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails on a goroutine that a test left behind; a writer that Close does not end is one.
func TestMain(m *testing.M) {
	if os.Getenv(brokenPipeChild) != "" {
		writeToBrokenPipe()
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}
