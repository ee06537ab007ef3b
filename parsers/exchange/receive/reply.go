package receive

import (
	"bytes"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/csvlog"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

// class is what a reply says.
type class uint8

const (
	fine         class = iota // of no interest
	greeting                  // answers no command
	goOn                      // 354: the answer to DATA is to come
	senderOK                  // 2.1.0
	rcptOK                    // 2.1.5
	queued                    // the message was taken in
	chunkOK                   // a piece of it was, or all of it
	proxyOK                   // the server takes the client that a front end named
	authDone                  // 235
	authFailed                // 535, 504 5.7.4
	unknownUser               // 5.1.1, 5.1.10
	relayDenied               // the server doesn't take mail for there
	refused                   // by policy: client, sender or recipient
	policy                    // 5.7.x with other texts: refused, if it answers RCPT
	spam                      // the content filter's word
	limited                   // a limit that the client reached
	trouble                   // the server's own
	syntax                    // the client's command was wrong
	otherFailure              // says nothing that is told
)

// rule says which replies are of a class. The first that fits holds.
type rule struct {
	code   uint16 // the reply code, or its first digit, or 0 for any
	status packed // the enhanced status code (RFC 3463), with anything for what is missing at its end
	text   string // stands in the reply, in any case of letters; here in lower case
	class  class
	verbs  verbs // what such a reply answers; 0 where it answers no command
}

// packed is an enhanced status code with a mask of what is compared.
type packed struct{ value, mask uint32 }

func is(c, subject, detail uint32) packed { return packed{c<<20 | subject<<10 | detail, 1<<30 - 1} }
func in(c, subject uint32) packed         { return packed{c<<20 | subject<<10, 1<<30 - 1<<10} }

// none is no status at all; the zero packed fits any.
var none = packed{0, 1<<30 - 1}

// The rules for each first digit of a reply code.
var (
	rules2 = []rule{
		{250, is(2, 1, 5), "", rcptOK, rcpt},
		{250, is(2, 1, 0), "", senderOK, mail},
		{250, is(2, 6, 0), "queued mail", queued, data | last},
		{250, is(2, 6, 0), "[internalid=", queued, data | last},
		{250, is(2, 6, 0), "", chunkOK, bodies},
		{220, none, "", greeting, 0},
		{220, packed{}, "", fine, tls | peer},
		{221, packed{}, "", fine, quit},
		{235, packed{}, "", authDone, auth},
		{250, is(2, 0, 0), "resetting", fine, reset},
		{250, packed{}, "xproxyfrom accepted", proxyOK, proxyFrom},
		{2, packed{}, "", fine, anyVerb},
	}
	rules3 = []rule{
		{354, packed{}, "", goOn, data},
		{3, packed{}, "", greeting, 0},
	}
	rules4 = []rule{
		{0, packed{}, "concurrent server connections", trouble, 0},
		{0, packed{}, "concurrent connections", limited, 0},
		{421, is(4, 4, 2), "submission rate", limited, 0},
		{4, is(4, 4, 2), "submission rate", limited, anyVerb},
		{4, is(4, 5, 3), "", limited, rcpt},
		{421, is(4, 7, 0), "too many errors", limited, 0},
		{4, is(4, 7, 0), "timeout waiting for client", trouble, 0},
		{454, is(4, 7, 0), "", trouble, auth},
		{421, in(4, 3), "", trouble, 0},
		{421, in(4, 4), "", trouble, 0},
		{421, is(4, 7, 0), "", trouble, 0},
		{421, packed{}, "", otherFailure, 0},
		{4, in(4, 3), "", trouble, anyVerb},
		{4, in(4, 4), "", trouble, anyVerb},
		{4, is(4, 7, 0), "", trouble, anyVerb},
		{4, packed{}, "", otherFailure, anyVerb},
	}
	rules5 = []rule{
		{5, is(5, 1, 1), "", unknownUser, rcpt | bodies},
		{5, is(5, 1, 10), "", unknownUser, rcpt | bodies},
		{535, packed{}, "permanent server error", trouble, auth},
		{535, packed{}, "", authFailed, auth},
		{504, is(5, 7, 4), "", authFailed, auth},
		{530, packed{}, "", refused, anyVerb},
		{500, packed{}, "", syntax, anyVerb},
		{501, packed{}, "", syntax, anyVerb},
		{502, packed{}, "", syntax, anyVerb},
		{503, packed{}, "", syntax, anyVerb},
		{504, packed{}, "", syntax, anyVerb},
		{5, is(5, 7, 54), "", relayDenied, rcpt},
		{5, is(5, 7, 64), "", relayDenied, anyVerb},
		{5, in(5, 7), "unable to relay", relayDenied, rcpt},
		{5, in(5, 7), "relay access denied", relayDenied, anyVerb},
		{5, in(5, 7), "rejected as spam", spam, bodies},
		{5, in(5, 7), "content filter", spam, bodies},
		{5, is(5, 7, 57), "", refused, anyVerb},
		{5, is(5, 7, 60), "", refused, anyVerb},
		{5, in(5, 7), "block list", refused, anyVerb},
		{5, in(5, 7), "permissions to s", refused, anyVerb},
		{5, in(5, 7), "", policy, anyVerb},
		{5, is(5, 1, 0), "sender denied", refused, anyVerb},
		{5, in(5, 5), "", syntax, anyVerb},
		{5, in(5, 1), "user unknown", unknownUser, rcpt | bodies},
		{5, in(5, 1), "recipientnotfound", unknownUser, rcpt | bodies},
		{5, in(5, 1), "recipnotfound", unknownUser, rcpt | bodies},
		{5, none, "user unknown", unknownUser, rcpt | bodies},
		{5, none, "recipientnotfound", unknownUser, rcpt | bodies},
		{5, none, "recipnotfound", unknownUser, rcpt | bodies},
		{5, none, "unable to relay", relayDenied, rcpt},
		{5, packed{}, "", otherFailure, anyVerb},
	}
)

// rulesOf are the rules by the first digit of the reply code.
var rulesOf = [6][]rule{2: rules2, 3: rules3, 4: rules4, 5: rules5}

// reply reads what the server said.
func (r *row) reply(line []byte, scratch *[]byte) csvlog.Verdict {
	if len(line) > 4 && line[3] == '-' {
		line = lastLine(line)
	}
	if len(line) < 3 || len(line) > 3 && line[3] != ' ' && line[3] != '-' {
		return csvlog.Unparsed
	}
	for i, c := range line[:3] {
		if c-'0' > 9 || i == 0 && (c < '2' || c > '5') {
			return csvlog.Unparsed
		}
		r.code = r.code*10 + uint16(c-'0')
	}
	if len(line) > 3 && line[3] == '-' || r.code == 334 {
		return csvlog.Ignored // the rest is to come, or what a client must say to it isn't logged as a command
	}
	text := bytes.TrimLeft(line[3:], " ")
	status := r.enhanced(text)
	for i := range rulesOf[r.code/100] {
		if x := &rulesOf[r.code/100][i]; x.fits(r.code, status, text) {
			r.class, r.verbs = x.class, x.verbs
			break
		}
	}
	if r.class == queued || r.class == chunkOK {
		r.text = messageID(text, scratch)
	}
	return csvlog.Kept
}

func (x *rule) fits(code uint16, status uint32, text []byte) bool {
	return (x.code == code || x.code == code/100 || x.code == 0) && status&x.status.mask == x.status.value &&
		(x.text == "" || contains(text, x.text))
}

// lastLine returns the last line of a reply that was written as one row, with its line feeds as \n.
func lastLine(line []byte) []byte {
	if i := bytes.LastIndex(line, []byte(`\n`)); i >= 0 && len(line) >= i+5 && bytes.Equal(line[i+2:i+5], line[:3]) {
		return line[i+2:]
	}
	return line
}

// enhanced reads the enhanced status code that a text begins with, and returns it in the form of packed; 0 for none.
func (r *row) enhanced(text []byte) uint32 {
	var n [3]uint32
	i := 0
	for part := range n {
		start := i
		for i < len(text) && text[i]-'0' <= 9 {
			n[part] = n[part]*10 + uint32(text[i]-'0')
			i++
		}
		if i == start || i > start+3 {
			return 0
		}
		if part < 2 {
			if i == len(text) || text[i] != '.' {
				return 0
			}
			i++
		}
	}
	if i < len(text) && text[i] != ' ' && text[i] != ';' || n[0] < 2 || n[0] > 5 {
		return 0
	}
	r.status = harvestwatch.Enhanced{uint16(n[0]), uint16(n[1]), uint16(n[2])}
	return n[0]<<20 | n[1]<<10 | n[2]
}

// contains reports whether b holds text, which stands in lower case, in any case of letters.
func contains(b []byte, text string) bool {
	for first := text[0]; len(b) >= len(text); b = b[1:] {
		if lower(b[0]) != first {
			continue
		}
		n := 1
		for n < len(text) && lower(b[n]) == text[n] {
			n++
		}
		if n == len(text) {
			return true
		}
	}
	return false
}

func lower(c byte) byte {
	if c-'A' < 26 {
		c += 'a' - 'A'
	}
	return c
}

// messageID returns the id in "2.6.0 <1@kontor.example> [InternalId=...", without its angle brackets, if it has some; nil
// for none. Whoever sends a message chooses the id, so it ends where the last of the server's own words begin.
func messageID(text []byte, scratch *[]byte) []byte {
	_, text = word(text)
	end := bytes.LastIndex(text, []byte("[InternalId="))
	if end < 0 {
		end = bytes.LastIndex(text, []byte("Queued mail"))
	}
	if end < 0 {
		end = bytes.LastIndexByte(text, '>') + 1
	}
	id := bytes.TrimSpace(text[:end])
	if n := len(id); n > 1 && id[0] == '<' && id[n-1] == '>' {
		id = id[1 : n-1]
	}
	if len(id) == 0 {
		return nil
	}
	return site.Cut(id, scratch)
}
