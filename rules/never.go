package rules

import (
	"net/netip"
	"slices"
)

// Network is a prefix that is never blocked, and why.
type Network struct {
	Prefix netip.Prefix // an invalid one matches nothing: who reads configuration refuses it
	Name   string       // for the decision's reason: "office", "backup MX"; it comes from the administrator, not from a log
}

// NeverList knows which prefixes are never blocked. It is read only and may be shared. Both who decides (Judge) and who
// puts blocks into effect ask it, so that no race and no wide prefix gets around it.
type NeverList struct {
	list []Network
}

// builtin are addresses that never stand for one host on the public Internet. The documentation ranges (RFC 5737,
// RFC 3849) and 240.0.0.0/4 are not among them: to the detector they are ordinary addresses.
var builtin = []struct{ prefix, name string }{
	{"0.0.0.0/8", "this host (RFC 1122)"},
	{"10.0.0.0/8", "private use (RFC 1918)"},
	{"100.64.0.0/10", "shared behind a provider's translator (RFC 6598)"},
	{"127.0.0.0/8", "loopback (RFC 1122)"},
	{"169.254.0.0/16", "link-local (RFC 3927)"},
	{"172.16.0.0/12", "private use (RFC 1918)"},
	{"192.168.0.0/16", "private use (RFC 1918)"},
	{"224.0.0.0/4", "multicast (RFC 5771)"},
	{"::/64", "unspecified and loopback (RFC 4291)"},
	{"64:ff9b::/64", "all of IPv4 behind a translator (RFC 6052)"},
	{"64:ff9b:1::/48", "IPv4 behind a local translator (RFC 8215)"},
	{"fc00::/7", "private use (RFC 4193)"},
	{"fe80::/10", "link-local (RFC 4291)"},
	{"ff00::/8", "multicast (RFC 4291)"},
}

// Never returns the list of what is built in, and the given networks.
func Never(extra ...Network) *NeverList {
	n := &NeverList{list: make([]Network, 0, len(builtin)+len(extra))}
	for _, b := range builtin {
		n.list = append(n.list, Network{netip.MustParsePrefix(b.prefix), b.name})
	}
	for _, e := range extra {
		n.list = append(n.list, Network{plain(e.Prefix), e.Name})
	}
	return n
}

// plain returns the prefix masked, and an IPv4-mapped one (RFC 4291 section 2.5.5.2) as the IPv4 prefix it is.
func plain(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked()
}

// Overlaps says whether the prefix and a network of the list have an address in common, whichever is the wider, and
// that network's name.
func (n *NeverList) Overlaps(p netip.Prefix) (name string, ok bool) {
	p = plain(p)
	for _, e := range n.list {
		if e.Prefix.Overlaps(p) {
			return e.Name, true
		}
	}
	return "", false
}

// Networks returns a copy of the list, what is built in first.
func (n *NeverList) Networks() []Network { return slices.Clone(n.list) }
