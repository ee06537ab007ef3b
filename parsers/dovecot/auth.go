package dovecot

import (
	"bytes"

	"github.com/harvestwatch/harvestwatch/parsers/address"
)

// auth reads what an authentication process said, from behind its name. The forms are
//
//	: DRIVER(USER,ADDRESS,<SESSION>): MESSAGE
//	(304): DRIVER(USER,ADDRESS): MESSAGE
//	(USER,ADDRESS,sasl:plain)<SESSION>: DRIVER: MESSAGE
//
// with a level before the driver in a log of Dovecot's own, and before it the connection that an auth-worker speaks for.
func (x *lexer) auth(b []byte) verdict {
	b, numbered := worker(b)
	if numbered {
		var other bool
		if b, other = grave(b); other {
			return quiet
		}
		b = connection(b)
		name := service(b)
		if name == nil || b[len(name)] != '(' {
			return quiet // not about one client
		}
		x.tok.driver = driverOf(name)
		b = b[len(name):]
	}
	message, found := x.client(b)
	if found == none || found == several {
		return quiet
	}
	if !numbered {
		var other bool
		if message, other = grave(message); other {
			return quiet
		}
		name := service(message)
		if name == nil {
			return unknown
		}
		x.tok.driver = driverOf(name)
		message = bytes.TrimPrefix(message[len(name):], []byte(": "))
	}
	if bytes.Contains(message, []byte("): ")) {
		return quiet // what the client wrote reaches into it
	}
	if !refusal(message) {
		return unknown
	}
	x.tok.op, x.tok.answer = opAttempt, answerOf(message)
	return telling
}

// worker takes what may follow a process's name off: nothing, or a word in brackets. It reports false where that is a
// client.
func worker(b []byte) ([]byte, bool) {
	if rest, ok := cut(b, ": "); ok {
		return rest, true
	}
	if len(b) == 0 || b[0] != '(' {
		return b, false
	}
	i := 1
	for i < len(b) && (b[i]-'0' < 10 || b[i] >= 'a' && b[i] <= 'z' || b[i] >= 'A' && b[i] <= 'Z' || b[i] == '-' || b[i] == '_') {
		i++
	}
	rest, ok := cut(b[i:], "): ")
	if !ok {
		return b, false
	}
	return rest, true
}

// connection takes "conn unix:auth-worker (pid=27359,uid=97): auth-worker<55>: " off.
func connection(b []byte) []byte {
	if !has(b, "conn unix:") {
		return b
	}
	i := bytes.Index(b, []byte("): auth-worker<"))
	if i < 0 {
		return b
	}
	rest := b[i+len("): auth-worker<"):]
	_, rest = number(rest)
	rest, _ = cut(rest, ">: ")
	return rest
}

// driverOf returns the number of a password database, which is odd.
func driverOf(name []byte) uint32 { return uint32(hash(1, name)) | 1 }

// moduleOf returns the number of a PAM module that speaks for itself, which is even and not 0.
func moduleOf(name []byte) uint32 { return uint32(hash(2, name))&^1 | 2 }

// found says how many clients a line could mean.
type found uint8

const (
	none found = iota
	one
	several
)

// maxTries is how many closing brackets are looked at; no line has that many by accident.
const maxTries = 100

// client reads "(USER,ADDRESS...): " at the beginning of b, and returns what follows. The user's name may hold all that
// could end it, and a password in what follows may too: where there is more than one place at which the brackets could
// close behind an address, nobody knows which is the server's.
func (x *lexer) client(b []byte) (message []byte, n found) {
	tries := 0
	for i := 1; i < len(b); i++ {
		if b[i] != ')' {
			continue
		}
		if tries++; tries > maxTries {
			return nil, several
		}
		rest, session, ok := closed(b[i+1:])
		if !ok {
			continue
		}
		user, ip, inner, ok := inside(b[1:i])
		if !ok {
			continue
		}
		if n++; n == several {
			return nil, several
		}
		if session == nil {
			session = inner
		}
		message, x.tok.ip, x.tok.user, x.tok.session = rest, ip, x.span(user), 0
		if len(session) > 0 {
			x.tok.session = sessionOf(session)
		}
	}
	return message, n
}

// closed reads what follows the closing bracket: ": " or "<SESSION>: ".
func closed(b []byte) (rest, session []byte, ok bool) {
	if rest, ok = cut(b, ": "); ok {
		return rest, nil, true
	}
	if len(b) == 0 || b[0] != '<' {
		return nil, nil, false
	}
	i := bytes.IndexByte(b, '>')
	if i < 0 {
		return nil, nil, false
	}
	rest, ok = cut(b[i+1:], ": ")
	return rest, b[1:i], ok
}

// inside reads "USER,ADDRESS", "USER,ADDRESS,", "USER,ADDRESS,<SESSION>" or "USER,ADDRESS,sasl:MECHANISM".
func inside(b []byte) (user []byte, ip address.IP, session []byte, ok bool) {
	i := bytes.LastIndexByte(b, ',')
	if i < 0 {
		return nil, ip, nil, false
	}
	last := b[i+1:]
	switch {
	case len(last) > 1 && last[0] == '<' && last[len(last)-1] == '>':
		session = last[1 : len(last)-1]
	case len(last) == 0 || has(last, "sasl:"):
	default:
		ip, ok = address.Parse(last)
		return b[:i], ip, nil, ok
	}
	b = b[:i]
	if i = bytes.LastIndexByte(b, ','); i < 0 {
		return nil, ip, nil, false
	}
	ip, ok = address.Parse(b[i+1:])
	return b[:i], ip, session, ok
}

// refusal reports whether a password database's message says that an attempt failed.
func refusal(message []byte) bool {
	for _, whole := range [...]string{"unknown user", "Unknown user", "password mismatch", "Password mismatch", "invalid credentials",
		"Invalid credentials", "Empty username", "Empty password", "invalid input", "Invalid input", "Invalid username"} {
		if rest, ok := cut(message, whole); ok {
			return len(rest) == 0 || has(rest, " (") || has(rest, ": ")
		}
	}
	for _, start := range [...]string{"pam_authenticate() failed: ", "pam_acct_mgmt() failed: ", "Username character disallowed",
		"Username contains disallowed character", "allow_nets check failed", "User is disabled", "Account is disabled", "Account is locked",
		"Password expired", "Password has expired", "Authentication failure due to policy server refusal", "Failed login"} {
		if has(message, start) {
			return true
		}
	}
	return false
}

// pam reads "pam_unix(dovecot:auth): authentication failure; ... ruser=USER rhost=ADDRESS  user=USER".
func (x *lexer) pam(b []byte) verdict {
	i := bytes.Index(b, []byte("(dovecot:auth): "))
	if i < 0 || i > 40 {
		return foreign
	}
	x.tok.driver = moduleOf(b[:i])
	b, ok := cut(b[i+len("(dovecot:auth): "):], "authentication failure; ")
	if !ok {
		return quiet
	}
	if i = bytes.Index(b, []byte(" ruser=")); i < 0 {
		return unknown
	}
	return x.remote(b[i+len(" ruser="):])
}

// remote reads "USER rhost=ADDRESS" or "USER rhost=ADDRESS  user=USER". The name is the client's, both times: an address
// counts behind which nothing comes but the name that stands before it. Where two do, nobody knows which is the server's.
func (x *lexer) remote(b []byte) verdict {
	sole := bytes.Count(b, []byte("rhost=")) == 1
	said := quiet
	for end := len(b); ; {
		at := bytes.LastIndex(b[:end], []byte(" rhost="))
		if at < 0 {
			return said
		}
		end = at
		host, again, _ := bytes.Cut(b[at+len(" rhost="):], []byte{' '})
		again = bytes.TrimPrefix(bytes.TrimLeft(again, " "), []byte("user="))
		if !sole && len(again) > 0 && !bytes.Equal(again, b[:at]) {
			continue
		}
		ip, ok := address.Parse(host)
		if !ok || said == telling && ip != x.tok.ip {
			return quiet // a host's name, or one of two
		}
		x.tok.ip, x.tok.user, x.tok.op = ip, x.span(b[:at]), opAttempt
		said = telling
	}
}
