package main

import (
	"bufio"
	"context"
	"net"
	"strconv"
)

// keeper asks on one connection as long as that is kept, and then on another.
type keeper struct {
	dialer *dialer
	conn   net.Conn // nil: none
	in     *bufio.Reader
	asked  int
}

// ask asks one question; an answer that is not right ends the connection.
func (k *keeper) ask(ctx context.Context) error {
	if k.conn == nil {
		c, err := k.dialer.dial(context.WithoutCancel(ctx))
		if err != nil {
			return err
		}
		k.conn, k.in = c, bufio.NewReader(c)
	}
	k.asked++
	err := askRight(k.conn, k.in, &question{path: "/abuse/echo", id: "kept" + strconv.Itoa(k.asked), body: []byte("a few bytes")})
	if err != nil {
		k.close()
	}
	return err
}

func (k *keeper) close() {
	if k.conn != nil {
		_ = k.conn.Close()
		k.conn = nil
	}
}
