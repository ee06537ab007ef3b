package postfix

import (
	"bytes"
	"slices"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/lines"
	"github.com/harvestwatch/harvestwatch/parsers/syslog"
)

// MaxLine is the length in bytes above which a line is not read, and counted as unparsed as a whole. Postfix cuts its
// own lines far below it.
const MaxLine = 64 << 10

// maxRepeat bounds how often a line counts of which the syslog daemon says that it was repeated.
const maxRepeat = 100

// Lex reads l.Data into l.Lexed. It touches nothing else, so several Lines may be lexed at once.
func (p *Parser) Lex(l *harvestwatch.Lines) {
	out, ok := l.Lexed.(*lexed)
	if !ok {
		out = &lexed{}
		l.Lexed = out
	}
	lex(l.Data, out)
}

func lex(data []byte, out *lexed) {
	*out = lexed{tokens: out.tokens[:0], arena: out.arena[:0]}
	x := lexer{data: data, out: out}
	for off := 0; off < len(data); {
		end, next := lines.Next(data, off)
		x.read(off, end)
		off = next
		out.lines++
	}
}

// read lexes the line between two places.
func (x *lexer) read(off, end int) {
	if end == off {
		x.out.quiet++
		return
	}
	n := len(x.out.tokens)
	if n == cap(x.out.tokens) {
		x.out.tokens = slices.Grow(x.out.tokens, n+64)
	}
	x.out.tokens = x.out.tokens[:n+1]
	x.tok = &x.out.tokens[n]
	*x.tok = token{off: uint32(off), end: uint32(end), line: uint32(x.out.lines), repeat: 1}
	if end-off > MaxLine || !syslog.Parse(x.data[off:end], &x.line) {
		return
	}
	if len(x.line.Tag) == 0 && !has(x.line.Text, "last message repeated ") && !has(x.line.Text, "-- MARK --") {
		x.tok.stamp = x.line.Stamp
		return
	}
	x.identify()
	if x.daemon == daemonForeign {
		x.out.tokens = x.out.tokens[:n]
		x.out.foreign++
		return
	}
	x.end = end
	x.tok.stamp = x.line.Stamp
	text := x.line.Text
	if len(text) > 17 && text[0] == 'm' && has(text, "message repeated ") {
		text = x.repeated(text)
	}
	known := x.text(x.daemon, text)
	if !known {
		*x.tok = token{stamp: x.tok.stamp, off: x.tok.off, end: x.tok.end, line: x.tok.line, repeat: 1}
	} else if x.tok.op == opUnparsed {
		x.out.tokens = x.out.tokens[:n]
		x.out.quiet++
	}
}

// repeated unpacks "message repeated 3 times: [ TEXT]", which rsyslog writes for equal lines of one process.
func (x *lexer) repeated(text []byte) []byte {
	n, rest := number(text[len("message repeated "):])
	inner, ok := cut(rest, " times: [ ")
	if !ok || n == 0 || len(inner) == 0 || inner[len(inner)-1] != ']' {
		return text
	}
	x.tok.repeat = uint16(min(n, maxRepeat))
	x.end--
	return inner[:len(inner)-1]
}

// number reads a decimal number, at most 1,000,000,000.
func number(b []byte) (n uint32, rest []byte) {
	i := 0
	for i < len(b) && b[i]-'0' < 10 {
		n = min(n*10+uint32(b[i]-'0'), 1_000_000_000/10)
		i++
	}
	return n, b[i:]
}

// daemon is one of Postfix's programs, as far as they are told apart.
type daemon uint8

const (
	daemonForeign daemon = iota // not Postfix
	daemonQuiet                 // says nothing about clients
	daemonSMTPD
	daemonScreen
	daemonCleanup
	daemonQmgr
	daemonPickup
	daemonSMTP    // delivers to other hosts
	daemonMailbox // local, virtual, lmtp, pipe, error: knows the users, or speaks to who does
	daemonDiscard
)

// daemonOf tells the daemon by the last component of a tag such as postfix/submission/smtpd.
func daemonOf(tag []byte) daemon {
	i := bytes.LastIndexByte(tag, '/')
	if i <= 0 {
		return daemonForeign
	}
	switch string(tag[i+1:]) {
	case "smtpd":
		return daemonSMTPD
	case "postscreen":
		return daemonScreen
	case "cleanup":
		return daemonCleanup
	case "qmgr", "nqmgr", "oqmgr":
		return daemonQmgr
	case "pickup":
		return daemonPickup
	case "smtp":
		return daemonSMTP
	case "local", "virtual", "lmtp", "pipe", "error":
		return daemonMailbox
	case "discard":
		return daemonDiscard
	case "anvil", "scache", "tlsmgr", "master", "proxymap", "trivial-rewrite", "verify", "dnsblog", "tlsproxy", "bounce",
		"showq", "flush", "postqueue", "postsuper", "postfix-script", "sendmail", "postdrop", "postlog", "postlogd",
		"postalias", "postmap", "postconf", "postcat", "postkick", "postlock", "postmulti", "qmqpd", "spawn", "smtp-sink",
		"defer", "trace", "retry", "postfix-tls-script", "post-install", "set-permissions", "proxywrite":
		return daemonQuiet
	}
	return daemonForeign
}

// text lexes what a daemon said into x.tok. It reports false for what no template matches; with true and opUnparsed in
// the token, the line says nothing that matters.
func (x *lexer) text(d daemon, b []byte) bool {
	switch d {
	case daemonSMTPD:
		return x.smtpd(b)
	case daemonScreen:
		return x.screen(b)
	case daemonCleanup:
		return x.cleanup(b)
	case daemonQmgr:
		return x.qmgr(b)
	case daemonPickup:
		return x.pickup(b)
	case daemonSMTP, daemonMailbox, daemonDiscard:
		return x.agent(d, b)
	}
	return true
}

// identify fills in who speaks.
func (x *lexer) identify() {
	l := &x.line
	if !bytes.Equal(l.Tag, x.tagText) || !bytes.Equal(l.Host, x.hostText) {
		x.hostText, x.tagText = l.Host, l.Tag
		x.daemon = daemonOf(l.Tag)
		x.host = hash(0, l.Host)
		x.tag = hash(x.host, l.Tag)
	}
	x.tok.host = uint32(x.host)
	x.tok.session = mix(x.tag + uint64(l.Pid))
}

// queued takes "QID: " off. It reports false where the text doesn't begin with a queue id or NOQUEUE.
func (x *lexer) queued(b []byte) ([]byte, bool) {
	if rest, ok := cut(b, "NOQUEUE: "); ok {
		x.tok.flags |= flagNoQueue
		return rest, true
	}
	n := queueID(b)
	if n == 0 || n+1 >= len(b) || b[n] != ':' || b[n+1] != ' ' {
		return b, false
	}
	x.tok.qid = x.span(b, n)
	return b[n+2:], true
}

// maxQueueID is the length of the longest queue id that is followed: 10 digits of time, a separator and a 64-bit
// inode number in base 51.
const maxQueueID = 24

// queueID returns the length of the queue id that b begins with, or 0: hexadecimal digits in capitals, or the long form,
// digits and consonants with a z behind the ten of the time.
func queueID(b []byte) int {
	class, n := uint8(3), 0
	for n < len(b) && queueByte[b[n]] != 0 {
		class &= queueByte[b[n]]
		n++
	}
	switch {
	case n < 5 || n > maxQueueID:
		return 0
	case class&1 != 0:
		return n
	case class&2 != 0 && n > 11 && (b[10] == 'z' || b[11] == 'z'):
		return n
	}
	return 0
}

// queueByte tells for each byte in which form of queue id it can stand: 1 short, 2 long; 4 for other letters.
var queueByte = func() (t [256]uint8) {
	for _, c := range "0123456789ABCDEF" {
		t[c] |= 1
	}
	for _, c := range "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz" {
		t[c] |= 2
	}
	for _, c := range "AEIOUaeiou" {
		t[c] |= 4
	}
	return t
}()

// severity reports whether the text is one of a daemon's own complaints.
func severity(b []byte) bool {
	return has(b, "warning: ") || has(b, "error: ") || has(b, "fatal: ") || has(b, "panic: ")
}
