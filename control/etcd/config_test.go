package etcd

import (
	"errors"
	"testing"

	"sluice/internal/problem"
)

func TestAllProblemsOfTheConfigurationAreNamedWithTheirPaths(t *testing.T) {
	cfg := Config{
		Endpoints: []string{"127.0.0.1:2379", "nonsense", "ftp://a:1", "https://host", "http://u:p@h:1", "https://h:1", "unix://"},
		Prefix:    "/sluice", Username: "u", CertFile: "c",
	}
	var problems problem.Problems
	if err := cfg.Validate(); !errors.As(err, &problems) {
		t.Fatal(err)
	}
	got := ""
	for _, p := range problems {
		got += p.Path + " "
	}
	if want := "endpoints[1] endpoints[2] endpoints[3] endpoints[4] endpoints[6] endpoints prefix username cert_file "; got != want {
		t.Errorf("got  %s\nwant %s\n%v", got, want, problems)
	}
}

func TestTheDefaultConfigurationIsValid(t *testing.T) {
	var cfg Config
	cfg.SetDefaults()
	if err := cfg.Validate(); err != nil || cfg.Prefix != "/sluice/" {
		t.Errorf("%+v: %v", cfg, err)
	}
}

func TestEveryKindOfEndpointIsValid(t *testing.T) {
	for _, endpoint := range []string{"127.0.0.1:2379", "[::1]:2379", "etcd.example.com:2379", "http://127.0.0.1:2379", "https://[::1]:2379/", "unix:///run/etcd.sock"} {
		cfg := Config{Endpoints: []string{endpoint}, Prefix: "/my/cloud/"}
		if err := cfg.Validate(); err != nil {
			t.Errorf("%s: %v", endpoint, err)
		}
	}
}

// ca_file with http:// would look like encryption and be none.
func TestCertificatesWithoutEncryptionAreRefused(t *testing.T) {
	for _, endpoint := range []string{"http://127.0.0.1:2379", "unix:///run/etcd.sock"} {
		cfg := Config{Endpoints: []string{endpoint}, Prefix: "/sluice/", CAFile: "ca.pem"}
		if err := cfg.Validate(); err == nil {
			t.Errorf("%s with ca_file is accepted", endpoint)
		}
	}
}
