package tlsconn

import (
	"testing"

	"sluice/internal/testnet"
)

// TestMain fails on leaked goroutines, and a coroutine that nobody has ended is one.
func TestMain(m *testing.M) { testnet.Main(m) }
