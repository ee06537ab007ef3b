package postfix

import (
	"bytes"

	"github.com/harvestwatch/harvestwatch"
)

// cleanup lexes a line of cleanup(8). Most of them hold text from the message, raw.
func (x *lexer) cleanup(b []byte) bool {
	rest, ok := x.queued(b)
	if !ok {
		return severity(b) || has(b, "statistics: ") || has(b, "table ") || has(b, "milter ")
	}
	if has(rest, "message-id=") || has(rest, "resent-message-id=") {
		return true
	}
	if rest, ok := cut(rest, "reject: "); ok {
		return x.content(rest)
	}
	if has(rest, "discard: ") {
		x.tok.op = opSpam
		return true
	}
	if has(rest, "canceled") || has(rest, "removed") || has(rest, "to=<") {
		return true
	}
	return x.action(rest)
}

// content lexes "header Subject: TEXT from CLIENT; from=<S> to=<R> proto=P helo=<H>: WORDS", where TEXT, S and R are the
// client's own and can hold whatever looks like the rest. One of the places before a "; from=<" is the true one. So it
// is known where there is only one, or where all name the same address; else none is taken here, and the fold uses the
// client that it knows of the queue id.
func (x *lexer) content(b []byte) bool {
	if !has(b, "header ") && !has(b, "body ") && !has(b, "content ") && !has(b, "mime-error ") {
		return false
	}
	x.tok.op, x.tok.kind = opRefused, harvestwatch.SpamRefused
	key := []byte("; from=<")
	found, conflict, last := false, false, 0
	for at := 0; ; {
		i := bytes.Index(b[at:], key)
		if i < 0 {
			break
		}
		i += at
		at = i + len(key)
		a, ok := origin(b[:i])
		conflict = conflict || !ok || found && a != x.tok.ip
		x.tok.ip, found, last = a, true, i
	}
	if conflict {
		x.tok.ip = ip{}
	}
	if found && !conflict {
		x.refusedTail(b[last:])
	}
	return true
}

// refusedTail reads sender and recipient where they are beyond doubt: no angle bracket but Postfix's own.
func (x *lexer) refusedTail(b []byte) {
	rest := b[len("; from="):]
	var ok bool
	if rest, ok = x.field(rest, &x.tok.sender); !ok {
		return
	}
	x.tok.flags |= flagSender
	if x.tok.sender.len == 0 {
		x.tok.flags |= flagNull
	}
	if rest, ok = cut(rest, " to="); ok && len(rest) > 0 && rest[0] == '<' {
		x.field(rest, &x.tok.rcpt)
	}
}

// origin reads the client at the end of b: " from name[address]" or " from name[address]:port"; the words local and
// unknown stand for none.
func origin(b []byte) (ip, bool) {
	i := bytes.LastIndex(b, []byte(" from "))
	if i < 0 {
		return ip{}, false
	}
	b = b[i+len(" from "):]
	if string(b) == "local" || string(b) == "unknown" {
		return ip{}, true
	}
	c, rest, ok := namaddr(b)
	return c.ip, ok && len(rest) == 0
}

// qmgr lexes a line of qmgr(8).
func (x *lexer) qmgr(b []byte) bool {
	rest, ok := x.queued(b)
	if !ok {
		return severity(b) || has(b, "statistics: ") || has(b, "table ") || has(b, "reload") || has(b, "qmgr_")
	}
	if has(rest, "removed") {
		x.tok.op = opRemoved
		return true
	}
	if rest, ok := cut(rest, "from=<"); ok {
		// The sender can hold what looks like the rest of the line, but the rest can't.
		i := bytes.LastIndex(rest, []byte(">, "))
		if i < 0 {
			return false
		}
		if has(rest[i:], ">, size=") {
			x.tok.op = opFrom
			x.tok.sender = x.span(rest, i)
		}
		return true
	}
	if has(rest, "to=<") {
		return x.delivery(daemonQmgr, rest)
	}
	return has(rest, "skipped, ") || has(rest, "canceled") || has(rest, "deleted") || has(rest, "flush ")
}

// pickup lexes a line of pickup(8): a message that no client brought.
func (x *lexer) pickup(b []byte) bool {
	rest, ok := x.queued(b)
	if !ok {
		return severity(b)
	}
	x.tok.op = opLocal
	return has(rest, "uid=")
}

// agent lexes a line of a delivery agent. Everything in parentheses is another server's own text.
func (x *lexer) agent(d daemon, b []byte) bool {
	rest, ok := x.queued(b)
	if ok && has(rest, "to=<") {
		return x.delivery(d, rest)
	}
	if ok {
		b = rest
	}
	for _, words := range [...]string{"host ", "connect to ", "lost connection with ", "Anonymous TLS ", "Untrusted TLS ",
		"Trusted TLS ", "Verified TLS ", "certificate ", "Server certificate ", "server certificate ", "SSL_connect ", "setting up TLS ",
		"enabling PIX ", "passing ", "TLS is required", "Cannot start TLS", "conversation with ", "initializing the client-side TLS ",
		"statistics: ", "table ", "Peer ", "depth=", "Host offered STARTTLS", "no TLSA ", "non DNSSEC ", "sender non-delivery",
		"MX ", "numeric domain ", "problem ", "breaking ", "uid=", "subject_CN=", "save session ", "enabled ", "smtp_",
		"Used TLS ", "using "} {
		if has(b, words) {
			return true
		}
	}
	_, more, named := namaddr(b)
	return severity(b) || named && has(more, ": ")
}

// delivery lexes "to=<R>, orig_to=<O>, relay=RELAY, delay=D, delays=A, dsn=X.Y.Z, status=WORD (TEXT)".
func (x *lexer) delivery(d daemon, b []byte) bool {
	b = b[len("to="):]
	rest, ok := x.path(b)
	if !ok {
		return false
	}
	plain := len(b) > 1 && b[1] != '"'
	if more, found := cut(rest, ", orig_to="); found {
		if rest, ok = x.otherPath(more); !ok {
			return false
		}
	}
	if rest, ok = cut(rest, ", relay="); !ok {
		return false
	}
	// An unquoted recipient, as Postfix wrote it until 3.4, can hold all of this. Then a second one follows.
	if plain && bytes.Contains(rest, []byte(">, relay=")) {
		return true
	}
	i := bytes.Index(rest, []byte(", delay="))
	if i < 0 {
		return false
	}
	x.relay(rest[:i])
	return x.status(d, rest[i:])
}

// path reads "<R>", quoted or not, into the recipient.
func (x *lexer) path(b []byte) ([]byte, bool) {
	n := pathLen(b)
	if n == 0 {
		return nil, false
	}
	x.tok.rcpt = x.span(b[1:], n-2)
	return b[n:], true
}

func (x *lexer) otherPath(b []byte) ([]byte, bool) {
	n := pathLen(b)
	if n == 0 {
		return nil, false
	}
	return b[n:], true
}

// pathLen returns the length of "<R>" at the beginning of b, or 0. Within quotes an angle bracket ends nothing.
func pathLen(b []byte) int {
	if len(b) < 2 || b[0] != '<' {
		return 0
	}
	quoted := false
	for i := 1; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"' && (quoted || i == 1):
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == '>' && !quoted:
			return i + 1
		}
	}
	return 0
}

// relay reads "name[address]:port" or a transport's name.
func (x *lexer) relay(b []byte) {
	if c, _, ok := namaddr(b); ok {
		x.tok.ip = c.ip
		if c.ip.Private() && !c.ip.None() {
			x.tok.flags |= flagRelay
		}
	}
}

// status reads from ", delay=" on.
func (x *lexer) status(d daemon, b []byte) bool {
	i := bytes.Index(b, []byte(", status="))
	if i < 0 {
		return false
	}
	head, rest := b[:i], b[i+len(", status="):]
	if j := bytes.LastIndex(head, []byte(", dsn=")); j >= 0 {
		x.tok.status, _ = enhanced(head[j+len(", dsn="):])
	}
	switch {
	case has(rest, "sent (") && d != daemonDiscard && d != daemonQmgr:
		x.tok.op = opSent
		x.sentTo(rest[len("sent ("):])
		return true
	case has(rest, "bounced (") && (d == daemonMailbox || d == daemonSMTP && x.tok.flags&flagRelay != 0):
		text := rest[len("bounced ("):]
		s := x.tok.status
		if s[1] == 1 && (s[2] == 1 || s[2] == 10) || d == daemonMailbox && prefixFold(text, "unknown user") {
			x.tok.op = opBounced
		}
		return true
	}
	for _, word := range [...]string{"sent", "bounced", "deferred", "undeliverable", "deliverable", "expired", "force-expired",
		"deferrable", "SOFTBOUNCE"} {
		if has(rest, word) {
			return true
		}
	}
	return false
}

// sentTo reads what a filter on this host or beside it answered.
func (x *lexer) sentTo(b []byte) {
	if x.tok.flags&flagRelay == 0 {
		return
	}
	if bytes.Contains(b, []byte(", discarded")) || bytes.Contains(b, []byte("DISCARD")) {
		x.tok.flags |= flagDiscarded
	}
	x.queuedAs(b)
}

// queuedAs reads the queue id behind the first "queued as ".
func (x *lexer) queuedAs(b []byte) {
	key := []byte("queued as ")
	i := bytes.Index(b, key)
	if i < 0 {
		return
	}
	b = b[i+len(key):]
	if n := queueID(b); n > 0 && (n == len(b) || b[n] == ')' || b[n] == ';' || b[n] == ' ' || b[n] == ',') {
		x.tok.next = x.span(b, n)
	}
}
