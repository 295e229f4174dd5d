// Package unit holds the two quantities that configuration is written in: durations ("250ms") and sizes ("64KiB").
package unit

import (
	"fmt"
	"time"
)

// Duration is a length of time, written as Go writes it: "250ms", "1m30s". In JSON and YAML it is a string.
type Duration time.Duration

// Std returns d as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String returns d as it is written in configuration.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText writes d for JSON and YAML.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads d; a bare number is refused, since its unit would be a guess.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf("%q is not a duration: write a number with its unit, such as \"250ms\", \"3s\" or \"1h\"", b)
	}
	if v < 0 {
		return fmt.Errorf("%q is negative: a duration is zero or more", b)
	}
	*d = Duration(v)
	return nil
}
