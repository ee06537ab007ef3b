// Package address reads clients' addresses from the bytes of log lines, without allocating. It decides what is an
// address and nothing else; which place of a line may hold one is the parsers' knowledge.
package address

import (
	"bytes"
	"encoding/binary"
	"net/netip"

	"github.com/harvestwatch/harvestwatch"
)

// IP is an address without pointers: IPv6, or IPv4 as IPv4-mapped IPv6 (RFC 4291 section 2.5.5.2). The zero IP is none.
type IP struct{ Hi, Lo uint64 }

const mapped = 0xffff << 32 // the upper half of lo in an IPv4-mapped address

// None reports whether it is no address.
func (a IP) None() bool { return a == IP{} }

// Is4 reports whether it is an IPv4 address.
func (a IP) Is4() bool { return a.Hi == 0 && a.Lo>>32 == 0xffff }

// Of returns the IP of an address of the root package; the zero Addr gives the zero IP.
func Of(a harvestwatch.Addr) IP {
	if !a.IsValid() {
		return IP{}
	}
	b := a.As16()
	return IP{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// Addr returns the address as the root package has it.
func (a IP) Addr() harvestwatch.Addr {
	if a.None() {
		return harvestwatch.Addr{}
	}
	if a.Is4() {
		return netip.AddrFrom4([4]byte{byte(a.Lo >> 24), byte(a.Lo >> 16), byte(a.Lo >> 8), byte(a.Lo)})
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], a.Hi)
	binary.BigEndian.PutUint64(b[8:], a.Lo)
	return netip.AddrFrom16(b)
}

// Append appends the address's sixteen bytes.
func (a IP) Append(b []byte) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, a.Hi), a.Lo)
}

// Loopback reports whether it is 127.0.0.0/8 or ::1.
func (a IP) Loopback() bool {
	return a.Is4() && byte(a.Lo>>24) == 127 || a == IP{0, 1}
}

// Private reports whether nobody outside can have it: loopback, link-local, RFC 1918, RFC 4193.
func (a IP) Private() bool {
	if !a.Is4() {
		return a == IP{0, 1} || a.Hi>>57 == 0xfc>>1 || a.Hi>>54 == 0xfe80>>6
	}
	v := uint32(a.Lo)
	return v>>24 == 127 || v>>24 == 10 || v>>20 == 172<<4|1 || v>>16 == 192<<8|168 || v>>16 == 169<<8|254
}

// Parse reads an address as a whole, without allocating. A zone ("%eth0") is cut off.
func Parse(b []byte) (IP, bool) {
	if a, ok := parse4(b); ok {
		return a, true
	}
	return parse6(b)
}

// parse4 reads four decimal numbers without leading zeros, and nothing behind them.
func parse4(b []byte) (IP, bool) {
	a, n := Prefix4(b)
	return a, n > 0 && n == len(b)
}

// Prefix4 reads the IPv4 address that b begins with, as far as digits and dots reach, and returns its length, or 0.
func Prefix4(b []byte) (IP, int) {
	v, octet, n, dots, i := uint64(0), uint64(0), 0, 0, 0
	for ; i < len(b); i++ {
		c := b[i]
		if d := c - '0'; d < 10 {
			if n > 0 && octet == 0 {
				return IP{}, 0
			}
			octet = octet*10 + uint64(d)
			if n++; octet > 255 {
				return IP{}, 0
			}
			continue
		}
		if c != '.' {
			break
		}
		if n == 0 || dots == 3 {
			return IP{}, 0
		}
		v, octet, n = v<<8|octet, 0, 0
		dots++
	}
	if dots != 3 || n == 0 {
		return IP{}, 0
	}
	return IP{0, mapped | v<<8 | octet}, i
}

// parse6 reads what RFC 4291 section 2.2 allows.
func parse6(b []byte) (IP, bool) {
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
			return IP{}, false
		}
		v, digits := hex(b)
		if digits < len(b) && b[digits] == '.' {
			a, ok := parse4(b)
			if !ok || n > 6 {
				return IP{}, false
			}
			groups[n], groups[n+1] = uint16(a.Lo>>16), uint16(a.Lo)
			n += 2
			break
		}
		if digits == 0 || digits > 4 {
			return IP{}, false
		}
		groups[n] = v
		n++
		if b = b[digits:]; len(b) == 0 {
			break
		}
		if b[0] != ':' || len(b) == 1 {
			return IP{}, false
		}
		if b = b[1:]; b[0] == ':' {
			if gap >= 0 {
				return IP{}, false
			}
			gap, b = n, b[1:]
		}
	}
	return join(groups, n, gap)
}

// join fills the gap that "::" left and puts the groups together.
func join(groups [8]uint16, n, gap int) (IP, bool) {
	if gap < 0 && n != 8 || gap >= 0 && n == 8 {
		return IP{}, false
	}
	if gap >= 0 {
		var full [8]uint16
		copy(full[:], groups[:gap])
		copy(full[8-(n-gap):], groups[gap:n])
		groups = full
	}
	var a IP
	for i := range 4 {
		a.Hi = a.Hi<<16 | uint64(groups[i])
		a.Lo = a.Lo<<16 | uint64(groups[4+i])
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

// Endpoint reads an address with a port behind it, as Windows writes both: 192.0.2.1:25, [2001:db8::1]:25, and what
// older servers write, 2001:db8::1:25 without brackets, where the port is what follows the last colon. An address
// alone, bracketed or not, is taken too where it can't be an address with a port; its port is 0.
func Endpoint(b []byte) (a IP, port uint16, ok bool) {
	if len(b) > 0 && b[0] == '[' {
		i := bytes.IndexByte(b, ']')
		if i < 0 {
			return IP{}, 0, false
		}
		if a, ok = Parse(b[1:i]); !ok || i+1 == len(b) {
			return a, 0, ok
		}
		port, ok = decimal(b[i+2:])
		return a, port, ok && b[i+1] == ':'
	}
	if a, n := Prefix4(b); n > 0 {
		if n == len(b) {
			return a, 0, true
		}
		port, ok = decimal(b[n+1:])
		return a, port, ok && b[n] == ':'
	}
	i := bytes.LastIndexByte(b, ':')
	if i < 0 {
		return IP{}, 0, false
	}
	if port, ok = decimal(b[i+1:]); ok {
		if a, ok = Parse(b[:i]); ok {
			return a, port, true
		}
	}
	a, ok = Parse(b)
	return a, 0, ok
}

// decimal reads a port.
func decimal(b []byte) (uint16, bool) {
	n := uint32(0)
	for _, c := range b {
		if c-'0' >= 10 || n > 65535 {
			return 0, false
		}
		n = n*10 + uint32(c-'0')
	}
	return uint16(n), len(b) > 0 && n <= 65535
}
