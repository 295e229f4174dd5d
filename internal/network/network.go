// Package network reads networks as configurations write them.
package network

import "net/netip"

// Parse reads a CIDR, or an address, which is a network of one. Addresses of IPv4 that are written in IPv6 are IPv4, as those of clients are; bits behind the length do not count. It reports
// false for anything else, a zone included: no client can be told by one.
func Parse(text string) (netip.Prefix, bool) {
	if ip, err := netip.ParseAddr(text); err == nil && ip.Zone() == "" {
		ip = ip.Unmap()
		return netip.PrefixFrom(ip, ip.BitLen()), true
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, false
	}
	if ip := prefix.Addr(); ip.Is4In6() {
		if prefix.Bits() < mappedBits {
			return netip.Prefix{}, false // a part of IPv6 that is more than IPv4
		}
		prefix = netip.PrefixFrom(ip.Unmap(), prefix.Bits()-mappedBits)
	}
	return prefix.Masked(), true
}

// mappedBits is how long ::ffff:0:0 is, below which IPv6 has the addresses of IPv4 (RFC 4291 §2.5.5.2).
const mappedBits = 96
