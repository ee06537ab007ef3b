// Package twin names the deeds that several logs of an Exchange site tell, each in its own words, so that each is
// counted once: it makes the hashes for Event.Twin and Event.Join. It reads no log and decides nothing.
package twin

import (
	"bytes"
	"math/bits"

	"github.com/harvestwatch/harvestwatch/parsers/address"
	"github.com/harvestwatch/harvestwatch/parsers/csvlog"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

// Recipient is the twin of what was answered to a client about a recipient, given without angle brackets; it may be
// empty, where the client or the sender was refused.
func Recipient(ip address.IP, rcpt []byte) uint64 {
	return by(ip, csvlog.Hash([]byte("rcpt"), bounded(rcpt)))
}

// Auth is the twin of an authentication that failed. server may be the host's name with or without its domain;
// connector is the connector's name, without the server's.
func Auth(ip address.IP, server, connector []byte) uint64 {
	host, _, _ := bytes.Cut(server, []byte{'.'})
	return by(ip, csvlog.Hash([]byte("auth"), host, bytes.TrimSpace(connector)))
}

// Message is the twin of a message that was taken in from a client. id may stand in angle brackets.
func Message(ip address.IP, id []byte) uint64 {
	return by(ip, csvlog.Hash([]byte("message"), bare(id)))
}

// Spam is the twin of a message that was refused for its contents. sender stands without angle brackets; it is empty
// for the null reverse path.
func Spam(ip address.IP, sender []byte) uint64 {
	return by(ip, csvlog.Hash([]byte("spam"), bounded(sender)))
}

// Join is what the lines about one message have in common. id may stand in angle brackets.
func Join(id []byte) uint64 {
	return csvlog.Hash([]byte("join"), bare(id))
}

// bare takes the angle brackets off a message's id.
func bare(id []byte) []byte {
	if n := len(id); n > 1 && id[0] == '<' && id[n-1] == '>' {
		id = id[1 : n-1]
	}
	return bounded(id)
}

// bounded returns a text as events have it, so that it makes no difference whether it was cut before.
func bounded(text []byte) []byte {
	var scratch []byte
	return site.Cut(text, &scratch)
}

// by adds the client to a hash. The address goes in as numbers: as bytes, some would be taken for letters, whose case
// doesn't count.
func by(ip address.IP, h uint64) uint64 {
	for _, x := range [2]uint64{ip.Hi, ip.Lo} {
		hi, lo := bits.Mul64(h^x, 0x9e3779b97f4a7c15)
		h = bits.RotateLeft64(hi^lo, 32) + 0xd6e8feb86659fd93
	}
	return max(h, 1)
}
