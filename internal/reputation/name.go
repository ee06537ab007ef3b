package reputation

import (
	"net/netip"
	"strings"
)

const (
	maxName  = 253 // of a host's name in its text form, without the last dot (RFC 1035 section 2.3.4)
	maxLabel = 63
)

// CleanName returns the host name in lower case and without its last dot. It reports false for what is no host name with
// at least two labels: a name is made of letters, digits, hyphens and underscores, 63 in a label and 253 with the dots at
// most, and does not end in a label of digits, as a written IPv4 address would. No name that passes can end a line, hide
// in a terminal or pose as an address.
func CleanName(name string) (string, bool) {
	name = strings.TrimSuffix(name, ".")
	if len(name) == 0 || len(name) > maxName {
		return "", false
	}
	labels := strings.Split(name, ".")
	for _, l := range labels {
		if !cleanLabel(l) {
			return "", false
		}
	}
	last := labels[len(labels)-1]
	if len(labels) < 2 || strings.Trim(last, "0123456789") == "" {
		return "", false
	}
	return strings.ToLower(name), true
}

func cleanLabel(l string) bool {
	if len(l) == 0 || len(l) > maxLabel {
		return false
	}
	for _, c := range []byte(l) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// plain returns the address as it is asked about: without a zone, and IPv4 where it was IPv4-mapped.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// reversed writes the address the way names below in-addr.arpa, ip6.arpa and a block list have it (RFC 5782 sections 2.1
// and 2.4), without a dot at the end: octets of IPv4, nibbles of IPv6, the last one first. An IPv4-mapped address is
// written as IPv6: it is what the test of a list's IPv6 side asks for.
func reversed(a netip.Addr) string {
	const hex = "0123456789abcdef"
	if a.Is4() {
		b := a.As4()
		return netip.AddrFrom4([4]byte{b[3], b[2], b[1], b[0]}).String()
	}
	b := a.As16()
	text := make([]byte, 0, 64)
	for i := len(b) - 1; i >= 0; i-- {
		text = append(text, hex[b[i]&15], '.', hex[b[i]>>4], '.')
	}
	return string(text[:len(text)-1])
}

// arpa returns the name that an address' PTR records stand at, with its last dot.
func arpa(a netip.Addr) string {
	if a.Is4() {
		return reversed(a) + ".in-addr.arpa."
	}
	return reversed(a) + ".ip6.arpa."
}
