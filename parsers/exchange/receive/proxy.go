package receive

import (
	"bytes"
	"encoding/binary"

	"github.com/harvestwatch/harvestwatch/parsers/address"
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
// there is taken only where none stands before it, and only one.
func parseProxy(args []byte, scratch *[]byte) []byte {
	var p proxied
	named, sure, ips := false, false, 0
	for len(args) > 0 {
		var field []byte
		field, args = word(args)
		key, value, _ := bytes.Cut(field, []byte{'='})
		switch {
		case fold(key, "IP"):
			if named && sure {
				continue
			}
			ip, _ := address.Parse(bytes.TrimSuffix(bytes.TrimPrefix(value, []byte{'['}), []byte{']'}))
			p.ip, sure = ip, !named
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
	}
	start := len(*scratch)
	*scratch = p.append(*scratch)
	return (*scratch)[start:len(*scratch):len(*scratch)]
}

func (p *proxied) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(p.ip.Append(b), p.sid)
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(cut(p.helo)))), cut(p.helo)...)
	return append(b, cut(p.user)...)
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
