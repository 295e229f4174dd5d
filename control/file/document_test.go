package file

import (
	"strings"
	"testing"
)

func TestDocumentsAreJSONOrYAML(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`{"a":12345678901234567890,"b":[1.5e3,null,true]}`, `{"a":12345678901234567890,"b":[1.5e3,null,true]}`},
		{"a: 1\nb: [x, 'y']\n", `{"a":1,"b":["x","y"]}`},
		{"a: 1\n---\n---\nb: |\n  two\n  lines\n", `{"a":1} {"b":"two\nlines\n"}`},
		{"- a\n- b: 2024-01-02\n", `["a",{"b":"2024-01-02"}]`},
		{"", ``},
		{"# nothing\n", ``},
	} {
		docs, err := ParseDocuments([]byte(c.text))
		var got []string
		for _, d := range docs {
			got = append(got, string(d.AppendJSON(nil)))
		}
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%q: %v, %v", c.text, got, err)
		}
	}
	for text, want := range map[string]string{
		"a: 0x10\n":                 "1:4: a: 0x10 is no number in JSON",
		"a:\n  b: [.inf]\n":         "2:7: a.b[0]: ",
		"a: 1\n---\n---\nb: 0x10\n": "4:4: b: 0x10 is no number",
		"a: &x 1\n":                 "anchors",
		"a: 'x\n":                   "not valid YAML",
	} {
		if _, err := ParseDocuments([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// What is shown as YAML is read as what it was.
func TestFormattedYAMLIsReadAsTheSame(t *testing.T) {
	for _, text := range []string{
		`{"z":1,"a":"yes","b":"1","c":"null","d":["x: y","#","- a"],"e":{"f":null,"g":true},"h":"two\nlines","i":"","j":[],"k":{}}`,
		`{"n":12345678901,"f":1.5,"s":"0x10","t":"2024-01-02","u":"日本","v":"~"}`,
		`[{"id":"a","value":{"prefix":"/*"}}]`,
	} {
		made, err := FormatYAML([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		docs, err := ParseDocuments(made)
		if err != nil || len(docs) != 1 || string(docs[0].AppendJSON(nil)) != text {
			t.Errorf("%s\nbecame\n%s%v", text, made, err)
		}
	}
}
