package network

import "testing"

func TestNetworksAreReadAsTheyAreWritten(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.7": "10.0.0.7/32", "10.0.0.0/8": "10.0.0.0/8", "10.1.2.3/8": "10.0.0.0/8", "0.0.0.0/0": "0.0.0.0/0",
		"::1": "::1/128", "fd00::/8": "fd00::/8", "fd00::1/8": "fd00::/8", "::/0": "::/0",
		"::ffff:10.0.0.7": "10.0.0.7/32", "::ffff:10.0.0.7/104": "10.0.0.0/8", "::ffff:0:0/96": "0.0.0.0/0", "::ffff:10.0.0.7/128": "10.0.0.7/32",
	} {
		if got, ok := Parse(text); !ok || got.String() != want {
			t.Errorf("%s is %v, %v, want %s", text, got, ok, want)
		}
	}
}

func TestWhatIsNoNetworkIsRefused(t *testing.T) {
	for _, text := range []string{"", "10", "10.0.0", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/08", "010.0.0.1", "::1/129", "fe80::1%eth0", "fe80::%eth0/64", "10.0.0.7:80", "a.test", " 10.0.0.7", "::ffff:0:0/95"} {
		if got, ok := Parse(text); ok {
			t.Errorf("%q is %v", text, got)
		}
	}
}
