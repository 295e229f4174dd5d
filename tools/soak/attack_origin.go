package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// What origins do that keep to no rule.

// fewOrigins is how many connections meet an origin that never stops. Each of them is as fast as the machine.
const fewOrigins = 8

// endlessBodies reads an answer without an end for a while and leaves. The origin must then be left too.
func endlessBodies(ctx context.Context, a *attacker) (string, error) {
	until := time.Now().Add(a.size.patience)
	var taken atomic.Int64
	good, err := a.crowd(ctx, fewOrigins, func(c net.Conn, _ int) error {
		if _, err := io.WriteString(c, "GET /abuse/endless-body HTTP/1.1\r\nHost: soak.test\r\n\r\n"); err != nil {
			return err
		}
		if err := c.SetReadDeadline(until.Add(answerTime)); err != nil {
			return err
		}
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return err
		}
		n, err := takeSlowly(res.Body, 1e9, until)
		taken.Add(n)
		return err
	})
	if err == nil {
		err = a.gateway.awaitFor(ctx, 20*time.Second, "the origin to be left", func() bool { return a.origin.endless.Load() == 0 })
	}
	return fmt.Sprintf("%d of %d, %s taken", good, fewOrigins, mib(taken.Load())), err
}

func endlessHeads(ctx context.Context, a *attacker) (string, error) {
	return a.each(ctx, fewOrigins, func(c net.Conn, i int) error {
		answer, err := ask(c, bufio.NewReader(c), &question{path: "/abuse/endless-head", id: fmt.Sprint(i)})
		if err != nil {
			return err
		}
		return mustBe(answer, 502, "upstream_protocol")
	})
}

// endlessHints meets an origin that sends interim answers only. The wait for the final one must end.
func endlessHints(ctx context.Context, a *attacker) (string, error) {
	return a.each(ctx, fewOrigins, func(c net.Conn, _ int) error {
		if _, err := io.WriteString(c, "GET /abuse/endless-hints HTTP/1.1\r\nHost: soak.test\r\n\r\n"); err != nil {
			return err
		}
		if err := c.SetReadDeadline(time.Now().Add(a.size.patience + 10*time.Second)); err != nil {
			return err
		}
		switch answer, err := readAnswer(bufio.NewReader(c)); {
		case errors.Is(err, errCut) || errors.Is(err, errNothing):
			return nil
		case err != nil:
			return err
		default:
			_, err = ownCode(answer)
			return err
		}
	})
}

// gluedSurprise meets an origin that puts a second answer behind the first, in the same segment.
func gluedSurprise(ctx context.Context, a *attacker) (string, error) {
	return a.surprised(ctx, "/surprise/surprise", 50)
}

// lateSurprise meets an origin that sends a second answer when the connection is idle.
func lateSurprise(ctx context.Context, a *attacker) (string, error) {
	return a.surprised(ctx, "/surprise/surprise?late=1", 10)
}

// surprised asks n times in a row; every answer must be the one to its question. It asks again when the gateway has closed the connection to the origin: a second
// answer that comes while the next request is under way cannot be told from its answer, by anyone.
func (a *attacker) surprised(ctx context.Context, path string, n int) (string, error) {
	return a.each(ctx, 1, func(c net.Conn, _ int) error {
		br := bufio.NewReader(c)
		for i := range n {
			before := a.surpriser.surprises.Load()
			if err := askRight(c, br, &question{path: path, id: fmt.Sprintf("surprised%d", i)}); err != nil {
				return fmt.Errorf("answer %d: %w", i, err)
			}
			err := a.gateway.awaitFor(ctx, a.size.patience+answerTime, "the gateway to close the connection with the second answer",
				func() bool { return a.surpriser.surprises.Load() > before })
			if err != nil {
				return err
			}
		}
		return nil
	})
}
