package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// chaosConf has timeouts short enough that a silent origin is noticed within the run.
const chaosConf = "timeouts: {connect: 500ms, response_header: 500ms, response_body: 500ms}\n"

const (
	chaosOrigins = 4
	chaosBody    = 16 << 10 // the largest: an answer takes more than one read, so that it can be cut
	recoverTime  = 10 * time.Second
	recoverRuns  = 50 // right answers in a row, on new connections, that count as recovered
)

// originChaos asks without pause while the origins behind the gateway come, go and misbehave.
func originChaos(ctx context.Context, h *harness, r *report) error {
	g, err := startGateway(ctx, h, chaosConf, 0)
	if err != nil {
		return err
	}
	defer g.close(ctx, r)
	var origins []*origin
	for i := range chaosOrigins {
		o, err := startOrigin(fmt.Sprintf("127.0.1.%d", i+1))
		if err != nil {
			return err
		}
		defer o.close()
		origins = append(origins, o)
	}
	if err := g.route(ctx, "chaos", `,"pool":{"idle_timeout":"500ms"}`, origins...); err != nil {
		return err
	}
	if err := g.awaitNodesGone(ctx); err != nil {
		return err
	}
	before, err := g.look(ctx)
	if err != nil {
		return err
	}
	d := &dialer{addr: g.addr}
	h.say("%d connections, %d origins, for %v", h.size.clients, chaosOrigins, h.size.duration)
	seen, kills, err := h.unleash(ctx, d, origins)
	if err != nil {
		return err
	}
	seen.judge(r, kills)
	took, err := recovered(ctx, d)
	r.must(err == nil, "recovers when the origins are back", orError(took.Round(time.Millisecond).String(), err),
		fmt.Sprintf("%d right answers in a row within %v", recoverRuns, recoverTime))
	g.awaitBack(ctx, r, before)
	return nil
}

func orError(s string, err error) string {
	if err != nil {
		return err.Error()
	}
	return s
}

// unleash runs the clients while it torments the origins. All of them are well when it returns. It also returns how often an origin was killed.
func (h *harness) unleash(ctx context.Context, d *dialer, origins []*origin) (*sightings, int, error) {
	seen := &sightings{own: make(map[string]int64)}
	during, cancel := context.WithTimeout(ctx, h.size.duration)
	defer cancel()
	var wg sync.WaitGroup
	for i := range h.size.clients {
		wg.Go(func() { seen.client(during, d, h.size.seed, i) })
	}
	rng := rand.New(rand.NewPCG(h.size.seed, 1<<32))
	kills := 0
	for rest(during, time.Duration(20+rng.IntN(100))*time.Millisecond) {
		o := origins[rng.IntN(len(origins))]
		switch {
		case !o.alive():
			if err := o.listen(); err != nil {
				cancel()
				wg.Wait()
				return seen, kills, err
			}
			o.mood.Store(int32(moodGood))
		case rng.IntN(3) == 0:
			o.kill()
			kills++
		default: // as often good as anything else
			o.mood.Store(int32(max(moodGood, mood(rng.IntN(2*int(moods)))-moods)))
		}
	}
	wg.Wait()
	for _, o := range origins {
		o.mood.Store(int32(moodGood))
		if !o.alive() {
			if err := o.listen(); err != nil {
				return seen, kills, err
			}
		}
	}
	return seen, kills, nil
}

// sightings are what the clients of the chaos have seen.
type sightings struct {
	right, cut, broken atomic.Int64

	mu    sync.Mutex // guards what follows
	own   map[string]int64
	worst error // the first that was neither right, nor the contract's, nor cut so that one can tell
}

// client asks on one connection after the other until ctx ends.
func (s *sightings) client(ctx context.Context, d *dialer, seed uint64, i int) {
	rng := rand.New(rand.NewPCG(seed, uint64(i)))
	var c net.Conn
	br := bufio.NewReader(nil)
	for n := 0; rest(ctx, time.Duration(5+rng.IntN(15))*time.Millisecond); n++ {
		if c == nil {
			var err error
			if c, err = d.dial(context.WithoutCancel(ctx)); err != nil {
				s.fault(err)
				continue
			}
			br.Reset(c)
		}
		q := newQuestion(rng, "/chaos/echo", fmt.Sprintf("chaos%d.%d", i, n), chaosBody)
		if a, err := ask(c, br, q); !s.note(q, a, err) {
			_ = c.Close()
			c = nil
		}
	}
	if c != nil {
		_ = c.Close()
	}
}

// note judges one answer and reports whether its connection may go on.
func (s *sightings) note(q *question, a *answer, err error) bool {
	switch {
	case errors.Is(err, errCut): // the origin died within its answer: the client can tell, and that is all that can be done
		s.cut.Add(1)
		return false
	case err != nil:
		s.fault(fmt.Errorf("request %s: %w", q.id, err))
		return false
	case a.status == http.StatusOK:
		if err := q.check(a); err != nil {
			s.fault(err)
			return false
		}
		s.right.Add(1)
		return !a.close
	}
	code, err := ownCode(a)
	switch {
	case err != nil:
		s.fault(err)
	case a.status != 502 && a.status != 503 && a.status != 504:
		s.fault(fmt.Errorf("request %s was answered %d %s", q.id, a.status, code))
	default:
		s.mu.Lock()
		s.own[fmt.Sprintf("%d %s", a.status, code)]++
		s.mu.Unlock()
		return !a.close
	}
	return false
}

func (s *sightings) fault(err error) {
	s.broken.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.worst == nil {
		s.worst = err
	}
}

// judge notes what was seen.
func (s *sightings) judge(r *report, kills int) {
	r.note("origins killed", fmt.Sprint(kills))
	r.must(s.right.Load() > 0, "right answers", fmt.Sprint(s.right.Load()), "> 0")
	r.note("the gateway's own answers", s.ownList())
	r.note("answers cut with their origin", fmt.Sprint(s.cut.Load()))
	r.must(s.broken.Load() == 0, "anything else", firstOf(s.broken.Load(), s.worst), "0")
}

// ownList counts the gateway's own answers.
func (s *sightings) ownList() string {
	var list []string
	for _, what := range slices.Sorted(maps.Keys(s.own)) {
		list = append(list, fmt.Sprintf("%d × %s", s.own[what], what))
	}
	if list == nil {
		return "none"
	}
	return strings.Join(list, ", ")
}

// recovered waits for right answers in a row and returns how long they took to begin.
func recovered(ctx context.Context, d *dialer) (time.Duration, error) {
	start := time.Now()
	began := start
	for good := 0; good < recoverRuns; {
		err := askFresh(ctx, d, "chaos")
		if err == nil {
			good++
			continue
		}
		if time.Since(start) > recoverTime || ctx.Err() != nil {
			return 0, err
		}
		good = 0
		if !rest(ctx, 10*time.Millisecond) {
			return 0, ctx.Err()
		}
		began = time.Now()
	}
	return began.Sub(start), nil
}
