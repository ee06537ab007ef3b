package postfix

import (
	"math"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/syslog"
)

// op says what the fold does with a token.
type op uint8

const (
	opUnparsed   op = iota // nobody understood the line
	opEvent                // one event of the token's kind
	opConnect              // smtpd: a session begins
	opDisconnect           // smtpd: it ends; fails holds the refused authentications
	opAuth                 // an authentication that failed, for the reason that kind says
	opClient               // a queue id is given: the message's client
	opPass                 // proxy-accept: the message that went on to a filter is one of this session's
	opFilter               // proxy-reject: an event whose client only the session knows
	opLocal                // pickup: a queue id without a client
	opFrom                 // qmgr: the sender
	opRemoved              // qmgr: the message is done with
	opSent                 // a delivery agent was told yes
	opBounced              // a delivery agent was told that there is no such user
	opSpam                 // a filter had the message thrown away
	opRefused              // cleanup refused the message: kind, or the zero kind for none
	opScreen               // postscreen: a session begins
	opScreenPass           // postscreen: it hands the session to smtpd
	opScreenEnd            // postscreen: it ends
)

// Flags of a token. What they say depends on the operation.
const (
	flagNull      = 1 << iota // the sender is <>
	flagSender                // the sender is known
	flagNoQueue               // NOQUEUE stands for the queue id
	flagOrig                  // orig names the client behind a content filter
	flagRelay                 // the relay is a loopback or private address
	flagDiscarded             // the filter says that it threw the message away
	flagIdle                  // a disconnect's counters hold no MAIL
	flagAuth                  // the message was sent by an authenticated client
)

// span is a stretch of the lines' data.
type span struct {
	off uint32
	len uint16
}

func (s span) of(data []byte) []byte {
	if s.off == 0 && s.len == 0 {
		return nil
	}
	return data[s.off : s.off+uint32(s.len) : s.off+uint32(s.len)]
}

// token is what Lex leaves of one line for the fold. It holds no pointer.
type token struct {
	stamp   syslog.Stamp
	session uint64 // host, program and process id, hashed
	ip      ip     // the client; for a delivery the relay
	orig    ip     // the client behind a content filter
	off     uint32 // where the line begins
	end     uint32 // where it ends
	line    uint32 // its number in the Lines, from 0
	host    uint32 // the host, hashed
	fails   uint32 // refused authentications in a disconnect's counters
	port    uint16
	code    uint16
	repeat  uint16 // how often the syslog daemon saw the line: 1 if it says nothing
	status  harvestwatch.Enhanced
	flags   uint8
	op      op
	kind    harvestwatch.Kind
	named   uint8 // the length of the client's verified name, 0 where there is none
	qid     span
	next    span // the queue id that the message goes on with
	sender  span
	rcpt    span
	helo    span
	user    span
	name    uint16 // where that name begins, from the line's beginning
}

// nameOf returns the client's verified name, nil where there is none.
func (t *token) nameOf(data []byte) []byte {
	if t.named == 0 {
		return nil
	}
	start := t.off + uint32(t.name)
	end := start + uint32(t.named)
	return data[start:end:end]
}

// lexed is what Lex leaves in Lines.Lexed.
type lexed struct {
	tokens  []token
	lines   int64
	foreign int64 // lines of other programs
	quiet   int64 // lines of Postfix that say nothing about a client
	arena   []byte
}

// lexer reads the lines of one Lines.
type lexer struct {
	data []byte
	out  *lexed
	line syslog.Line
	end  int    // where the text that is being read ends in data
	tok  *token // what is being made of it, in out.tokens
	host uint64 // the hash of hostText
	tag  uint64 // the hash of hostText and tagText

	// The previous line's, since neighbours mostly have the same.
	hostText, tagText []byte
	daemon            daemon
}

// span returns the stretch of n bytes at the beginning of b, which must reach to the end of the text.
func (x *lexer) span(b []byte, n int) span {
	return span{off: uint32(x.end - len(b)), len: uint16(min(n, math.MaxUint16))}
}

func has(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix
}

// cut removes prefix from the beginning of b.
func cut(b []byte, prefix string) ([]byte, bool) {
	if has(b, prefix) {
		return b[len(prefix):], true
	}
	return b, false
}

// hash mixes b into h. It is stable for ever: what it gives is stored.
func hash(h uint64, b []byte) uint64 {
	for len(b) >= 8 {
		h = mix(h ^ (uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
			uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56))
		b = b[8:]
	}
	v := uint64(len(b)) << 56
	for i, c := range b {
		v |= uint64(c) << (8 * i)
	}
	return mix(h ^ v)
}

// mix is the finalizer of MurmurHash3.
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
