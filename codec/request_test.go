package codec

import (
	"reflect"
	"testing"
)

// line returns a request whose line was parsed from "GET /a?b".
func line() *Request {
	r := new(Request)
	r.Reset([]byte("GET /a?b"))
	r.Method = MethodGet
	r.SetLine(Span{0, 3}, Span{4, 4}, Span{4, 2}, Span{7, 1})
	return r
}

func TestTargetsAreSplitAtTheFirstQuestionMark(t *testing.T) {
	r := line()
	if string(r.MethodBytes()) != "GET" || string(r.Target()) != "/a?b" || string(r.Path()) != "/a" || string(r.Query()) != "b" {
		t.Errorf("%s %s %s %s", r.MethodBytes(), r.Target(), r.Path(), r.Query())
	}
	for _, tt := range []struct{ target, path, query string }{{"/c", "/c", ""}, {"/c?", "/c", ""}, {"/c?d?e=/", "/c", "d?e=/"}, {"*", "*", ""}} {
		r.SetTarget([]byte(tt.target))
		if string(r.Target()) != tt.target || string(r.Path()) != tt.path || string(r.Query()) != tt.query {
			t.Errorf("%s: %s %s %s", tt.target, r.Target(), r.Path(), r.Query())
		}
	}
	r = line()
	r.PrefixTarget("/x")
	r.PrefixTarget("/y")
	if string(r.Target()) != "/y/x/a?b" || string(r.Path()) != "/y/x/a" || string(r.Query()) != "b" {
		t.Errorf("%s %s %s", r.Target(), r.Path(), r.Query())
	}
}

func TestMethodAndHostAreReplaced(t *testing.T) {
	r := line()
	r.SetMethod([]byte("PUT"))
	r.SetHost([]byte("b"))
	if r.Method != MethodPut || string(r.MethodBytes()) != "PUT" || string(r.Host()) != "b" || r.Header.Len() != 0 {
		t.Errorf("%s %s %d", r.MethodBytes(), r.Host(), r.Header.Len())
	}
	r.Header.Add("host", []byte("a"))
	r.SetHost([]byte("c"))
	if string(r.Host()) != "c" || string(r.Header.Get("Host")) != "c" {
		t.Errorf("%s %s", r.Host(), r.Header.Get("Host"))
	}
}

// fill sets every field of a struct to something that is not zero, and leaves Header alone.
func fill(t *testing.T, v reflect.Value) {
	for i := range v.NumField() {
		f := v.Field(i)
		if v.Type().Field(i).Name == "Header" {
			continue
		}
		f = reflect.NewAt(f.Type(), f.Addr().UnsafePointer()).Elem()
		switch f.Kind() {
		case reflect.Struct:
			fill(t, f)
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
			f.SetUint(1)
		case reflect.Int, reflect.Int64:
			f.SetInt(1)
		case reflect.Array:
			f.Index(0).SetInt(1)
		default:
			t.Fatal("cannot fill", f.Type())
		}
	}
}

// Reset names each field for speed; this fails for one that was forgotten.
func TestResetMessagesAreLikeNew(t *testing.T) {
	var req, newReq Request
	fill(t, reflect.ValueOf(&req).Elem())
	req.Reset(nil)
	req.Header, newReq.Header = Header{}, Header{}
	if !reflect.DeepEqual(req, newReq) {
		t.Errorf("left in a request: %+v", req)
	}
	var resp, newResp Response
	fill(t, reflect.ValueOf(&resp).Elem())
	resp.Reset(nil)
	resp.Header, newResp.Header = Header{}, Header{}
	if !reflect.DeepEqual(resp, newResp) {
		t.Errorf("left in a response: %+v", resp)
	}
}

func TestMethodsAreKnownByTheirExactName(t *testing.T) {
	for m := MethodGet; m <= MethodPatch; m++ {
		if got := ParseMethod([]byte(m.String())); got != m {
			t.Errorf("%v: %v", m, got)
		}
	}
	for _, s := range []string{"", "get", "GE", "GETS", "PROPFIND"} { // RFC 9110 §9.1: case-sensitive
		if got := ParseMethod([]byte(s)); got != MethodOther {
			t.Errorf("%q: %v", s, got)
		}
	}
	if Method(99).String() != "" || MethodOther.String() != "" || MethodPost.Idempotent() || MethodPatch.Idempotent() || !MethodDelete.Idempotent() {
		t.Error("names and idempotence")
	}
}

func TestInformationalResponsesAreFollowedByAnother(t *testing.T) { // RFC 9110 §15.2
	for status, want := range map[int]bool{100: true, 101: false, 103: true, 199: true, 200: false, 204: false} {
		if r := (&Response{Status: status}); r.Informational() != want {
			t.Error(status)
		}
	}
}
