package postfix

import "github.com/harvestwatch/harvestwatch/parsers/address"

// ip is a client's address.
type ip = address.IP

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
