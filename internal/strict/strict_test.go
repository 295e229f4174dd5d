package strict

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"sluice/internal/problem"
	"sluice/internal/unit"
)

type sample struct {
	Name    string            `json:"name"`
	Count   int               `json:"count"`
	Weight  *int              `json:"weight" strict:"text"`
	On      bool              `json:"on"`
	Rate    float64           `json:"rate"`
	Wait    unit.Duration     `json:"wait"`
	Body    unit.Size         `json:"body"`
	Tags    []string          `json:"tags"`
	Labels  map[string]string `json:"labels"`
	Inner   inner             `json:"inner"`
	Pointer *inner            `json:"pointer"`
	List    []inner           `json:"list"`
	Raw     json.RawMessage   `json:"raw"`
	Own     own               `json:"own"`
	hidden  int
}

type inner struct {
	A int `json:"a"`
}

type own struct{ kind Kind }

func (o *own) DecodeNode(n *Node) (p problem.Problems) {
	o.kind = n.Kind
	if n.Kind == Bool {
		p.Add("[0]", "no booleans")
	}
	return p
}

func TestEveryKindOfFieldIsRead(t *testing.T) {
	const text = `{"name":"a\u00e9\n","count":-3,"weight":"7","on":true,"rate":0.5,"wait":"250ms","body":"64KiB","tags":["x","y"],
		"labels":{"k":"v"},"inner":{"a":1},"pointer":{"a":2e0},"list":[{"a":3.0},{}],"raw":{"z":[1,"é",null,true,1.50]},"own":[]}`
	var got sample
	if err := DecodeJSON([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	seven := 7
	want := sample{
		Name: "aé\n", Count: -3, Weight: &seven, On: true, Rate: 0.5, Wait: unit.Duration(250 * time.Millisecond), Body: 64 << 10,
		Tags: []string{"x", "y"}, Labels: map[string]string{"k": "v"}, Inner: inner{1}, Pointer: &inner{2}, List: []inner{{3}, {0}},
		Raw: json.RawMessage(`{"z":[1,"é",null,true,1.50]}`), Own: own{Array},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// Who decodes over defaults must not lose them to what is absent or null.
func TestAbsentAndNullLeaveTheDefault(t *testing.T) {
	got := sample{Name: "default", Tags: []string{"d"}, Count: 5}
	if err := DecodeJSON([]byte(`{"name":null,"tags":null}`), &got); err != nil {
		t.Fatal(err)
	}
	if got.Name != "default" || got.Count != 5 || len(got.Tags) != 1 {
		t.Errorf("%+v", got)
	}
}

func TestEverythingThatDoesNotFitIsReportedAtOnce(t *testing.T) {
	const text = `{"nam":"a","name":1,"count":"3","weight":1.5,"on":"yes","rate":"x","wait":5,"body":true,"tags":"x","labels":{"k":1},
		"inner":[],"list":[{"b":1},null,{"a":{}}],"own":false,"count":2,"hidden":1,"wait":"1s"}`
	want := []string{
		`nam: unknown key; did you mean "name"?`,
		`name: wants a string, not a number`,
		`count: wants a whole number, not a string`,
		`weight: "1.5" is not a whole number`,
		`on: wants true or false, not a string`,
		`rate: wants a number, not a string`,
		`wait: "5" is not a duration: write a number with its unit, such as "250ms", "3s" or "1h"`,
		`body: wants a string, not a boolean`,
		`tags: wants a list, not a string`,
		`labels.k: wants a string, not a number`,
		`inner: wants an object, not a list`,
		`list[0].b: unknown key`,
		`list[1]: is null`,
		`list[2].a: wants a whole number, not an object`,
		`own[0]: no booleans`,
		`count: given twice`,
		`hidden: unknown key`,
		`wait: given twice`,
	}
	err := DecodeJSON([]byte(text), new(sample))
	if err == nil || err.Error() != strings.Join(want, "; ") {
		t.Errorf("got\n%s\nwant\n%s", strings.ReplaceAll(err.Error(), "; ", "\n"), strings.Join(want, "\n"))
	}
	_ = sample{}.hidden
}

// Two keys that are one: readers differ in which of them they take.
func TestAMapKeyGivenTwiceIsRefused(t *testing.T) {
	err := DecodeJSON([]byte(`{"labels":{"k":"1","\u006b":"2"}}`), new(sample))
	if err == nil || err.Error() != "labels.k: given twice" {
		t.Error(err)
	}
}

func TestWhatIsNotJSONIsRefusedWithItsPlace(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "empty",
		" \n":                      "empty",
		"{\n  \"name\": \"a\"\n,}": "3:",
		`{"name":"a"} x`:           "1:",
		`{"name":'a'}`:             "1:",
		"{\"name\":\"\xff\"}":      "not valid UTF-8",
		"{\"name\":\"\x01\"}":      "not valid JSON",
		`{"count":01}`:             "not valid JSON",
		`{"count":1`:               "not valid JSON",
	} {
		err := DecodeJSON([]byte(text), new(sample))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q in it", text, err, want)
		}
	}
}

// "[[[[…": a stack frame for every byte would be a cheap way to fill memory.
func TestDeepNestingIsRefused(t *testing.T) {
	for _, depth := range []int{65, 5000, 1 << 20} {
		text := `{"raw":` + strings.Repeat("[", depth) + strings.Repeat("]", depth) + `}`
		if err := DecodeJSON([]byte(text), new(sample)); err == nil {
			t.Errorf("depth %d is accepted", depth)
		}
	}
	text := `{"raw":` + strings.Repeat("[", 60) + strings.Repeat("]", 60) + `}`
	if err := DecodeJSON([]byte(text), new(sample)); err != nil {
		t.Error(err)
	}
}

func TestProblemsAreBounded(t *testing.T) {
	text := "{" + strings.Repeat(`"x":1,`, 10000) + `"y":1}`
	err := DecodeJSON([]byte(text), new(sample))
	if list, ok := err.(problem.Problems); !ok || len(list) != maxProblems {
		t.Errorf("%d problems", len(list))
	}
}

// What is written out again must read as the same.
func FuzzNodesSurviveWriting(f *testing.F) {
	f.Add([]byte(`{"a":[1,2.5e3,"x\n\u2028",null,true,{}],"b":{"c":-0}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := ParseJSON(data)
		if err != nil {
			return
		}
		if !json.Valid(data) {
			t.Fatalf("accepted what the standard library refuses: %q", data)
		}
		out := n.AppendJSON(nil)
		again, err := ParseJSON(out)
		if err != nil || !reflect.DeepEqual(n, again) {
			t.Fatalf("%q became %q: %v", data, out, err)
		}
	})
}

// A stored null is not a resource with all its defaults.
func TestNullIsNotAnObject(t *testing.T) {
	var v struct{ A string }
	if err := DecodeJSON([]byte(" null "), &v); err == nil {
		t.Error("null was accepted")
	}
}
