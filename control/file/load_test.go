package file

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"sluice/internal/problem"
	"sluice/internal/unit"
	"sluice/proxy"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// The contract, section 2: all of the file is optional, and these are the defaults.
func TestNoFileMeansTheDocumentedDefaults(t *testing.T) {
	c, err := Load("", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		IOUring:        true,
		Splice:         true,
		DataDir:        "sluice-data",
		Listeners:      []proxy.ListenerConfig{{Address: "0.0.0.0:10000"}},
		TrustedProxies: []string{},
		Admin:          AdminConfig{Address: "127.0.0.1:9180"},
		Etcd:           EtcdConfig{Endpoints: []string{}, Prefix: "/sluice/"},
	}
	want.AccessLog.Path, want.AccessLog.Format = "-", "json"
	want.Limits = proxy.LimitsConfig{RequestLine: 8 << 10, Headers: 32 << 10, HeaderCount: 100, Body: 100 << 20, Pipeline: 64}
	second := unit.Duration(time.Second)
	want.Timeouts = proxy.TimeoutsConfig{
		RequestHeader: 10 * second, RequestBody: 60 * second, KeepAlive: 60 * second, Send: 10 * second, Connect: 3 * second,
		ResponseHeader: 60 * second, ResponseBody: 60 * second, TunnelIdle: 3600 * second, Drain: 30 * second,
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
}

// testdata/defaults.yaml is the block of the contract: the file that says all the defaults is the same as no file.
func TestTheDocumentedFileIsTheDefaults(t *testing.T) {
	c, err := Load("testdata/defaults.yaml", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	d, err := Load("", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(c, d) {
		t.Errorf("the documented file\n%+v\nand the defaults\n%+v", c, d)
	}
}

func TestAFullFileIsReadAsItIsWritten(t *testing.T) {
	c, err := Load("testdata/full.yaml", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Workers != 4 || !c.PinWorkers || c.IOUring || c.Splice || c.DataDir != "/var/lib/sluice" || len(c.Listeners) != 2 || c.Listeners[1].Address != "[::]:8080" ||
		!reflect.DeepEqual(c.TrustedProxies, []string{"10.0.0.0/8", "fd00::/8"}) || c.Admin.Token != "0123456789abcdef" ||
		!reflect.DeepEqual(c.Etcd.Endpoints, []string{"http://10.0.0.1:2379", "http://10.0.0.2:2379"}) || c.Etcd.Prefix != "/my/cloud/" ||
		c.AccessLog.Path != "" || c.Limits.Body != 0 || c.Limits.Headers != 64<<10 || c.Timeouts.Drain != 0 ||
		c.Timeouts.KeepAlive.Std() != 75*time.Second || c.Timeouts.Connect.Std() != 3*time.Second {
		t.Errorf("%+v", c)
	}
}

// One file, one case: testdata/bad/x.yaml and, in x.txt, what is said about it. -update rewrites the latter.
func TestWrongFilesAreExplained(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			_, err := Load(path, nil, nil)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("accepted, or not an *Error: %v", err)
			}
			got := strings.ReplaceAll(err.Error(), "testdata/bad/", "") + "\n"
			golden := strings.TrimSuffix(path, ".yaml") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestVariablesOverrideTheFileAndFlagsOverrideBoth(t *testing.T) {
	env := []string{
		"SLUICE_WORKERS=3", "SLUICE_PIN_WORKERS=false", "SLUICE_LISTENERS=127.0.0.1:1, 127.0.0.1:2", "SLUICE_ADMIN_ADDRESS=127.0.0.1:3",
		"SLUICE_ETCD_ENDPOINTS=a:2379,b:2379", "SLUICE_LIMITS_BODY=1GiB", "SLUICE_TIMEOUTS_DRAIN=5s", "SLUICE_ACCESS_LOG_PATH=", "HOME=/",
		"SLUICE_PORT=tcp://10.0.0.1:80", "SLUICE_TRUSTED_PROXIES=",
	}
	c, err := Load("testdata/full.yaml", env, []Override{{"admin.address", "127.0.0.1:4", "--admin"}, {"listeners", "127.0.0.1:5", "--listen"}})
	if err != nil {
		t.Fatal(err)
	}
	if c.Workers != 3 || c.PinWorkers || len(c.Listeners) != 1 || c.Listeners[0].Address != "127.0.0.1:5" || c.Admin.Address != "127.0.0.1:4" ||
		!reflect.DeepEqual(c.Etcd.Endpoints, []string{"a:2379", "b:2379"}) || c.Limits.Body != 1<<30 ||
		c.Timeouts.Drain.Std() != 5*time.Second || c.AccessLog.Path != "" || len(c.TrustedProxies) != 0 {
		t.Errorf("%+v", c)
	}
}

func TestProblemsOfOverridesNameTheirSource(t *testing.T) {
	env := []string{"SLUICE_WORKERS=many", "SLUICE_LIMITS_BODY=1", "SLUICE_PIN_WORKERS=yes", "SLUICE_TRUSTED_PROXIES=10.0.0.0/8,here", "SLUICE_TIMEOUTS_CONNECT=0s"}
	_, err := Load("testdata/full.yaml", env, []Override{{"listeners", "nowhere", "--listen"}})
	if err == nil {
		t.Fatal("accepted")
	}
	want := strings.Join([]string{
		`SLUICE_WORKERS: "many" is not a whole number`,
		`SLUICE_PIN_WORKERS: wants true or false, not a string`,
		`SLUICE_LIMITS_BODY: "1" is not a size: write a whole number with its unit, such as "8KiB" or "100MiB"`,
		`--listen[0].address: "nowhere" is not an address: write IP:port, such as "0.0.0.0:10000" or "[::1]:10000"`,
		`SLUICE_TRUSTED_PROXIES[1]: "here" is not a CIDR: write one such as "10.0.0.0/8" or "fd00::/8"`,
		`SLUICE_TIMEOUTS_CONNECT: 0s is out of range: from 1ms to 1h0m0s`,
	}, "\n")
	if err.Error() != want {
		t.Errorf("got\n%s\nwant\n%s", err, want)
	}
}

func TestProblemsOfOtherChecksArePlacedInTheFile(t *testing.T) {
	check := func(*Config) error { return problem.Problems{{Path: "etcd.endpoints[1]", Text: "is down"}} }
	_, err := Load("testdata/full.yaml", nil, nil, check)
	if err == nil || err.Error() != "testdata/full.yaml:13:41: etcd.endpoints[1]: is down" {
		t.Error(err)
	}
}

func TestAMissingFileIsAnError(t *testing.T) {
	if _, err := Load("testdata/none.yaml", nil, nil); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// Every setting has a variable of its own: two that met in one name could not both be set.
func TestVariableNamesAreUnique(t *testing.T) {
	seen := map[string]string{}
	for _, path := range Settings() {
		if other, ok := seen[EnvName(path)]; ok {
			t.Errorf("%s and %s are both %s", path, other, EnvName(path))
		}
		seen[EnvName(path)] = path
	}
	if len(seen) < 30 {
		t.Errorf("only %d settings were found", len(seen))
	}
}

// No input may make the reader panic: a file is edited by hand, and half an edit is a file too.
func FuzzParseYAML(f *testing.F) {
	for _, pattern := range []string{"testdata/*.yaml", "testdata/bad/*.yaml"} {
		files, _ := filepath.Glob(pattern)
		for _, path := range files {
			data, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		n, problems := parseYAML(data)
		if len(problems) == 0 && n == nil {
			t.Error("neither a document nor a problem")
		}
	})
}
