package control

import (
	"fmt"
	"testing"
)

// Whoever claims a name is known by it while his consumer is in force, in its last good version; and nothing is kept of what is gone.
func TestAClaimLeadsToTheConsumersInForceThatHaveIt(t *testing.T) {
	b := newBench(t)
	key := func(id, key string) Change {
		return put("consumers/"+id, fmt.Sprintf(`{"credentials":{"key-auth":{"key":%q}}}`, key))
	}
	want := func(key, ids string) {
		t.Helper()
		if got := fmt.Sprint(b.Claimants(Claim{"credentials.key-auth.key", key}, 2)); got != ids {
			t.Errorf("%q leads to %s, want %s", key, got, ids)
		}
	}
	b.apply(key("c", "k"), key("a", "k"), key("b", "k"), key("d", "l"))
	want("k", "[a b]")
	want("l", "[d]")
	b.apply(key("a", "l"), put("consumers/b", `{"credentials":{"key-auth":{}}}`), put("consumers/c", `{"status":0,"credentials":{"key-auth":{"key":"k"}}}`))
	want("k", "[b]")
	want("l", "[a d]")
	b.apply(del("consumers/b"), del("consumers/a"))
	b.resync()
	want("k", "[]")
	want("l", "[]")
	if n := len(b.others.claims.ids); n != 0 {
		t.Errorf("%d claims of nobody are kept", n)
	}
}
