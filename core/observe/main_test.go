package observe

import (
	"os"
	"testing"

	"sluice/internal/testnet"
)

// TestMain fails on a goroutine or a descriptor that a test left behind; a writer that Close does not end is one.
func TestMain(m *testing.M) {
	if os.Getenv(brokenPipeChild) != "" {
		writeToBrokenPipe()
		os.Exit(0)
	}
	testnet.Main(m)
}
