package proxy

import (
	"time"

	"sluice/upstream"
)

// noPortOver is how long there must have been a port again for another want of one to be news.
const noPortOver = time.Minute

// noPort counts a connection that could not be made since every local port to its node is in use, and writes to the log when that begins: a line for each would be as many as there are
// requests. The loop does not wait for it.
func (w *worker) noPort(node *upstream.Node, err error) {
	w.stats.NoPort()
	s, now := w.server, w.wall()
	if before := s.noPort.Swap(now); now-before >= int64(noPortOver) {
		go s.logger.Warn("no local port is left to reach a node from: raise net.ipv4.ip_local_port_range, or keep more idle connections (pool.max_idle_per_worker)",
			"service", node.Service, "node", node.Address, "error", err)
	}
}
