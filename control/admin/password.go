package admin

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"golang.org/x/crypto/argon2"
)

// hashing is how much a password costs to check: argon2id, RFC 9106.
type hashing struct {
	memory  uint32 // KiB
	passes  uint32
	threads uint8
}

// standardHashing is the first choice of OWASP's list for argon2id: 19 MiB and two passes on one thread, some 30 ms. RFC 9106 §4 asks for 64 MiB where memory is short; a
// gateway lives in a container of a few hundred, next to its connections, and the attack that memory slows, guessing from a stolen store, is one against somebody who then
// has the routes and the certificates' keys too.
var standardHashing = hashing{memory: 19 << 10, passes: 2, threads: 1}

const (
	saltBytes = 16 // RFC 9106 §3.1: enough for every application
	hashBytes = 32

	// What a stored hash may ask for: it comes from the store, and a check must not cost what somebody wrote there.
	maxMemory = 256 << 10
	maxPasses = 16

	// hashesAtOnce bounds the memory of all checks together to some 40 MiB, and leaves the workers their CPUs.
	hashesAtOnce = 2

	// minPassword is for people who must type it; whoever guesses over the network has some thousand tries a day and account (see slowdown), which is 10^4 of 10^9.
	minPassword = 6
	maxPassword = 1024
)

var errBadHash = errors.New("admin: the stored hash of a password is not one of argon2id")

// encode returns the hash of a password in the PHC form: $argon2id$v=19$m=19456,t=2,p=1$salt$hash.
func (h hashing) encode(password string) string {
	salt := make([]byte, saltBytes)
	rand.Read(salt) // never fails: it ends the program instead
	sum := argon2.IDKey([]byte(password), salt, h.passes, h.memory, h.threads, hashBytes)
	text := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.passes, h.threads, text.EncodeToString(salt), text.EncodeToString(sum))
}

// matchesHash reports whether a hash is the password's. It takes as long whatever the answer is.
func matchesHash(encoded, password string) (bool, error) {
	parts := strings.Split(encoded, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return false, errBadHash
	}
	var version int
	var h hashing
	if _, err := fmt.Sscanf(parts[2], "v=%d", &version); err != nil || version != argon2.Version {
		return false, errBadHash
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.memory, &h.passes, &h.threads); err != nil {
		return false, errBadHash
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	want, err2 := base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil || err2 != nil || len(want) < 16 || len(want) > 64 || h.memory > maxMemory || h.passes < 1 || h.passes > maxPasses || h.threads < 1 {
		return false, errBadHash
	}
	got := argon2.IDKey([]byte(password), salt, h.passes, h.memory, h.threads, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1, nil
}

// checkPassword reports why a password cannot be somebody's.
func checkPassword(password string) error {
	switch {
	case len(password) < minPassword:
		return accountError("password", "the password is shorter than %d characters", minPassword)
	case len(password) > maxPassword:
		return accountError("password", "the password is longer than %d bytes", maxPassword)
	}
	return nil
}

// turns lets so many at a time check passwords. The rest wait, as long as there are not too many of them.
type turns struct {
	slots   chan struct{}
	waiting atomic.Int32
}

// maxWaiting bounds those who wait: with two at a time, and 30 ms each, the last of them waits for half a second.
const maxWaiting = 32

// take waits for a turn; false = there are too many, or ctx has ended.
func (t *turns) take(ctx context.Context) bool {
	defer t.waiting.Add(-1)
	if t.waiting.Add(1) > maxWaiting {
		return false
	}
	select {
	case t.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (t *turns) give() { <-t.slots }
