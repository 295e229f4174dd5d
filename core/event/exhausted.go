package event

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"
)

// exhaustion is what the kernel says when this machine or this process is out of something: descriptors, memory, or ports to connect from.
var exhaustion = []error{unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM, unix.ENOSPC, unix.EADDRNOTAVAIL, unix.EAGAIN}

// NoPort reports whether an error of Dial says that this machine has no port left to reach that address from: others may still be reached, since a port is used up for each
// address and port by itself. It says the same of an address that no network here leads to.
func NoPort(err error) bool { return errors.Is(err, unix.EADDRNOTAVAIL) }

// Exhausted reports whether an error of Accept or Dial says that something has run out on our side, for which no peer is to blame.
func Exhausted(err error) bool {
	return slices.ContainsFunc(exhaustion, func(one error) bool { return errors.Is(err, one) })
}
