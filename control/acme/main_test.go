package acme

import (
	"testing"

	"sluice/internal/testnet"
)

// TestMain fails on leaked goroutines and descriptors. The authority of the tests has one that it never ends.
func TestMain(m *testing.M) {
	testnet.Main(m, "github.com/letsencrypt/pebble/v2/va.VAImpl.processTasks")
}
