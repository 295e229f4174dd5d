package network

import (
	"errors"
	"net"
	"syscall"
	"time"
)

// ipBindAddressNoPort is IP_BIND_ADDRESS_NO_PORT of ip(7), which package syscall does not name.
const ipBindAddressNoPort = 24

// From returns a dialer whose connections come from an address of this machine, for tools that need more connections than one address has ports: 28,000 or so
// (net.ipv4.ip_local_port_range) for one address and port at the other end, those that still wait for their last packets included. The port is chosen at connect, when it is known to whom; one
// chosen at bind would be taken for all destinations.
func From(ip net.IP) *net.Dialer {
	return &net.Dialer{
		Timeout: 10 * time.Second, KeepAlive: -1, LocalAddr: &net.TCPAddr{IP: ip},
		Control: func(_, _ string, c syscall.RawConn) error {
			var err error
			ctlErr := c.Control(func(fd uintptr) {
				err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, ipBindAddressNoPort, 1)
			})
			return errors.Join(ctlErr, err)
		},
	}
}
