package h1

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/codec"
	"sluice/codec/codectest"
)

// smallLimits keep the fixtures of the size rules short.
var smallLimits = codec.Limits{RequestLine: 128, Headers: 512, HeaderCount: 16}

// rules are all reject values by name. TestEveryRuleHasAFixture fails when one of reject.go is missing.
var rules = map[string]error{
	"ErrEmptyLines": ErrEmptyLines, "ErrBareCR": ErrBareCR, "ErrBareLF": ErrBareLF, "ErrMethod": ErrMethod,
	"ErrRequestLine": ErrRequestLine, "ErrTargetEmpty": ErrTargetEmpty, "ErrTargetByte": ErrTargetByte,
	"ErrFragment": ErrFragment, "ErrTargetForm": ErrTargetForm, "ErrUserinfo": ErrUserinfo, "ErrAuthority": ErrAuthority,
	"ErrConnect": ErrConnect, "ErrVersion": ErrVersion, "ErrVersionUnsupported": ErrVersionUnsupported,
	"ErrLineTooLong": ErrLineTooLong, "ErrStatusLine": ErrStatusLine, "ErrStatus": ErrStatus, "ErrReason": ErrReason,
	"ErrLeadingSpace": ErrLeadingSpace, "ErrFold": ErrFold, "ErrNameEmpty": ErrNameEmpty, "ErrName": ErrName,
	"ErrSpaceBeforeColon": ErrSpaceBeforeColon, "ErrNoColon": ErrNoColon, "ErrValue": ErrValue,
	"ErrFieldsTooLarge": ErrFieldsTooLarge, "ErrTooManyFields": ErrTooManyFields, "ErrHostMissing": ErrHostMissing,
	"ErrHostDuplicate": ErrHostDuplicate, "ErrHost": ErrHost, "ErrContentLength": ErrContentLength,
	"ErrContentLengthOverflow": ErrContentLengthOverflow, "ErrContentLengthDuplicate": ErrContentLengthDuplicate,
	"ErrLengthAndCoding": ErrLengthAndCoding, "ErrTransferEncoding": ErrTransferEncoding,
	"ErrTransferEncodingDuplicate": ErrTransferEncodingDuplicate, "ErrTransferEncodingVersion": ErrTransferEncodingVersion,
	"ErrChunkedNotFinal": ErrChunkedNotFinal, "ErrCodingUnsupported": ErrCodingUnsupported,
	"ErrTooManyOptions": ErrTooManyOptions, "ErrExpectation": ErrExpectation, "ErrChunkSize": ErrChunkSize,
	"ErrChunkSizeOverflow": ErrChunkSizeOverflow, "ErrChunkExtension": ErrChunkExtension,
	"ErrChunkExtensionsTooLong": ErrChunkExtensionsTooLong, "ErrChunkEnd": ErrChunkEnd, "ErrTruncated": ErrTruncated,
}

func fixtures(tb testing.TB, pattern string) []string {
	tb.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "reject", pattern))
	if err != nil || len(files) == 0 {
		tb.Fatalf("no fixtures %s: %v", pattern, err)
	}
	return files
}

func readFile(tb testing.TB, name string) []byte {
	tb.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestEveryRuleHasAFixture(t *testing.T) {
	have := map[string]bool{}
	for _, f := range fixtures(t, "*") {
		name, _, _ := strings.Cut(filepath.Base(f), ".")
		have[name] = true
	}
	file, err := parser.ParseFile(token.NewFileSet(), "reject.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for _, id := range spec.Names {
			n++
			if rules[id.Name] == nil {
				t.Errorf("%s is not in the table of this test", id.Name)
			}
			if !have[id.Name] {
				t.Errorf("%s has no file in testdata/reject", id.Name)
			}
		}
		return false
	})
	if n != len(rules) {
		t.Errorf("reject.go declares %d rules, the table has %d", n, len(rules))
	}
}

func TestFixturesAreRefusedByTheirRule(t *testing.T) {
	for _, f := range fixtures(t, "*") {
		name, how, _ := strings.Cut(filepath.Base(f), ".")
		t.Run(name+"."+how, func(t *testing.T) {
			want := rules[name]
			if want == nil {
				t.Fatal("a file without a rule")
			}
			in := readFile(t, f)
			var start func() codectest.Run
			switch how {
			case "request":
				start = func() codectest.Run { return requestRun(&smallLimits) }
			case "response":
				start = func() codectest.Run { return responseRun(codec.MethodGet, &smallLimits) }
			case "chunked":
				start = func() codectest.Run { return bodyRun(codec.Framing{Kind: codec.BodyStream}, len(in), &smallLimits) }
			default:
				t.Fatal("nobody parses " + how)
			}
			got := codectest.Splits(t, in, start)
			if _, after, _ := strings.Cut(got, "reject: "); after != want.Error() {
				t.Errorf("got %s, want %v", got, want)
			}
		})
	}
}

func TestRulesNameTheirSectionAndPackage(t *testing.T) {
	for name, err := range rules {
		r, ok := err.(*codec.Reject)
		if !ok || !strings.HasPrefix(r.RFC, "RFC ") || !strings.Contains(r.RFC, " §") || !strings.HasPrefix(r.Text, "h1: ") {
			t.Errorf("%s: %+v", name, err)
		}
	}
}
