package dovecot

import (
	"bytes"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/address"
)

// login reads what a login process said: "REASON: user=<USER>, method=PLAIN, rip=ADDRESS, lip=ADDRESS, session=<ID>".
func (x *lexer) login(b []byte) verdict {
	b, other := grave(b)
	if other {
		return quiet
	}
	for _, success := range [...]string{"Login: ", "Logged in: "} {
		if rest, ok := cut(b, success); ok {
			return x.event(harvestwatch.AuthOK, rest)
		}
	}
	if rest, ok := cut(b, "Maximum number of connections from user+IP exceeded"); ok {
		return x.event(harvestwatch.Throttled, rest)
	}
	for _, end := range [...]string{"Disconnected", "Aborted login", "Login aborted", "Client has quit the connection",
		"Remote closed connection", "Internal login failure"} {
		if has(b, end) {
			return x.ended(b)
		}
	}
	if has(b, "ID sent: ") || has(b, "proxy(") || has(b, "Auth process ") {
		return quiet // the first two hold what the client wrote before what the server did
	}
	return unknown
}

func (x *lexer) event(k harvestwatch.Kind, b []byte) verdict {
	if _, ok := x.fields(b); !ok {
		return unknown
	}
	x.tok.op, x.tok.kind = opEvent, k
	return telling
}

// ended reads the line that a login process writes when a connection ends that didn't log in.
func (x *lexer) ended(b []byte) verdict {
	reason, ok := x.fields(b)
	if !ok {
		return unknown
	}
	x.tok.op, x.tok.fails, x.tok.kind = opEnd, failed(reason), harvestwatch.Disconnect
	switch {
	case x.tok.fails > 0:
	case holds(reason, "no auth attempts"):
		// Monitors, one's own port scans and clients that try out TLS versions end like this all day.
		x.tok.op = opVisit
		if holds(reason, "Too many invalid commands") || holds(reason, "SSL_accept") {
			x.tok.kind = harvestwatch.ProtocolError
		}
	case broke(reason):
		x.tok.kind = harvestwatch.ProtocolError
	case holds(reason, "internal failure"), holds(reason, "temporary failure"), holds(reason, "auth process"):
		x.tok.kind = harvestwatch.ServerError
	}
	return telling
}

// failed returns how many attempts failed, by the reason for a connection's end.
func failed(reason []byte) uint32 {
	for _, word := range [...]string{"(auth failed", "(authorization failed", "(user disabled", "(password expired", "(login disabled",
		"(proxy dest auth failed"} {
		i := bytes.Index(reason, []byte(word))
		if i < 0 {
			continue
		}
		n := uint32(1)
		if rest, ok := cut(reason[i+len(word):], ", "); ok {
			n, _ = number(rest)
		}
		return max(n, 1)
	}
	return 0
}

// broke reports whether the reason for a connection's end is that the client broke the protocol or the server's terms.
func broke(reason []byte) bool {
	for _, what := range [...]string{"(tried to use dis", "(tried to use unsupported", "(sent invalid base64", "(client didn't finish SASL",
		"(disconnected during TLS", "(client sent an invalid cert", "(client didn't send a cert", "(cert required",
		"Too many invalid commands", "Too many bad commands", "Input buffer full"} {
		if holds(reason, what) {
			return true
		}
	}
	return false
}

func holds(b []byte, what string) bool { return bytes.Contains(b, []byte(what)) }

// fields reads the fields behind the reason into the token, and returns the reason. Only the user's name is not the
// server's own, and it can hold whole fields; so the address is the last one, unless the server is set to write it
// before the name.
func (x *lexer) fields(b []byte) (reason []byte, ok bool) {
	name := bytes.Index(b, []byte("user=<"))
	reason = b
	if name >= 0 {
		reason = b[:name]
	}
	rip := lastField(reason, "rip=")
	before := rip >= 0
	if name < 0 && before {
		reason = b[:rip]
	}
	if name >= 0 && !before {
		if rip = lastField(b, "rip="); rip < name {
			return nil, false
		}
	}
	if rip < 0 {
		return nil, false
	}
	rest := b[rip+len("rip="):]
	if name >= 0 && !before && !outside(b[name:rip], rest) {
		return nil, false
	}
	at := bytes.IndexByte(rest, ',')
	if at < 0 {
		at = len(rest)
	}
	if x.tok.ip, ok = address.Parse(rest[:at]); !ok && at > 0 {
		return nil, false
	}
	x.user(b, name, rip, before)
	x.session(rest, reason)
	return reason, true
}

// outside reports whether an address behind the user's name, of which the text before and the rest are given, is none of
// the name's own: where the client has no address the server writes none, and the name may hold one.
func outside(before, rest []byte) bool {
	if end := bytes.LastIndexByte(before, '>') + 1; end == 0 || end == len(before) || before[end] != ',' {
		return false
	}
	depth := 0
	for _, c := range rest {
		switch c {
		case '<':
			depth++
		case '>':
			depth--
		}
		if depth < 0 {
			return false
		}
	}
	return lastField(rest, "method=") < 0
}

// user finds the end of the user's name, which can hold the ">" that ends it.
func (x *lexer) user(b []byte, name, rip int, before bool) {
	if name < 0 {
		return
	}
	text := b[name+len("user=<"):]
	if !before {
		text = text[:rip-name-len("user=<")]
	} else if i := bytes.LastIndex(text, []byte(", session=<")); i >= 0 {
		text = text[:i]
	}
	if i := bytes.LastIndexByte(text, '>'); i > 0 {
		x.tok.user = x.span(text[:i])
	}
}

// session reads the session's id behind the address or, where the fields stand in another order, before the name.
func (x *lexer) session(rest, reason []byte) {
	for _, b := range [...][]byte{rest, reason} {
		i := lastField(b, "session=<")
		if i < 0 {
			continue
		}
		id := b[i+len("session=<"):]
		if n := bytes.IndexByte(id, '>'); n > 0 {
			x.tok.session = sessionOf(id[:n])
			return
		}
	}
}

// sessionOf returns the number of a session's id, which is never 0.
func sessionOf(id []byte) uint64 {
	return max(hash(0, id[:min(len(id), harvestwatch.MaxField)]), 1)
}

// lastField returns where the last field of a name begins, -1 where there is none. A field follows a blank or begins
// the text.
func lastField(b []byte, name string) int {
	for end := len(b); ; {
		i := bytes.LastIndex(b[:end], []byte(name))
		if i <= 0 || b[i-1] == ' ' {
			return i
		}
		end = i + len(name) - 1
	}
}
