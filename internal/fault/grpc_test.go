package fault

import "testing"

// The mapping is Envoy's, for the statuses that tell of the node, of which UNIMPLEMENTED is none here; a status that is none is UNKNOWN.
func TestStatusesOfCallsStandForStatusesOfHTTP(t *testing.T) {
	for text, want := range map[string]int{
		"0": 200, "1": 200, "2": 500, "3": 200, "4": 504, "5": 200, "6": 200, "7": 200, "8": 200, "9": 200, "10": 200, "11": 200, "12": 200, "13": 500, "14": 503, "15": 500, "16": 200,
		"": 500, "17": 500, "-1": 500, "0x0": 500, "100": 500, "1 ": 500, "00": 200,
	} {
		if got := StatusOfGRPC(ParseGRPC([]byte(text))); got != want {
			t.Errorf("%q counts as %d, want %d", text, got, want)
		}
	}
}

func TestReadingAStatusOfACallAllocatesNothing(t *testing.T) {
	text := []byte("14")
	if n := testing.AllocsPerRun(100, func() { ParseGRPC(text) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
