package etcd

import "testing"

func TestVersionsWithFaultsInTheirWatchesAreKnown(t *testing.T) {
	for version, want := range map[string]string{
		"3.4.30": "3.5.33", "2.3.8": "3.5.33", "3.5.0": "3.5.33", "3.5.32": "3.5.33", "3.5.33": "", "3.6.0": "3.6.14", "3.6.14": "", "3.7.0": "3.7.1",
		"3.7.3": "", "3.8.0": "", "4.0.0": "", "": "", "unknown": "", "3.5.5-rc.1": "3.5.33",
	} {
		if got := tooOld(version); got != want {
			t.Errorf("%s: %q, want %q", version, got, want)
		}
	}
}

// Which versions serve stands in the status, for who reads it before the changelog of etcd.
func TestTheStatusNamesTheServersVersion(t *testing.T) {
	server := startTest(t, t.TempDir(), nil)
	source, _ := run(t, clientTest(t, Config{Endpoints: []string{server.Endpoint()}}), Options{}, newRecorder())
	eventually(t, "the version", func() bool { return source.Status().Server != "" })
	if got := source.Status().Server; tooOld(got) != "" || got[:2] != "3." {
		t.Errorf("got %q", got)
	}
}
