package harvestwatch

import "net/netip"

// Addr is a client's address. The zero Addr is no address.
type Addr = netip.Addr

// Source is whose doing an event was: an IPv4 address, or the /64 of an IPv6 address, because one host commands all
// addresses of its /64 (RFC 6177). IPv4 stands in the low 32 bits, IPv6 as its upper 64 bits; no routable IPv6 prefix
// (2000::/3) collides with an IPv4 address so. The zero Source is none.
type Source uint64

// SourceOf returns the source of a client's address. IPv4-mapped IPv6 addresses (RFC 4291 section 2.5.5.2) are the
// IPv4 address they hold. It reports false for the zero Addr and for addresses that nothing can be sent from:
// 0.0.0.0 and all of ::/32, which would be taken for IPv4 addresses.
func SourceOf(a Addr) (Source, bool) {
	if a.Is4() || a.Is4In6() {
		b := a.As4()
		if a.Is4In6() {
			b = a.Unmap().As4()
		}
		s := Source(b[0])<<24 | Source(b[1])<<16 | Source(b[2])<<8 | Source(b[3])
		return s, s != 0
	}
	if !a.IsValid() {
		return 0, false
	}
	b := a.As16()
	var s Source
	for _, x := range b[:8] {
		s = s<<8 | Source(x)
	}
	return s, s > 1<<32-1
}

// Prefix returns the network that a block of the source covers: a /32 or a /64.
func (s Source) Prefix() netip.Prefix {
	if s <= 1<<32-1 {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(s >> 24), byte(s >> 16), byte(s >> 8), byte(s)}), 32)
	}
	var b [16]byte
	for i := range 8 {
		b[i] = byte(s >> (56 - 8*i))
	}
	return netip.PrefixFrom(netip.AddrFrom16(b), 64)
}

// String returns the IPv4 address, or the IPv6 prefix in the form 2001:db8:1:2::/64.
func (s Source) String() string {
	p := s.Prefix()
	if p.Addr().Is4() {
		return p.Addr().String()
	}
	return p.String()
}

// ParseSource reads what String writes, and any address or prefix that lies within one source.
func ParseSource(text string) (Source, bool) {
	if a, err := netip.ParseAddr(text); err == nil {
		return SourceOf(a.WithZone(""))
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return 0, false
	}
	s, ok := SourceOf(p.Addr())
	return s, ok && p.Bits() >= s.Prefix().Bits()
}
