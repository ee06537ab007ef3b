package tracking

import (
	"bytes"

	"github.com/harvestwatch/harvestwatch/parsers/address"
	"github.com/harvestwatch/harvestwatch/parsers/csvlog"
)

var (
	proxiedAddress = []byte("S:ProxiedClientIPAddress=")
	proxiedName    = []byte("S:ProxiedClientHostname=")
	trustedOrg     = []byte("S:Oorg=")
)

// clientOf returns the address of the client that handed the message in; the zero address where the row names none. ok
// is false where what stands in the place is no address.
//
// It is original-client-ip, where the message entered the organization, and without that the client that a front end
// says it speaks for, in custom-data, or else the one that is connected. Only where another organization is trusted to
// tell where its mail came from (Oorg), original-client-ip is one of its clients, and ours is who is connected.
func clientOf(c *csvlog.Cols, scratch *[]byte) (ip address.IP, ok bool) {
	proxied, foreign := custom(c.Get(colCustom), scratch)
	if original := c.Get(colOriginal); len(original) > 0 && !foreign {
		if ip, ok = addressOf(original); !ok || !ip.None() {
			return ip, ok
		}
	}
	if len(proxied) > 0 {
		return addressOf(proxied)
	}
	return addressOf(c.Get(colClient))
}

// custom reads what a server added about the client. The client's own words, its name in HELO, follow the address; what
// comes after them is not read.
func custom(data []byte, scratch *[]byte) (proxied []byte, foreign bool) {
	if !bytes.Contains(data, proxiedAddress) && !bytes.Contains(data, trustedOrg) {
		return nil, false
	}
	csvlog.List(data, scratch, func(member []byte) bool {
		switch {
		case bytes.HasPrefix(member, proxiedName):
			return false
		case bytes.HasPrefix(member, proxiedAddress) && proxied == nil:
			proxied = member[len(proxiedAddress):]
		case bytes.HasPrefix(member, trustedOrg):
			foreign = true
		}
		return true
	})
	return proxied, foreign
}

// addressOf reads an address without a port. Nothing, 0.0.0.0 and :: are no address, and no mistake.
func addressOf(b []byte) (ip address.IP, ok bool) {
	if len(b) == 0 {
		return address.IP{}, true
	}
	ip, ok = address.Parse(b)
	if !ok {
		ip, _, ok = address.Endpoint(b)
	}
	if ip.Is4() && uint32(ip.Lo) == 0 {
		ip = address.IP{}
	}
	return ip, ok
}

// isServer reports whether a client is the server that wrote the row.
func isServer(ip address.IP, c *csvlog.Cols) bool {
	server, ok := address.Parse(c.Get(colServer))
	return ok && server == ip
}

// probe reports whether a list of addresses begins with one that Exchange's own monitoring uses.
func probe(b []byte) bool {
	b = bytes.TrimPrefix(b, []byte{'<'})
	return hasFold(b, "HealthMailbox") || hasFold(b, "inboundproxy@")
}

func hasFold(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && bytes.EqualFold(b[:len(prefix)], []byte(prefix))
}

// bare takes the angle brackets off a path.
func bare(b []byte) []byte {
	if n := len(b); n >= 2 && b[0] == '<' && b[n-1] == '>' {
		return b[1 : n-1]
	}
	return b
}

// word reports whether b consists of capital letters: so do the names of sources and events.
func word(b []byte) bool {
	for _, c := range b {
		if c-'A' >= 26 {
			return false
		}
	}
	return len(b) > 0
}

// decimal reports whether b is a number; nothing is taken for one.
func decimal(b []byte) bool {
	for _, c := range b {
		if c-'0' >= 10 {
			return false
		}
	}
	return true
}

// guid reports whether b is nothing, or can be an id that Exchange gives: 36 hexadecimal digits and dashes.
func guid(b []byte) bool {
	if len(b) == 0 {
		return true
	}
	for _, c := range b {
		if c != '-' && c-'0' >= 10 && c|0x20-'a' >= 6 {
			return false
		}
	}
	return len(b) == 36
}
