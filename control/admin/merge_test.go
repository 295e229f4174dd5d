package admin

import (
	"testing"

	"sluice/internal/strict"
)

// The cases of RFC 7396, appendix A, and what a table of members by key could get wrong.
func TestMergePatchDoesAsRFC7396Says(t *testing.T) {
	for _, tc := range []struct{ target, patch, want string }{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`["a","b"]`, `["c","d"]`, `["c","d"]`},
		{`{"a":"b"}`, `["c"]`, `["c"]`},
		{`{"a":"foo"}`, `null`, `null`},
		{`{"a":"foo"}`, `"bar"`, `"bar"`},
		{`{"e":null}`, `{"a":1}`, `{"e":null,"a":1}`},
		{`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
		{`{"a":1,"b":2,"c":3}`, `{"b":null,"d":4,"c":5}`, `{"a":1,"c":5,"d":4}`},
	} {
		target, patch := mustParse(t, tc.target), mustParse(t, tc.patch)
		if got := string(merge(target, patch).AppendJSON(nil)); got != tc.want {
			t.Errorf("%s + %s = %s, want %s", tc.target, tc.patch, got, tc.want)
		}
		if string(target.AppendJSON(nil)) != tc.target || string(patch.AppendJSON(nil)) != tc.patch {
			t.Errorf("%s + %s changed an argument", tc.target, tc.patch)
		}
	}
}

func TestMembersGivenTwiceInAPatchAreFound(t *testing.T) {
	got := repeated(mustParse(t, `{"a":1,"b":[{"c":1,"c":2}],"a":3}`))
	if len(got) != 2 || got[0].Path != "b[0].c" || got[1].Path != "a" {
		t.Errorf("%v", got)
	}
}

func mustParse(t *testing.T, text string) *strict.Node {
	t.Helper()
	n, err := strict.ParseJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
