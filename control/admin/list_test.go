package admin

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// pages walks through a list and returns the ids of each page.
func (g *gateway) pages(path string) (ids []string, sizes []int) {
	g.t.Helper()
	for cursor := ""; ; {
		var page Page
		g.do("GET", path+"&cursor="+url.QueryEscape(cursor), "").want(200).into(&page)
		for _, it := range page.Items {
			ids = append(ids, it.ID)
		}
		sizes = append(sizes, len(page.Items))
		if cursor = page.NextCursor; cursor == "" {
			return ids, sizes
		}
	}
}

func TestAListIsReadPageByPage(t *testing.T) {
	g := newGateway(t)
	var want []string
	for i := range 10 {
		id := fmt.Sprintf("r%02d", i)
		g.store.set("routes/"+id, fmt.Sprintf(`{"id":%q}`, id))
		want = append(want, id)
	}
	g.store.set("services/r0x", "{}") // of another kind
	g.store.set("routes/", "{}")      // no resource at all
	for limit, sizes := range map[int][]int{1: {1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, 3: {3, 3, 3, 1}, 5: {5, 5}, 10: {10}, 1000: {10}} {
		ids, got := g.pages(fmt.Sprintf("/v1/routes?limit=%d", limit))
		if !slices.Equal(ids, want) {
			t.Errorf("limit %d: %q", limit, ids)
		}
		// One entry without an id may cost a page one look further, but never an item.
		if !slices.Equal(got, sizes) {
			t.Errorf("limit %d: pages of %v, want %v", limit, got, sizes)
		}
	}
	var page Page
	answer := g.do("GET", "/v1/nodes", "").want(200)
	answer.into(&page)
	if page.Items == nil || len(page.Items) != 0 || page.Revision != g.store.revision {
		t.Errorf("an empty list: %s", answer.body)
	}
}

func TestAnItemShowsItsIdRevisionAndValue(t *testing.T) {
	g := newGateway(t)
	first := g.store.set("discovery/demo1.abc", `{"service_name":"demo1","upstream":"127.0.0.1:1"}`)
	second := g.store.set("discovery/demo1/host/2", "not \xff json")
	want := fmt.Sprintf(`{"items":[{"id":"demo1.abc","revision":%d,"value":{"service_name":"demo1","upstream":"127.0.0.1:1"}},`+
		`{"id":"demo1/host/2","revision":%d,"text":"not � json"}],"revision":%d}`, first, second, second)
	g.do("GET", "/v1/nodes", "").want(200).wantBody(want + "\n")
}

func TestAListCanBeSearched(t *testing.T) {
	g := newGateway(t)
	g.store.set("routes/Alpha", `{"prefix":"/one","plugins":{"request-id":{}},"priority":42}`)
	g.store.set("routes/beta", `{"hosts":["API.example.com"],"service_name":"zebra"}`)
	g.store.set("routes/gamma", `not json, but has a tiger`)
	for q, want := range map[string][]string{
		"alpha":       {"Alpha"},
		"api.EXAMPLE": {"beta"},
		"zebra":       {"beta"},
		"request-id":  {"Alpha"},
		"42":          {"Alpha"},
		"tiger":       {"gamma"},
		"a":           {"Alpha", "beta", "gamma"},
		"prefix":      nil, // the name of a key is not content
		"nothing":     nil,
	} {
		if ids, _ := g.pages("/v1/routes?q=" + url.QueryEscape(q)); !slices.Equal(ids, want) {
			t.Errorf("%q: %q, want %q", q, ids, want)
		}
	}
}

// More entries than are read at once, few of which are wanted: pages are full and the last one is known to be the last.
func TestASearchGoesOnBehindWhatIsReadAtOnce(t *testing.T) {
	g := newGateway(t)
	for i := range 3*chunk + 7 {
		g.store.set(fmt.Sprintf("routes/r%05d", i), `{}`)
	}
	ids, sizes := g.pages("/v1/routes?limit=30&q=00") // r0000x…, r00xyz, rxx00x …
	seen := make(map[string]bool)
	for _, id := range ids {
		if seen[id] || !strings.Contains(id, "00") {
			t.Fatalf("%q twice or wrong", id)
		}
		seen[id] = true
	}
	want := 0
	for i := range 3*chunk + 7 {
		if strings.Contains(fmt.Sprintf("r%05d", i), "00") {
			want++
		}
	}
	if len(ids) != want || slices.Contains(sizes[:len(sizes)-1], 0) || sizes[len(sizes)-1] == 0 {
		t.Errorf("%d ids, want %d; pages of %v", len(ids), want, sizes)
	}
}

func TestAListWithABadQueryIsRefused(t *testing.T) {
	g := newGateway(t)
	for _, query := range []string{"limit=0", "limit=1001", "limit=x", "limit=-1", "cursor=%2F%2F%2F", "page=2", "q=" + strings.Repeat("x", 300)} {
		_, at := g.do("GET", "/v1/routes?"+query, "").want(422).problems()
		name, _, _ := strings.Cut(query, "=")
		if len(at) != 1 || at[0] != "query."+name {
			t.Errorf("%s: %q", query, at)
		}
	}
}
