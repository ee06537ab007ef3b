package postfix

import (
	"bytes"
	"math"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/address"
)

// as makes the line give one event.
func (x *lexer) as(k harvestwatch.Kind) bool {
	x.tok.op, x.tok.kind = opEvent, k
	return true
}

// from takes the client off, as smtpd names it.
func (x *lexer) from(b []byte) ([]byte, bool) {
	c, rest, ok := namaddr(b)
	x.client(b, &c)
	return rest, ok
}

// client takes the client that stands at the beginning of b, and its name where Postfix verified it.
func (x *lexer) client(b []byte, c *client) {
	x.tok.ip, x.tok.port = c.ip, c.port
	if at := x.end - len(b) - int(x.tok.off); c.named > 0 && at <= math.MaxUint16 && verified(b[:c.named]) {
		x.tok.name, x.tok.named = uint16(at), c.named
	}
}

// smtpd lexes a line of smtpd(8).
func (x *lexer) smtpd(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	switch b[0] {
	case 'c':
		if rest, ok := cut(b, "connect from "); ok {
			x.tok.op = opConnect
			rest, ok = x.from(rest)
			return ok && len(rest) == 0
		}
	case 'd':
		if rest, ok := cut(b, "disconnect from "); ok {
			return x.disconnect(rest)
		}
	case 'w':
		if rest, ok := cut(b, "warning: "); ok {
			return x.smtpdWarning(rest)
		}
	case 'p':
		if has(b, "proxy-reject: ") || has(b, "proxy-accept: ") {
			return x.action(b)
		}
	}
	if known, ok := x.session(b); ok {
		return known
	}
	if rest, ok := x.queued(b); ok {
		return x.smtpdQueued(rest)
	}
	return severity(b) || quietSMTPD(b)
}

// session lexes what smtpd says about a session as a whole; from Postfix 3.10 on a queue id stands before some of it.
func (x *lexer) session(b []byte) (known, mine bool) {
	switch b[0] {
	case 'l':
		if rest, ok := cut(b, "lost connection after "); ok {
			return x.broken(rest, true), true
		}
	case 't':
		if rest, ok := cut(b, "timeout after "); ok {
			return x.broken(rest, true), true
		}
		if rest, ok := cut(b, "too many errors after "); ok {
			return x.broken(rest, false), true
		}
	case 'i':
		if rest, ok := cut(b, "improper command pipelining after "); ok {
			return x.broken(rest, false), true
		}
	case 'S':
		if rest, ok := cut(b, "SSL_accept error from "); ok {
			rest, ok = x.from(rest)
			return ok && has(rest, ": ") && x.as(harvestwatch.ProtocolError), true
		}
	case 'a':
		if rest, ok := cut(b, "abort: TLS from "); ok {
			rest, ok = x.from(rest)
			return ok && has(rest, ": ") && x.as(harvestwatch.RcptRefused), true
		}
	}
	return false, false
}

// broken lexes "CMD from CLIENT" and "CMD (12 bytes) from CLIENT". Where gaveUp, a connection that went away while the
// message was sent says nothing: such are the networks' fault.
func (x *lexer) broken(b []byte, gaveUp bool) bool {
	n := 0
	for n < len(b) && (b[n] >= 'A' && b[n] <= 'Z' || b[n] == '-' || b[n]-'0' < 10) {
		n++
	}
	cmd, rest := b[:n], b[n:]
	if has(rest, " (") {
		i := bytes.IndexByte(rest, ')')
		if i < 0 || i > 40 {
			return false
		}
		rest = rest[i+1:]
	}
	rest, ok := cut(rest, " from ")
	if !ok || n == 0 {
		return false
	}
	if rest, ok = x.from(rest); !ok || len(rest) > 0 && rest[0] != ':' {
		return false
	}
	if gaveUp && (string(cmd) == "DATA" || string(cmd) == "BDAT" || string(cmd) == "END-OF-MESSAGE") {
		return true
	}
	return x.as(harvestwatch.ProtocolError)
}

// disconnect lexes the client and the counters: " ehlo=1 auth=0/3 quit=1 commands=2/5". What was not commanded has none.
func (x *lexer) disconnect(b []byte) bool {
	x.tok.op = opDisconnect
	b, ok := x.from(b)
	if !ok {
		return false
	}
	mail, all := false, false
	for len(b) > 0 {
		if b[0] != ' ' {
			return false
		}
		b = b[1:]
		n := 0
		for n < len(b) && (b[n] >= 'a' && b[n] <= 'z' || b[n] == '-' || b[n] == '_') {
			n++
		}
		if n == 0 || n == len(b) || b[n] != '=' {
			return false
		}
		name, rest := b[:n], b[n+1:]
		mail = mail || string(name) == "mail"
		all = all || string(name) == "commands"
		if rest, ok = x.counter(name, rest); !ok {
			return false
		}
		b = rest
	}
	if all && !mail { // the counters end with that of all commands, unless the line was cut
		x.tok.flags |= flagIdle
	}
	return true
}

// counter reads what stands behind the equals sign.
func (x *lexer) counter(name, b []byte) (rest []byte, ok bool) {
	if string(name) == "notes" {
		if i := bytes.IndexByte(b, ' '); i >= 0 {
			return b[i:], true
		}
		return nil, true
	}
	good, rest := number(b)
	if len(rest) == len(b) {
		return nil, false
	}
	total := good
	if len(rest) > 0 && rest[0] == '/' {
		b = rest[1:]
		if total, rest = number(b); len(rest) == len(b) {
			return nil, false
		}
	}
	if string(name) == "auth" && total > good {
		x.tok.fails = total - good
	}
	return rest, true
}

// smtpdWarning lexes what follows "warning: ".
func (x *lexer) smtpdWarning(b []byte) bool {
	if rest, ok := cut(b, "non-SMTP command from "); ok {
		rest, ok = x.from(rest)
		return ok && has(rest, ":") && x.as(harvestwatch.ProtocolError)
	}
	if rest, ok := cut(b, "Illegal address syntax from "); ok {
		rest, ok = x.from(rest)
		return ok && has(rest, " in ") && x.as(harvestwatch.ProtocolError)
	}
	for _, prefix := range limits {
		if rest, ok := cut(b, prefix); ok {
			return x.limit(rest)
		}
	}
	if c, rest, ok := namaddr(b); ok {
		x.client(b, &c)
		return x.complaint(rest)
	}
	return quietWarning(b)
}

// limits are the beginnings of the warnings about rates; a number can follow, then the client.
var limits = [...]string{
	"Connection concurrency limit exceeded: ", "Connection rate limit exceeded: ", "Message delivery request rate limit exceeded: ",
	"Recipient address rate limit exceeded: ", "New TLS session rate limit exceeded: ", "AUTH command rate limit exceeded: ",
	"Refusing STARTTLS request ", "Refusing TLS service request ",
}

// limit lexes "31 from CLIENT for service smtp".
func (x *lexer) limit(b []byte) bool {
	_, b = number(b)
	if len(b) > 0 && b[0] == ' ' {
		b = b[1:]
	}
	b, ok := cut(b, "from ")
	if !ok {
		return false
	}
	b, ok = x.from(b)
	return ok && has(b, " for service ") && x.as(harvestwatch.Throttled)
}

// complaint lexes what follows "warning: CLIENT".
func (x *lexer) complaint(b []byte) bool {
	if rest, ok := cut(b, ": SASL "); ok {
		return x.sasl(rest)
	}
	if has(b, ": request longer than ") || has(b, " sent message header instead of SMTP command: ") ||
		has(b, " sent non-SMTP command: ") {
		return x.as(harvestwatch.ProtocolError)
	}
	return has(b, ": ")
}

// sasl lexes "MECHANISM authentication failed: REASON, sasl_username=USER". The mechanism is the client's own word, but
// never holds a space; the user name holds anything and goes to the end of the line.
func (x *lexer) sasl(b []byte) bool {
	i := bytes.IndexByte(b, ' ')
	if i < 0 {
		return false
	}
	x.tok.op = opAuth
	b = b[i+1:]
	if has(b, "authentication aborted") {
		x.tok.kind = harvestwatch.ProtocolError
		return true
	}
	b, ok := cut(b, "authentication failed")
	if !ok {
		x.tok.op = opUnparsed
		return false
	}
	if b, ok = cut(b, ":"); ok && len(b) > 0 && b[0] == ' ' {
		b = b[1:]
	}
	x.tok.kind = reason(b)
	if i := bytes.Index(b, []byte(", sasl_username=")); i >= 0 {
		x.username(b[i+len(", sasl_username="):])
	}
	return true
}

// reason tells the client's fault from the server's by the words behind "authentication failed: ".
func reason(b []byte) harvestwatch.Kind {
	if len(b) == 0 {
		return harvestwatch.AuthFail
	}
	for _, words := range [...]string{"Connection lost to authentication server", "Temporary", "generic failure",
		"internal error", "cannot connect to saslauthd", "no mechanism available", "unable to"} {
		if b[0] == words[0] && has(b, words) {
			return harvestwatch.ServerError
		}
	}
	if has(b, "Invalid authentication mechanism") || has(b, "bad protocol / cancel") {
		return harvestwatch.ProtocolError
	}
	return harvestwatch.AuthFail
}

// username takes the rest of the line for the user's name, unless it says that there is none.
func (x *lexer) username(b []byte) {
	if len(b) > 0 && string(b) != "(unavailable)" && string(b) != "(unknown)" {
		x.tok.user = x.span(b, len(b))
	}
}

// smtpdQueued lexes what follows a queue id or NOQUEUE.
func (x *lexer) smtpdQueued(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	if rest, ok := cut(b, "client="); ok {
		return x.accepted(rest)
	}
	if known, ok := x.session(b); ok {
		return known
	}
	return x.action(b)
}

// accepted lexes "CLIENT, sasl_method=M, sasl_username=U" and "CLIENT, orig_queue_id=Q, orig_client=CLIENT". A name is
// the user's own choice and goes to the end of the line: what stands behind it is not believed. Of the original client
// only the address is: nobody says that its name, as XFORWARD hands it on, is one that DNS knows.
func (x *lexer) accepted(b []byte) bool {
	x.tok.op = opClient
	b, ok := x.from(b)
	if !ok {
		return false
	}
	if rest, ok := cut(b, ", sasl_method="); ok {
		x.tok.flags |= flagAuth
		i := 0
		for i < len(rest) && rest[i] != ',' && rest[i] != ' ' {
			i++
		}
		b = rest[i:]
	}
	if rest, ok := cut(b, ", sasl_username="); ok {
		x.tok.flags |= flagAuth
		x.username(rest)
		return true
	}
	if rest, ok := cut(b, ", orig_queue_id="); ok {
		n := queueID(rest)
		if n > 0 {
			x.tok.next = x.span(rest, n)
		}
		x.tok.flags |= flagOrig
		for n < len(rest) && rest[n] != ',' {
			n++
		}
		b = rest[n:]
	}
	if rest, ok := cut(b, ", orig_client="); ok {
		if c, _, ok := namaddr(rest); ok {
			x.tok.orig = c.ip
			x.tok.flags |= flagOrig
		}
	}
	return true
}

// quietSMTPD reports whether the line is one of smtpd's that tell nothing about what a client did.
func quietSMTPD(b []byte) bool {
	for _, words := range [...]string{"Anonymous TLS connection ", "Untrusted TLS connection ", "Trusted TLS connection ",
		"Verified TLS connection ", "setting up TLS ", "initializing the server-side TLS ", "SSL_accept:", "TLS SNI ",
		"smtpd_", "statistics: ", "table ", "reload", "name_mask: ", "match_", "Postfix ", "xsasl_", "auto_clnt_", "haproxy_",
		"private/", "send attr ", "input attribute ", "watchdog_", "event_", "rewrite stream ", "vstream_", "mac_parse: ",
		"dict_", "proxymap stream ", "connect to subsystem ", "connection established", "master_notify: ", "idle timeout",
		"Peer ", "Certificate ", "certificate verification ", "save session ", "Reusing old session", "SSL3 alert "} {
		if b[0] == words[0] && has(b, words) {
			return true
		}
	}
	if has(b, "> ") || has(b, "< ") || has(b, ">>> ") || has(b, "<<< ") { // debug_peer_list
		return true
	}
	if _, rest, ok := namaddr(b); ok {
		return has(rest, ": ")
	}
	return false
}

// quietWarning reports whether a warning of smtpd's is about the server, about the resolver or about a host name.
func quietWarning(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	for _, words := range [...]string{"hostname ", "SASL authentication ", "SASL: ", "SASL per-process ", "SASL security ",
		"TLS library problem", "valid_hostname: ", "getpeername: ", "read TCP map ", "write TCP map ", "numeric hostname",
		"numeric domain", "unknown DSN ", "unknown smtpd ", "dict_", "table ", "problem talking to ", "connect to ",
		"restriction ", "milter ", "timeout on ", "access ", "network_biopair", "run-time library", "cannot ", "unix_",
		"proxy ", "haproxy", "support for ", "No server certs", "smtpd_peer_init: ", "unknown command ", "valid_",
		"malformed ", "lookup ", "premature ", "end-of-input ", "service ", "do not list ", "both ", "xsasl_", "process ",
		"master ", "inet_", "database ", "pcre", "regexp", "btree:", "hash:", "lmdb:", "mysql:", "ldap:", "pgsql:",
		"sqlite:", "tls_", "TLS ", "smtpd_", "private/", "public/", "inet:", "unix:", "local:", "Read failed ",
		"Write failed ", "SSL ", "ignoring ", "mail_", "rewrite ", "resolve ", "/etc/", "/var/"} {
		if b[0] == words[0] && has(b, words) {
			return true
		}
	}
	rest, ok := bareAddress(b) // "192.0.2.1: hostname x verification failed", until Postfix 2.8
	return ok && (has(rest, ": hostname ") || has(rest, ": address not listed for hostname "))
}

// bareAddress reads an address that a colon and a space end, and returns what stands from the colon on.
func bareAddress(b []byte) ([]byte, bool) {
	i := bytes.Index(b, []byte(": "))
	if i < 0 || i > 45 {
		return nil, false
	}
	_, ok := address.Parse(b[:i])
	return b[i:], ok
}
