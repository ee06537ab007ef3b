package receive

import (
	"bytes"
	"encoding/binary"

	"github.com/harvestwatch/harvestwatch/parsers/address"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

// proxied is what a front end said about the client whose commands follow.
type proxied struct {
	ip   address.IP // none where it can't be told
	sid  uint64     // a hash of the id of the session with the front end
	helo []byte
	user []byte // as whom the client has authenticated
}

// parseProxy reads "SID=08D3E5F6A7B8C9CF IP=203.0.113.77 PORT=40112 DOMAIN=friend SEQNUM=1" and leaves it in scratch,
// for readProxy. The keys may come in any order. What stands behind DOMAIN= may have been written by the client: an IP=
// there is taken only where none stands before it, and of several only the front end's own.
func parseProxy(verb verbs, args []byte, scratch *[]byte) []byte {
	var p proxied
	var before proxyKeys // what stands before the client's text
	named, sure, ips := false, false, 0
	for rest := args; len(rest) > 0; {
		var field []byte
		field, rest = word(rest)
		key, value, _ := bytes.Cut(field, []byte{'='})
		if !named {
			before |= proxyKey(key, value)
		}
		switch {
		case fold(key, "IP"):
			if named && sure {
				continue
			}
			p.ip, sure = proxyIP(value), !named
			ips++
		case fold(key, "SID") && !named:
			p.sid = hash(0, value)
		case fold(key, "DOMAIN") && !named:
			p.helo, named = value, true
		case fold(key, "UNAME"):
			p.user = value
		}
	}
	if ips != 1 {
		p.ip = address.IP{}
		if verb == proxyFrom && named && !sure {
			p.ip = lastIP(args, before)
		}
	}
	p.helo, p.user = site.Cut(p.helo, scratch), site.Cut(p.user, scratch)
	start := len(*scratch)
	*scratch = p.append(*scratch)
	return (*scratch)[start:len(*scratch):len(*scratch)]
}

func proxyIP(value []byte) address.IP {
	ip, _ := address.Parse(bytes.TrimSuffix(bytes.TrimPrefix(value, []byte{'['}), []byte{']'}))
	return ip
}

// proxyKeys is a set of the keys that a front end writes in XPROXYFROM.
type proxyKeys uint8

const (
	keySID proxyKeys = 1 << iota
	keyIP
	keyPort
	keyDomain
	keySequence
	keyPermissions
	keySource
	neededKeys = keySID | keyIP | keyPort | keyDomain | keySequence
)

// proxyKey returns which key a field is; 0 for none, and for one whose value no front end writes.
func proxyKey(key, value []byte) proxyKeys {
	switch {
	case fold(key, "DOMAIN"):
		return keyDomain
	case len(value) == 0:
	case fold(key, "SID"):
		return keySID
	case fold(key, "IP"):
		return keyIP
	case fold(key, "AUTHSRC"):
		return keySource
	case len(bytes.Trim(value, "0123456789")) > 0:
	case fold(key, "PORT"):
		return keyPort
	case fold(key, "SEQNUM"):
		return keySequence
	case fold(key, "PERMS"):
		return keyPermissions
	}
	return 0
}

// lastIP finds the front end's own IP= behind the client's text, which may hold others. Of XPROXYFROM, the HELO name is
// all that the client wrote, so what follows it to the end is the front end's: fields with a key, none of them twice. The
// longest such end holds every shorter one, and the front end's. Its IP= is taken if PORT= follows, as front ends have
// it, and no key is missing; else nobody can tell.
func lastIP(args []byte, before proxyKeys) (ip address.IP) {
	args = bytes.TrimRight(args, " \t")
	seen, next := before, proxyKeys(0)
	for len(args) > 0 {
		i := bytes.LastIndexAny(args, " \t")
		key, value, _ := bytes.Cut(args[i+1:], []byte{'='})
		k := proxyKey(key, value)
		if k == 0 || seen&k != 0 {
			break
		}
		if k == keyIP && next == keyPort {
			ip = proxyIP(value)
		}
		seen, next = seen|k, k
		args = args[:max(i, 0)]
	}
	if seen&neededKeys != neededKeys {
		return address.IP{}
	}
	return ip
}

func (p *proxied) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(p.ip.Append(b), p.sid)
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(p.helo))), p.helo...)
	return append(b, p.user...)
}

// readProxy reads what append wrote; other bytes give a client that can't be told.
func readProxy(b []byte) (p proxied) {
	if len(b) < 26 {
		return p
	}
	helo := int(binary.BigEndian.Uint16(b[24:]))
	if len(b) < 26+helo {
		return p
	}
	p.ip = address.IP{Hi: binary.BigEndian.Uint64(b), Lo: binary.BigEndian.Uint64(b[8:])}
	p.sid, p.helo, p.user = binary.BigEndian.Uint64(b[16:]), b[26:26+helo], b[26+helo:]
	return p
}
