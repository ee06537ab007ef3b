package postfix

import (
	"encoding/binary"
	"net/netip"

	"github.com/harvestwatch/harvestwatch"
)

// ip is an address without pointers: IPv6, or IPv4 as IPv4-mapped IPv6. The zero ip is none.
type ip struct{ hi, lo uint64 }

const mapped = 0xffff << 32 // the upper half of lo in an IPv4-mapped address

func (a ip) none() bool { return a == ip{} }

func (a ip) is4() bool { return a.hi == 0 && a.lo>>32 == 0xffff }

// addr returns the address as the root package has it.
func (a ip) addr() harvestwatch.Addr {
	if a.none() {
		return harvestwatch.Addr{}
	}
	if a.is4() {
		return netip.AddrFrom4([4]byte{byte(a.lo >> 24), byte(a.lo >> 16), byte(a.lo >> 8), byte(a.lo)})
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], a.hi)
	binary.BigEndian.PutUint64(b[8:], a.lo)
	return netip.AddrFrom16(b)
}

// loopback reports whether it is 127.0.0.0/8 or ::1.
func (a ip) loopback() bool {
	return a.is4() && byte(a.lo>>24) == 127 || a == ip{0, 1}
}

// private reports whether nobody outside can have it: loopback, link-local, RFC 1918, RFC 4193.
func (a ip) private() bool {
	if !a.is4() {
		return a == ip{0, 1} || a.hi>>57 == 0xfc>>1 || a.hi>>54 == 0xfe80>>6
	}
	v := uint32(a.lo)
	return v>>24 == 127 || v>>24 == 10 || v>>20 == 172<<4|1 || v>>16 == 192<<8|168 || v>>16 == 169<<8|254
}

// parseIP reads an address as a whole. A zone ("%eth0") is cut off.
func parseIP(b []byte) (ip, bool) {
	if a, ok := parseIP4(b); ok {
		return a, true
	}
	return parseIP6(b)
}

// parseIP4 reads four decimal numbers without leading zeros, and nothing behind them.
func parseIP4(b []byte) (ip, bool) {
	a, n := prefixIP4(b)
	return a, n > 0 && n == len(b)
}

// prefixIP4 reads the IPv4 address that b begins with, as far as digits and dots reach, and returns its length, or 0.
func prefixIP4(b []byte) (ip, int) {
	v, octet, n, dots, i := uint64(0), uint64(0), 0, 0, 0
	for ; i < len(b); i++ {
		c := b[i]
		if d := c - '0'; d < 10 {
			if n > 0 && octet == 0 {
				return ip{}, 0
			}
			octet = octet*10 + uint64(d)
			if n++; octet > 255 {
				return ip{}, 0
			}
			continue
		}
		if c != '.' {
			break
		}
		if n == 0 || dots == 3 {
			return ip{}, 0
		}
		v, octet, n = v<<8|octet, 0, 0
		dots++
	}
	if dots != 3 || n == 0 {
		return ip{}, 0
	}
	return ip{0, mapped | v<<8 | octet}, i
}

// parseIP6 reads what RFC 4291 section 2.2 allows.
func parseIP6(b []byte) (ip, bool) {
	for i, c := range b {
		if c == '%' && i > 1 && i+1 < len(b) {
			b = b[:i]
			break
		}
	}
	var groups [8]uint16
	n, gap := 0, -1
	if len(b) >= 2 && b[0] == ':' && b[1] == ':' {
		gap, b = 0, b[2:]
	}
	for len(b) > 0 {
		if n == 8 {
			return ip{}, false
		}
		v, digits := hex(b)
		if digits < len(b) && b[digits] == '.' {
			a, ok := parseIP4(b)
			if !ok || n > 6 {
				return ip{}, false
			}
			groups[n], groups[n+1] = uint16(a.lo>>16), uint16(a.lo)
			n += 2
			break
		}
		if digits == 0 || digits > 4 {
			return ip{}, false
		}
		groups[n] = v
		n++
		if b = b[digits:]; len(b) == 0 {
			break
		}
		if b[0] != ':' || len(b) == 1 {
			return ip{}, false
		}
		if b = b[1:]; b[0] == ':' {
			if gap >= 0 {
				return ip{}, false
			}
			gap, b = n, b[1:]
		}
	}
	return join(groups, n, gap)
}

// join fills the gap that "::" left and puts the groups together.
func join(groups [8]uint16, n, gap int) (ip, bool) {
	if gap < 0 && n != 8 || gap >= 0 && n == 8 {
		return ip{}, false
	}
	if gap >= 0 {
		var full [8]uint16
		copy(full[:], groups[:gap])
		copy(full[8-(n-gap):], groups[gap:n])
		groups = full
	}
	var a ip
	for i := range 4 {
		a.hi = a.hi<<16 | uint64(groups[i])
		a.lo = a.lo<<16 | uint64(groups[4+i])
	}
	return a, true
}

// hex returns the number that the hexadecimal digits at the beginning of b write, and how many they are, five at most.
func hex(b []byte) (v uint16, n int) {
	for n < len(b) && n < 5 {
		c := b[n]
		switch {
		case c-'0' < 10:
			v = v<<4 | uint16(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			v = v<<4 | uint16(c|0x20-'a'+10)
		default:
			return v, n
		}
		n++
	}
	return v, n
}

// client is a client as a template's fixed place names it.
type client struct {
	ip   ip
	port uint16
}

// namaddr reads NAMADDR at the beginning of b: name[address] or name[address]:port, where the name holds the bytes of
// a host name only, and returns what follows. The words unknown[unknown] give the zero client.
func namaddr(b []byte) (c client, rest []byte, ok bool) {
	i := 0
	for i < len(b) && nameByte[b[i]] {
		i++
	}
	if i == 0 {
		return client{}, nil, false
	}
	return bracketed(b[i:])
}

// bracketed reads [address] or [address]:port, as postscreen names a client.
func bracketed(b []byte) (c client, rest []byte, ok bool) {
	if len(b) < 4 || b[0] != '[' {
		return client{}, nil, false
	}
	a, i := prefixIP4(b[1:])
	c.ip = a
	if i++; i == 1 || i == len(b) || b[i] != ']' {
		for i = 1; i < len(b) && i < 64 && b[i] != ']'; i++ {
		}
		if i == len(b) || b[i] != ']' {
			return client{}, nil, false
		}
		if c.ip, ok = parseIP6(b[1:i]); !ok && string(b[1:i]) != "unknown" {
			return client{}, nil, false
		}
	}
	rest = b[i+1:]
	if len(rest) > 1 && rest[0] == ':' && rest[1]-'0' < 10 {
		n, port := 1, uint32(0)
		for n < len(rest) && n < 6 && rest[n]-'0' < 10 {
			port = port*10 + uint32(rest[n]-'0')
			n++
		}
		c.port, rest = uint16(port), rest[n:]
	}
	return c, rest, true
}

// nameByte holds the bytes of a verified host name: Postfix logs no other as a client's name.
var nameByte = func() (t [256]bool) {
	for c := range t {
		t[c] = c-'0' < 10 && c >= '0' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '.' || c == '_'
	}
	return t
}()
