package postfix

import (
	"bytes"

	"github.com/harvestwatch/harvestwatch"
)

// bracket takes the client off, as postscreen names it.
func (x *lexer) bracket(b []byte) ([]byte, bool) {
	c, rest, ok := bracketed(b)
	x.tok.ip, x.tok.port = c.ip, c.port
	return rest, ok
}

// screen lexes a line of postscreen(8).
func (x *lexer) screen(b []byte) bool {
	if rest, ok := cut(b, "CONNECT from "); ok {
		x.tok.op = opScreen
		rest, ok = x.bracket(rest)
		return ok && has(rest, " to [")
	}
	if rest, ok := cut(b, "DISCONNECT "); ok {
		x.tok.op = opScreenEnd
		rest, ok = x.bracket(rest)
		return ok && len(rest) == 0
	}
	if rest, ok := cut(b, "NOQUEUE: "); ok {
		return x.screenReject(rest)
	}
	if has(b, "reject: ") {
		return x.screenReject(b)
	}
	for i := range screenTemplates {
		t := &screenTemplates[i]
		if rest, ok := cut(b, t.words); ok {
			return x.screenEvent(t, rest)
		}
	}
	for _, words := range [...]string{"ALLOWLIST VETO ", "WHITELIST VETO ", "entering STRESS mode ", "leaving STRESS mode ",
		"cache ", "statistics: ", "close database ", "reload", "psc_", "smtp_", "table ", "using ", "Postfix ", "dnsblog ", "event_"} {
		if has(b, words) {
			return true
		}
	}
	return severity(b)
}

// screenTemplate is a message of postscreen's that begins with fixed words and has the client at a fixed place.
type screenTemplate struct {
	words   string
	seconds bool // a number and words up to "from " stand between
	op      op
	kind    harvestwatch.Kind
}

var screenTemplates = [...]screenTemplate{
	{"PASS NEW ", false, opScreenPass, 0},
	{"PASS OLD ", false, opScreenPass, 0},
	{"ALLOWLISTED ", false, opScreenPass, 0},
	{"WHITELISTED ", false, opScreenPass, 0},
	{"DENYLISTED ", false, opEvent, harvestwatch.RcptRefused},
	{"BLACKLISTED ", false, opEvent, harvestwatch.RcptRefused},
	{"DNSBL rank ", true, opEvent, harvestwatch.RcptRefused},
	{"PREGREET ", true, opEvent, harvestwatch.ProtocolError},
	{"HANGUP after ", true, opEvent, harvestwatch.ProtocolError},
	{"NON-SMTP COMMAND from ", false, opEvent, harvestwatch.ProtocolError},
	{"COMMAND PIPELINING from ", false, opEvent, harvestwatch.ProtocolError},
	{"BARE NEWLINE from ", false, opEvent, harvestwatch.ProtocolError},
	{"COMMAND TIME LIMIT from ", false, opEvent, harvestwatch.ProtocolError},
	{"COMMAND LENGTH LIMIT from ", false, opEvent, harvestwatch.ProtocolError},
	{"COMMAND COUNT LIMIT from ", false, opEvent, harvestwatch.ProtocolError},
	{"DATA without valid RCPT from ", false, opEvent, harvestwatch.ProtocolError},
	{"BDAT without valid RCPT from ", false, opEvent, harvestwatch.ProtocolError},
}

func (x *lexer) screenEvent(t *screenTemplate, b []byte) bool {
	if t.seconds {
		// "7 for [", "11 after 0.03 from [", "0.41 from [": only digits and these words come before the bracket.
		n := 0
		for n < len(b) && n < 40 && (b[n]-'0' < 10 || b[n] == '.' || b[n] == ' ' || b[n] >= 'a' && b[n] <= 'z') {
			n++
		}
		head := b[:n]
		if !bytes.HasSuffix(head, []byte(" from ")) && !bytes.HasSuffix(head, []byte(" for ")) {
			return false
		}
		b = b[n:]
	}
	rest, ok := x.bracket(b)
	x.tok.op, x.tok.kind = t.op, t.kind
	return ok && (len(rest) == 0 || rest[0] == ' ' || rest[0] == ':')
}

// screenReject lexes "reject: RCPT from CLIENT: TEXT; from=<S>, to=<R>, proto=P, helo=<H>".
func (x *lexer) screenReject(b []byte) bool {
	b, ok := cut(b, "reject: ")
	if !ok {
		return false
	}
	lower := has(b, "connect ")
	if lower {
		b = b[len("connect"):]
	} else if _, b, ok = stageOf(b); !ok {
		return false
	}
	if b, ok = cut(b, " from "); !ok {
		return false
	}
	if b, ok = x.bracket(b); !ok {
		return false
	}
	if b, ok = cut(b, ": "); !ok {
		return false
	}
	b = x.reply(b)
	w := x.tail(b, true)
	switch {
	case has(w.first, "too many connections"), has(w.first, "all server ports busy"), has(w.first, "all screening ports busy"):
		return x.as(harvestwatch.Throttled)
	case has(w.first, "Protocol error"):
		return x.as(harvestwatch.ProtocolError)
	}
	return x.as(harvestwatch.RcptRefused)
}
