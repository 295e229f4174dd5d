package main

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// withPlugins answers as a gateway with five plugins would, but for what spoil changes of an answer's fields.
func withPlugins(t *testing.T, spoil func(page string, answer http.Header), lets func(client string) bool) *rival {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if client, _, _ := strings.Cut(r.RemoteAddr, ":"); !lets(client) {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.Header().Set(pluginsField, pluginsValue)
		w.Header().Set("Vary", "Origin")
		if page := r.Header.Get("Origin"); page == pluginsOrigin {
			w.Header().Set("Access-Control-Allow-Origin", page)
		}
		spoil(r.Header.Get("Origin"), w.Header())
	}))
	t.Cleanup(srv.Close)
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	return &rival{name: "fake", port: port, setup: setup{rewrite: true, plugins: true}}
}

func onlyUs(client string) bool { return client == pluginsClients }

func TestAGatewayWithFivePluginsPasses(t *testing.T) {
	if err := checkPlugins(t.Context(), withPlugins(t, func(string, http.Header) {}, onlyUs)); err != nil {
		t.Error(err)
	}
}

// Who leaves out the work of one plugin is faster, and must not be compared.
func TestAGatewayThatLeavesOutAPluginIsRefused(t *testing.T) {
	for name, spoil := range map[string]func(page string, answer http.Header){
		pluginsField:                  func(_ string, answer http.Header) { answer.Del(pluginsField) },
		"Access-Control-Allow-Origin": func(_ string, answer http.Header) { answer.Del("Access-Control-Allow-Origin") },
		"other.example":               func(page string, answer http.Header) { answer.Set("Access-Control-Allow-Origin", page) },
		"Vary":                        func(_ string, answer http.Header) { answer.Add("Vary", "Origin") },
	} {
		if err := checkPlugins(t.Context(), withPlugins(t, spoil, onlyUs)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	everybody := func(string) bool { return true }
	if err := checkPlugins(t.Context(), withPlugins(t, func(string, http.Header) {}, everybody)); err == nil || !strings.Contains(err.Error(), "want 403") {
		t.Error(err)
	}
}
