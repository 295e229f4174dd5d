package main

import (
	"encoding/json"
	"fmt"
	"slices"
)

// contract is every answer that the gateway gives of itself: the status, and the words that may stand in its body.
var contract = map[int][]string{
	400: {"bad_request"},
	404: {"no_route"},
	405: {"method_not_allowed"},
	408: {"request_timeout"},
	413: {"too_large"},
	414: {"uri_too_long"},
	417: {"expectation_failed"},
	426: {"upgrade_required"},
	429: {"rate_limited"},
	431: {"headers_too_large"},
	501: {"not_implemented"},
	502: {"upstream_connect", "upstream_reset", "upstream_protocol"},
	503: {"no_healthy_node", "overloaded"},
	504: {"upstream_timeout"},
	505: {"version_not_supported"},
}

// ownCode returns the word of an answer that the gateway gave of itself, and an error when the answer is not as the contract has it.
func ownCode(a *answer) (string, error) {
	var body struct {
		Error struct {
			Status    int    `json:"status"`
			Code      string `json:"code"`
			Message   string `json:"message"`
			RequestID string `json:"request_id"`
		} `json:"error"`
	}
	if got := a.header.Get("Server"); got != "sluice" {
		return "", fmt.Errorf("status %d with Server: %q", a.status, got)
	}
	if err := json.Unmarshal(a.body, &body); err != nil {
		return "", fmt.Errorf("status %d with the body %.100q: %w", a.status, a.body, err)
	}
	e := body.Error
	switch {
	case e.Status != a.status:
		return "", fmt.Errorf("status %d with %d in the body", a.status, e.Status)
	case !slices.Contains(contract[a.status], e.Code):
		return "", fmt.Errorf("status %d with the code %q", a.status, e.Code)
	case e.Message == "" || e.RequestID == "":
		return "", fmt.Errorf("status %d without a message or a request id", a.status)
	}
	return e.Code, nil
}

// mustBe returns an error unless the gateway itself gave this answer.
func mustBe(a *answer, status int, code string) error {
	got, err := ownCode(a)
	if err == nil && (a.status != status || got != code) {
		err = fmt.Errorf("%d %s, want %d %s", a.status, got, status, code)
	}
	return err
}
