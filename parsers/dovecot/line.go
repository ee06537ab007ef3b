package dovecot

import (
	"bytes"
	"time"

	"github.com/harvestwatch/harvestwatch/parsers/syslog"
)

// maxRepeat bounds how often a line counts of which the syslog daemon says that it was repeated.
const maxRepeat = 100

// parse reads a line of any form.
func (x *lexer) parse(line []byte) verdict {
	if !x.strict && line[0] == '@' {
		rest, ok := x.tai(line)
		if !ok {
			return unknown
		}
		return x.own(rest)
	}
	if !syslog.Parse(line, &x.line) {
		switch {
		case x.strict:
			return foreign // whose line it is can't be told
		case len(line) > 3 && line[0] == 0xef && line[1] == 0xbb && line[2] == 0xbf:
			line = line[3:]
		}
		return x.own(line)
	}
	x.tok.stamp = x.line.Stamp
	if !x.strict && line[0] != '<' {
		rest := line[cap(line)-cap(x.line.Host):] // what follows the stamp
		if name := service(rest); known(name) && x.levelled(rest, name) {
			return x.said(rest)
		}
	}
	return x.tagged(x.line.Tag, x.line.Text)
}

// tagged reads what a program said to a syslog daemon.
func (x *lexer) tagged(tag, text []byte) verdict {
	ours := has(tag, "dovecot")
	if !ours && string(tag) != "auth" && string(tag) != "auth-worker" {
		return foreign
	}
	if rest, ok := cut(text, "message repeated "); ok {
		text = x.repeated(text, rest)
	}
	if inner, ok := cut(text, "dovecot: "); ok {
		text = inner
	}
	if has(text, "pam_") {
		return x.pam(text)
	}
	if !ours {
		return foreign
	}
	return x.said(text)
}

// repeated unpacks "message repeated 3 times: [ TEXT]", which rsyslog writes for equal lines of one process.
func (x *lexer) repeated(text, rest []byte) []byte {
	n, rest := number(rest)
	inner, ok := cut(rest, " times: [ ")
	if !ok || n == 0 || len(inner) == 0 || inner[len(inner)-1] != ']' {
		return text
	}
	x.tok.repeat = uint16(min(n, maxRepeat))
	return inner[:len(inner)-1]
}

// own reads a line of Dovecot's own log behind its stamp, or one that has none.
func (x *lexer) own(b []byte) verdict {
	for _, tag := range [...]string{"dovecot: ", "dovecot-auth: ", "auth: "} {
		if rest, ok := cut(b, tag); ok && (has(rest, "pam_") || tag == "dovecot: ") {
			b = rest
			break
		}
	}
	if has(b, "pam_") {
		return x.pam(b)
	}
	name := service(b)
	if !known(name) || !speaks(name) && !x.levelled(b, name) {
		return unknown
	}
	return x.said(b)
}

// said reads what one of Dovecot's processes said, its name before it.
func (x *lexer) said(b []byte) verdict {
	name := service(b)
	rest := b[len(name):]
	switch {
	case login(name):
		if rest, ok := cut(rest, ": "); ok {
			return x.login(rest)
		}
		return unknown
	case string(name) == "auth" || string(name) == "auth-worker":
		return x.auth(rest)
	}
	return quiet
}

// service returns the name of a process at the beginning of b, nil where there is none.
func service(b []byte) []byte {
	i := 0
	for i < len(b) && (b[i] >= 'a' && b[i] <= 'z' || b[i] == '-' || b[i] == '_' || b[i]-'0' < 10 && i > 0) {
		i++
	}
	if i == 0 || i == len(b) || b[i] != ':' && b[i] != '(' && b[i] != '<' {
		return nil
	}
	return b[:i]
}

func login(name []byte) bool { return bytes.HasSuffix(name, []byte("-login")) }

// speaks reports whether a process tells of clients.
func speaks(name []byte) bool {
	return login(name) || string(name) == "auth" || string(name) == "auth-worker"
}

// known reports whether one of Dovecot's processes has this name.
func known(name []byte) bool {
	switch string(name) {
	case "imap", "pop3", "lmtp", "lda", "managesieve", "submission", "master", "config", "log", "anvil", "stats", "old-stats",
		"indexer", "indexer-worker", "doveadm", "doveadm-server", "dict", "dict-async", "dict-expire", "ssl-params", "director", "replicator",
		"aggregator", "ipc", "dns-client", "dns_client", "imap-urlauth", "imap-urlauth-worker", "imap-hibernate", "quota-status",
		"script", "dsync", "dsync-local", "dsync-remote", "health-check", "welcome", "dovecot":
		return true
	case "imap-login", "pop3-login", "managesieve-login", "submission-login", "imap-urlauth-login", "lmtp-login", "sieve-login":
		return true
	}
	return string(name) == "auth" || string(name) == "auth-worker"
}

// levels are the words by which Dovecot tells how grave a line is.
var levels = [...]string{"Info: ", "Debug: ", "Warning: ", "Error: ", "Fatal: ", "Panic: "}

// levelled reports whether a level follows a process's name and what it put in brackets, as in every line of a log of
// Dovecot's own.
func (x *lexer) levelled(b, name []byte) bool {
	for rest := b[len(name):]; ; {
		i := bytes.Index(rest, []byte(": "))
		if i < 0 {
			return false
		}
		rest = rest[i+2:]
		for _, l := range levels {
			if has(rest, l) {
				return true
			}
		}
	}
}

// grave takes the level off, and reports whether the line is about the server's own trouble or for debugging.
func grave(b []byte) ([]byte, bool) {
	for i, l := range levels {
		if rest, ok := cut(b, l); ok {
			return rest, i > 0
		}
	}
	return b, false
}

// taiEpoch is 1970 in the labels of TAI64, as daemontools count it: without leap seconds but the first ten.
const taiEpoch = 1<<62 + 10

// tai reads "@400000004c91b044077a9e94 " (TAI64N).
func (x *lexer) tai(line []byte) ([]byte, bool) {
	if len(line) < 27 || line[25] != ' ' {
		return nil, false
	}
	label, ok := hexadecimal(line[1:17])
	nanos, ok2 := hexadecimal(line[17:25])
	sec := int64(label - taiEpoch)
	if !ok || !ok2 || sec < 0 || sec > 1<<37 || nanos > 999_999_999 {
		return nil, false
	}
	text := time.Unix(sec, int64(nanos)).UTC().AppendFormat(x.stamp[:0], "2006-01-02T15:04:05.000000000Z07:00")
	text = append(text, " h a: b"...)
	x.label = syslog.Line{}
	if !syslog.Parse(text, &x.label) {
		return nil, false
	}
	x.tok.stamp = x.label.Stamp
	return line[26:], true
}

func hexadecimal(b []byte) (n uint64, ok bool) {
	for _, c := range b {
		switch {
		case c-'0' < 10:
			n = n<<4 | uint64(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			n = n<<4 | uint64(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return n, true
}

// number reads a decimal number, at most 1,000,000.
func number(b []byte) (n uint32, rest []byte) {
	i := 0
	for i < len(b) && b[i]-'0' < 10 {
		n = min(n*10+uint32(b[i]-'0'), 1_000_000)
		i++
	}
	return n, b[i:]
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
	h ^= 0xcbf29ce484222325
	for _, c := range b {
		h = (h ^ uint64(c)) * 0x100000001b3
	}
	return mix(h)
}

// mix is the finalizer of MurmurHash3.
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
