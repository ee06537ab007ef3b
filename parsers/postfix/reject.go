package postfix

import (
	"bytes"

	"github.com/harvestwatch/harvestwatch"
)

// action lexes "ACTION: STAGE from CLIENT: TEXT;TAIL", which smtpd and, for milters, cleanup write.
func (x *lexer) action(b []byte) bool {
	i := bytes.IndexByte(b, ':')
	if i < 0 || i+2 > len(b) {
		return false
	}
	name, rest := b[:i], b[i+1:]
	if len(rest) > 0 && rest[0] == ' ' {
		rest = rest[1:]
	}
	switch string(name) {
	case "reject":
		return x.reject(rest, false, false)
	case "milter-reject":
		return x.reject(rest, true, false)
	case "proxy-reject":
		return x.reject(rest, false, true)
	case "proxy-accept":
		x.tok.op = opPass
		x.queuedAs(rest)
		return true
	case "discard", "milter-discard":
		if x.tok.qid.len > 0 {
			x.tok.op = opSpam
		}
		return true
	case "reject_warning", "warn", "warning", "info", "hold", "redirect", "filter", "bcc", "delay", "prepend", "hangup", "replace",
		"permit", "trigger", "milter-hold", "milter-accept", "milter-warn", "strip", "ignore", "dunno", "defer",
		"defer_if_permit", "defer_if_reject", "milter triggers DISCARD action", "milter triggers HOLD action":
		return true
	}
	return false
}

// stage tells the place in the dialogue at which something was refused.
type stage uint8

const (
	stageOther stage = iota
	stageConnect
	stageVrfy
	stageRcpt
	stageEnd
)

// stageOf cuts the stage off.
func stageOf(b []byte) (stage, []byte, bool) {
	n := 0
	for n < len(b) && (b[n] >= 'A' && b[n] <= 'Z' || b[n] == '-') {
		n++
	}
	s := stageOther
	switch string(b[:n]) {
	case "":
		return 0, nil, false
	case "RCPT":
		s = stageRcpt
	case "VRFY":
		s = stageVrfy
	case "CONNECT":
		s = stageConnect
	case "END-OF-MESSAGE":
		s = stageEnd
	}
	return s, b[n:], true
}

// reject lexes "STAGE from CLIENT: TEXT;TAIL"; a proxy-reject names no client.
func (x *lexer) reject(b []byte, milter, proxy bool) bool {
	s, b, ok := stageOf(b)
	if !ok {
		return false
	}
	if !proxy {
		if b, ok = cut(b, " from "); !ok {
			return false
		}
		if b, ok = x.from(b); !ok {
			return false
		}
	}
	if b, ok = cut(b, ": "); !ok {
		return false
	}
	b = x.reply(b)
	words := x.tail(b, false)
	x.tok.op, x.tok.kind = opEvent, x.verdict(words)
	if proxy {
		x.tok.op = opFilter
	}
	if s == stageEnd && (milter || proxy) && x.tok.kind != harvestwatch.ServerError {
		x.tok.kind = harvestwatch.SpamRefused
	}
	if milter && s != stageEnd && x.tok.kind != harvestwatch.ServerError {
		x.tok.kind = harvestwatch.RcptRefused
	}
	return true
}

// reply takes "550 5.1.1 " off, either part of which can be missing.
func (x *lexer) reply(b []byte) []byte {
	if len(b) > 3 && b[3] == ' ' && b[0] >= '2' && b[0] <= '5' && b[1]-'0' < 10 && b[2]-'0' < 10 {
		x.tok.code = uint16(b[0]-'0')*100 + uint16(b[1]-'0')*10 + uint16(b[2]-'0')
		b = b[4:]
	}
	if status, n := enhanced(b); n > 0 && n < len(b) && b[n] == ' ' {
		x.tok.status, b = status, b[n+1:]
	}
	return b
}

// enhanced reads an enhanced status code and returns its length, or 0.
func enhanced(b []byte) (e harvestwatch.Enhanced, n int) {
	if len(b) < 5 || b[0] < '2' || b[0] > '5' || b[1] != '.' {
		return e, 0
	}
	e[0] = uint16(b[0] - '0')
	if len(b) > 5 && b[5] == ' ' && b[3] == '.' && b[2]-'0' < 10 && b[4]-'0' < 10 {
		e[1], e[2] = uint16(b[2]-'0'), uint16(b[4]-'0')
		return e, 5
	}
	part, digits := 1, 0
	for n = 2; n < len(b); n++ {
		if d := b[n] - '0'; d < 10 && digits < 3 {
			e[part] = e[part]*10 + uint16(d)
			digits++
			continue
		}
		if b[n] != '.' || part == 2 || digits == 0 {
			break
		}
		part, digits = 2, 0
	}
	if part != 2 || digits == 0 {
		return harvestwatch.Enhanced{}, 0
	}
	return e, n
}

// verdict tells from the server's words, and only where they say nothing from its numbers, what was refused and why.
// Where the client's own text makes it uncertain which words are the server's, all of them are tried and what speaks
// most against the client is taken: nobody can hide a refusal that way, and he can only harm himself.
func (x *lexer) verdict(w words) harvestwatch.Kind {
	best := x.judge(w.first)
	for text := w.more; len(text) > 0 && best != harvestwatch.RcptUnknown; {
		i := bytes.Index(text, []byte(">: "))
		if i < 0 {
			break
		}
		text = text[i+3:]
		if k := x.judge(text); rank(k) > rank(best) {
			best = k
		}
	}
	return best
}

func rank(k harvestwatch.Kind) int {
	switch k {
	case harvestwatch.RcptUnknown:
		return 4
	case harvestwatch.RcptRelayDenied:
		return 3
	case harvestwatch.ProtocolError:
		return 2
	case harvestwatch.RcptRefused:
		return 1
	}
	return 0
}

// judge reads words that stand at the beginning of b.
func (x *lexer) judge(b []byte) harvestwatch.Kind {
	if has(b, ": ") { // an empty address was cut out, angle brackets and all
		b = b[2:]
	}
	if rest, ok := cut(b, "Recipient address rejected: "); ok {
		if noSuchUser(rest) {
			return harvestwatch.RcptUnknown
		}
		return x.policy(rest)
	}
	if has(b, "User unknown") {
		return harvestwatch.RcptUnknown
	}
	if has(b, "Relay access denied") {
		return harvestwatch.RcptRelayDenied
	}
	if has(b, "Protocol error") {
		return harvestwatch.ProtocolError
	}
	if i := bytes.IndexByte(b, ':'); i > 9 && string(b[i-9:i]) == " rejected" && i+2 <= len(b) {
		return x.policy(b[i+2:])
	}
	return x.policy(b)
}

// policy judges the site's own words.
func (x *lexer) policy(b []byte) harvestwatch.Kind {
	switch {
	case has(b, "Improper use of SMTP command pipelining"), has(b, "Multi-recipient bounce"):
		return harvestwatch.ProtocolError
	case x.tok.code == 452, x.tok.code == 552, x.tok.status[1] == 3, x.tok.code == 451 && x.tok.status[0] == 0,
		has(b, "Temporary lookup failure"), has(b, "Server configuration "), has(b, "Insufficient system storage"),
		has(b, "Message size exceeds "), has(b, "Error: queue file write error"),
		x.tok.code < 500 && has(b, "Service unavailable - try again later"):
		return harvestwatch.ServerError
	case bytes.Contains(b, []byte("bare <LF> received")):
		return harvestwatch.ProtocolError
	}
	return harvestwatch.RcptRefused
}

// noSuchUser reports whether a recipient was refused because there is none such: Postfix's own words, and those that
// people put into access tables for the same.
func noSuchUser(b []byte) bool {
	return prefixFold(b, "user unknown") || prefixFold(b, "undeliverable address") || prefixFold(b, "unknown user") ||
		prefixFold(b, "no such user")
}

// prefixFold compares without regard to case; prefix is in small letters.
func prefixFold(b []byte, prefix string) bool {
	if len(b) < len(prefix) {
		return false
	}
	for i := range prefix {
		c := b[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != prefix[i] {
			return false
		}
	}
	return true
}
