//go:build !race

package cli

// raceDetector says that these tests run under the race detector; the binary is then built with it too.
const raceDetector = false
