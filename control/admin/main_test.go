package admin

import (
	"testing"

	"sluice/internal/testnet"
)

// TestMain fails on a goroutine or a descriptor that a test left behind.
func TestMain(m *testing.M) { testnet.Main(m) }
