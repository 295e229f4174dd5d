//go:build race

package proxy

// raceDetector reports whether the tests run under it.
const raceDetector = true
