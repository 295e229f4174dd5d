package plugin

import "testing"

// RFC 9110 §5.1 and §5.6.2.
func TestFieldNamesAreTokens(t *testing.T) {
	for _, good := range []string{"X-Request-Id", "a", "!#$%&'*+-.^_`|~09azAZ"} {
		if !ValidFieldName(good) {
			t.Errorf("%q is refused", good)
		}
	}
	for _, bad := range []string{"", "a b", "a:", "a\r\n", "ä", "a/b", "(a)", "\x7f", "\x00"} {
		if ValidFieldName(bad) {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// RFC 9110 §5.5: "a\r\nEvil: 1" would be two fields.
func TestFieldValuesHaveNoControls(t *testing.T) {
	for _, good := range []string{"", "a", "a b\tc", "ä", "\"q\""} {
		if !ValidFieldValue(good) {
			t.Errorf("%q is refused", good)
		}
	}
	for _, bad := range []string{"a\r\nEvil: 1", "a\n", "a\x00", " a", "a\t", "\x7f"} {
		if ValidFieldValue(bad) {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestFieldsOfTheGatewayAreReserved(t *testing.T) {
	for name, want := range map[string]bool{
		"content-length": true, "Transfer-Encoding": true, "HOST": true, "Connection": true, "Upgrade": true, "TE": true, "Expect": true,
		"X-Request-Id": false, "Cookie": false, "X-Forwarded-For": false, "Server": false,
	} {
		if ReservedField(name) != want {
			t.Errorf("%s: reserved = %v", name, !want)
		}
	}
}
