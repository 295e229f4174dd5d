package cli

import (
	"context"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"sluice/internal/handoff"
	"sluice/proxy"
)

// An upgrade (SIGUSR2) starts the binary that is at this process's path now, hands it the listening sockets, and drains once the new process serves.
//
//	SIGUSR2 ──► starting ── ready ──► handOver: accept no more, give etcd away, drain, end
//	               │
//	               └── failed ──► go on as if nothing had been

// upgradeTimeout bounds the start of the new process: reaching a store that is slow to answer is most of it.
const upgradeTimeout = time.Minute

// The names of what is handed over.
const (
	noteEtcd       = "etcd"      // the directory of the embedded etcd
	listenerPrefix = "listener " // followed by the configured address
	adminPrefix    = "admin "    // the same
)

func adminSocket(address netip.AddrPort) string { return adminPrefix + address.String() }

// inheritedListeners takes the sockets of listeners.
func inheritedListeners(in *handoff.Inheritance) (sockets []proxy.Socket) {
	for _, name := range in.Names() {
		text, ok := strings.CutPrefix(name, listenerPrefix)
		if !ok {
			continue
		}
		addr, err := netip.ParseAddrPort(text)
		if err != nil {
			continue // of a later version, which knows what it means; Ready closes it
		}
		for _, fd := range in.Take(name) {
			sockets = append(sockets, proxy.Socket{Addr: addr, FD: fd})
		}
	}
	return sockets
}

// upgrade is an upgrade that is under way; the zero value is none.
type upgrade struct {
	begun  time.Time
	cancel context.CancelFunc
	child  *handoff.Child
	done   chan error // hears how the start of the new process has ended; nil where there is none
}

// beginUpgrade starts the new process.
func (g *gateway) beginUpgrade(ctx context.Context, u *upgrade) {
	switch {
	case g.program == nil:
		g.log.Warn("upgrade: not possible for this command")
		return
	case u.done != nil:
		g.log.Warn("upgrade: one is under way already", "pid", u.child.PID())
		return
	}
	ctx, cancel := context.WithTimeout(ctx, upgradeTimeout)
	child, err := g.startSuccessor(ctx)
	if err != nil {
		cancel()
		g.log.Error("upgrade failed: this process goes on", "error", err)
		return
	}
	g.log.Info("upgrade: started", "pid", child.PID(), "program", g.program.Path)
	*u = upgrade{begun: time.Now(), cancel: cancel, child: child, done: make(chan error, 1)}
	go func() { u.done <- child.Await(ctx) }()
}

// startSuccessor starts the program with copies of all listening sockets.
func (g *gateway) startSuccessor(ctx context.Context) (*handoff.Child, error) {
	listeners, err := g.server.Sockets(ctx)
	if err != nil {
		return nil, err
	}
	defer proxy.CloseSockets(listeners)
	adminFD, err := g.admin.Socket()
	if err != nil {
		return nil, err
	}
	defer syscall.Close(adminFD)
	address, err := proxy.ParseListenAddress(g.config.Admin.Address)
	if err != nil {
		return nil, err
	}
	sockets := []handoff.Socket{{Name: adminSocket(address), FD: adminFD}}
	for _, l := range listeners {
		sockets = append(sockets, handoff.Socket{Name: listenerPrefix + l.Addr.String(), FD: l.FD})
	}
	notes := map[string]string{}
	if g.embedded != nil {
		notes[noteEtcd] = g.embedded.dir
	}
	return g.program.Start(sockets, notes)
}

// endUpgrade reports whether the new process serves.
func (g *gateway) endUpgrade(u *upgrade, err error) bool {
	took, child := time.Since(u.begun), u.child
	u.cancel()
	*u = upgrade{}
	if err != nil {
		g.log.Error("upgrade failed: this process goes on", "error", err)
		return false
	}
	g.log.Info("upgraded: the new process serves", "pid", child.PID(), "took", took.Round(time.Millisecond).String())
	return true
}

// abort ends an upgrade that is under way, since this process is to end: whoever wants that wants no other one in its place.
func (u *upgrade) abort() {
	if u.done == nil {
		return
	}
	u.cancel()
	if err := <-u.done; err == nil {
		u.child.Terminate() // it was ready in the same moment
	}
}

// handOver ends this process, in whose place another one serves: it waits for its clients without haste, until a signal comes. See [proxy.Server.HandOver].
func (g *gateway) handOver(signals <-chan os.Signal) {
	ctx := context.Background()
	g.admin.Retire()
	if g.embedded != nil {
		g.embedded.handOver()
	}
	g.drain(ctx, signals, g.server.HandOver, g.server.Drain)
	g.close(ctx)
}
