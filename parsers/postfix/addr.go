package postfix

import "github.com/harvestwatch/harvestwatch/parsers/address"

// ip is a client's address.
type ip = address.IP

// client is a client as a template's fixed place names it.
type client struct {
	ip    ip
	port  uint16
	named uint8 // the length of the host name in front of the address; 0 for none
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
	c, rest, ok = bracketed(b[i:])
	if i <= maxName && !c.ip.None() {
		c.named = uint8(i)
	}
	return c, rest, ok
}

// maxName is the length of the longest host name (RFC 1035 section 2.3.4, as Postfix counts it).
const maxName = 255

// verified reports whether what stands in front of a client's address, not nothing, is a name that Postfix verified. It writes the
// word unknown unless the address leads to the name and the name back to the address (smtpd_peername_lookup in
// postconf(5)), and lets nothing but host names stand there; so a name of any other form was written by another program.
func verified(name []byte) bool {
	return nameEnd(name[0]) && nameEnd(name[len(name)-1]) && string(name) != "unknown"
}

// nameEnd reports whether a host name may begin or end with a byte.
func nameEnd(c byte) bool { return c != '-' && c != '.' }

// bracketed reads [address] or [address]:port, as postscreen names a client.
func bracketed(b []byte) (c client, rest []byte, ok bool) {
	if len(b) < 4 || b[0] != '[' {
		return client{}, nil, false
	}
	a, i := address.Prefix4(b[1:])
	c.ip = a
	if i++; i == 1 || i == len(b) || b[i] != ']' {
		for i = 1; i < len(b) && i < 64 && b[i] != ']'; i++ {
		}
		if i == len(b) || b[i] != ']' {
			return client{}, nil, false
		}
		if c.ip, ok = address.Parse(b[1:i]); !ok && string(b[1:i]) != "unknown" {
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
