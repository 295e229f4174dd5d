package upstream

import (
	"testing"

	"sluice/internal/testnet"
)

// TestMain fails on leaked goroutines and descriptors.
func TestMain(m *testing.M) { testnet.Main(m) }
