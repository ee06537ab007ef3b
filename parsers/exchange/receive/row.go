package receive

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/address"
	"github.com/harvestwatch/harvestwatch/parsers/csvlog"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

// op is what a row is about.
type op uint8

const (
	opConnect    op = iota // +
	opDisconnect           // -
	opCommand              // <, with a verb
	opReply                // >, with a class
	opUser                 // *, the name of who tries to authenticate
)

// What a row says beside it.
const (
	rowHub      uint8 = 1 << iota // the local port is one that only front ends of the site use
	rowInner                      // the local port is one that other servers of the site use, and may be anybody's
	rowSelf                       // the remote address is the local one
	rowNull                       // a MAIL command has the null reverse path
	rowNameless                   // the session has no id, or nothing but zeros for it
)

// row is a row taken apart. Its texts are borrowed from the Lines.
type row struct {
	at     int64
	key    uint64 // the session
	copy   uint64 // the same in a row that was written twice; 0 where the log doesn't number its rows
	remote address.IP
	// text is a command's path or HELO name, what parseProxy leaves, a name to authenticate as, a message's id, or for a
	// failed authentication the connector.
	text   []byte
	status harvestwatch.Enhanced
	code   uint16
	verbs  verbs // of a command, its own; of a reply, those it can answer
	op     op
	class  class // of a reply
	flags  uint8
}

// readRow takes a row apart.
func readRow(c *csvlog.Cols, r *row, scratch *[]byte) csvlog.Verdict {
	event, data := c.Get(colEvent), c.Get(colData)
	at, ok := csvlog.Stamp(c.Get(colTime))
	if !ok || c.Torn() || event == nil || data == nil || len(event) > 1 {
		return csvlog.Unparsed
	}
	if len(event) == 0 || event[0] == '*' {
		if !r.info(data, c.Get(colContext), scratch) {
			return csvlog.Ignored
		}
	} else if v := r.spoken(event[0], data, scratch); v != csvlog.Kept {
		return v
	}
	remote := c.Get(colRemote)
	if len(remote) == 0 {
		return csvlog.Ignored // nobody to tell of
	}
	if r.remote, _, ok = address.Endpoint(remote); !ok {
		return csvlog.Unparsed
	}
	r.at = at
	r.flags |= ports(c.Get(colLocal), remote)
	connector := c.Get(colConnector)
	if r.class == authFailed && r.op == opReply {
		r.text = connector
	}
	server, _, _ := bytes.Cut(connector, []byte{'\\'})
	// Ids are unique on one server at most, and zero where somebody made a log nameless.
	session := c.Get(colSession)
	r.key = hash(hash(hash(0, server), session), remote) | 1
	if len(bytes.TrimLeft(session, "0")) == 0 {
		r.flags |= rowNameless
	}
	if sequence := c.Get(colSequence); len(sequence) > 0 {
		r.copy = hash(hash(uint64(r.op)^uint64(at), sequence), data) | 1
	}
	return csvlog.Kept
}

// spoken reads what passed between the two.
func (r *row) spoken(event byte, data []byte, scratch *[]byte) csvlog.Verdict {
	switch event {
	case '+':
		r.op = opConnect
	case '-':
		r.op = opDisconnect
	case '<':
		if bytes.HasPrefix(data, []byte("<auth")) {
			return csvlog.Ignored // stands for a line of an AUTH exchange, which is no command
		}
		r.op = opCommand
		r.command(data, scratch)
	case '>':
		r.op = opReply
		return r.reply(data, scratch)
	default:
		return csvlog.Unparsed
	}
	return csvlog.Kept
}

// info reads a row of information, and reports whether it names who tries to authenticate. All others are the
// server's notes about what other rows tell: tarpits, permissions, the reason of a failure.
func (r *row) info(data, context []byte, scratch *[]byte) bool {
	r.op = opUser
	if string(context) == "authenticated" {
		r.text = site.Cut(data, scratch)
		return len(data) > 0
	}
	if len(data) > 0 || len(context) < 9 || context[0] != 'U' {
		return false
	}
	name, ok := bytes.CutPrefix(context, []byte("User Name:"))
	if !ok {
		name, ok = bytes.CutPrefix(context, []byte("Username:"))
	}
	if name = bytes.TrimSpace(name); string(name) != "NULL" {
		r.text = site.Cut(name, scratch)
	}
	return ok
}

// ports tells what the local endpoint says about who speaks there.
func ports(local, remote []byte) (flags uint8) {
	l, r := bytes.LastIndexByte(local, ':'), bytes.LastIndexByte(remote, ':')
	if l < 0 {
		return 0
	}
	switch string(local[l+1:]) {
	case "2525":
		flags = rowHub
	case "465", "475", "717":
		flags = rowInner
	}
	if r >= 0 && bytes.Equal(local[:l], remote[:r]) {
		flags |= rowSelf
	}
	return flags
}

// hash adds bytes to a hash of rows and sessions. It is the same in every run, since sessions are stored under it.
func hash(h uint64, b []byte) uint64 {
	h ^= uint64(len(b)) << 56
	for ; len(b) >= 8; b = b[8:] {
		h = mix(h ^ binary.LittleEndian.Uint64(b))
	}
	tail := uint64(0)
	for _, c := range b {
		tail = tail<<8 | uint64(c)
	}
	return mix(h ^ tail)
}

func mix(x uint64) uint64 {
	hi, lo := bits.Mul64(x^0x9e3779b97f4a7c15, 0xd6e8feb86659fd93)
	return hi ^ lo
}
