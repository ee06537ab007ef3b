package receive

import (
	"bytes"

	"github.com/harvestwatch/harvestwatch/parsers/site"
)

// verbs is a set of commands, as far as they are told apart.
type verbs uint16

const (
	hello     verbs = 1 << iota // HELO, EHLO
	mail                        // MAIL
	rcpt                        // RCPT
	data                        // DATA
	chunk                       // BDAT
	last                        // BDAT ... LAST
	auth                        // AUTH, and X-EXPS, Exchange's own form of it
	reset                       // RSET
	tls                         // STARTTLS, X-ANONYMOUSTLS
	quit                        // QUIT
	proxyFrom                   // XPROXYFROM: what follows is what another said
	proxyUser                   // XPROXY: and he has authenticated
	peer                        // what servers of one site say to each other only
	other                       // anything else
	anyVerb   = other<<1 - 1
	bodies    = data | chunk | last
)

// verbNames are the verbs by name; those that aren't here are others.
var verbNames = [...]struct {
	name string
	verb verbs
}{
	{"RCPT", rcpt}, {"MAIL", mail}, {"EHLO", hello}, {"HELO", hello}, {"QUIT", quit}, {"RSET", reset}, {"DATA", data}, {"BDAT", chunk},
	{"AUTH", auth}, {"X-EXPS", auth}, {"STARTTLS", tls}, {"XPROXYFROM", proxyFrom}, {"XPROXY", proxyUser}, {"XPROXYTO", peer},
	{"X-ANONYMOUSTLS", peer}, {"XSHADOW", peer}, {"XSHADOWREQUEST", peer}, {"XQUEUEDISCARD", peer},
}

// command reads what a client said.
func (r *row) command(line []byte, scratch *[]byte) {
	name, args := word(line)
	r.verbs = other
	for i := range verbNames {
		if v := &verbNames[i]; fold(name, v.name) {
			r.verbs = v.verb
			break
		}
	}
	switch r.verbs {
	case hello:
		r.text = site.Cut(bytes.TrimSpace(args), scratch)
	case mail:
		if path, ok := argument(args, "FROM:", scratch); ok {
			r.text = path
			if len(path) == 0 {
				r.flags |= rowNull
			}
		}
	case rcpt:
		r.text, _ = argument(args, "TO:", scratch)
	case chunk:
		if i := bytes.LastIndexByte(bytes.TrimSpace(args), ' '); i >= 0 && fold(bytes.TrimSpace(args[i:]), "LAST") {
			r.verbs = last
		}
	case proxyFrom, proxyUser:
		r.text = parseProxy(r.verbs, args, scratch)
	}
}

// word cuts a line behind its first word.
func word(line []byte) (name, rest []byte) {
	for i, c := range line {
		if c == ' ' || c == '\t' {
			return line[:i], line[i+1:]
		}
	}
	return line, nil
}

// fold reports whether b is the name, given in capitals, without regard to case.
func fold(b []byte, name string) bool {
	if len(b) != len(name) {
		return false
	}
	for i, c := range b {
		if c-'a' < 26 {
			c -= 'a' - 'A'
		}
		if c != name[i] {
			return false
		}
	}
	return true
}

// argument reads the path behind FROM: or TO:, with or without blanks and angle brackets (RFC 5321 section 4.1.2). An
// empty path is not nil. What else a command has instead of a path gives nil and false.
func argument(args []byte, keyword string, scratch *[]byte) ([]byte, bool) {
	args = bytes.TrimLeft(args, " \t")
	if len(args) < len(keyword) || !fold(args[:len(keyword)], keyword) {
		return nil, false
	}
	args = bytes.TrimLeft(args[len(keyword):], " \t")
	if len(args) == 0 {
		return nil, false
	}
	if args[0] != '<' {
		path, _ := word(args)
		return site.Cut(path, scratch), true
	}
	return site.Cut(args[1:1+closing(args[1:])], scratch), true
}

// closing returns where the angle bracket stands that ends a path, or the length where none does: the first one with a
// blank or nothing behind it that doesn't stand between quotation marks, or the first one of all.
func closing(path []byte) int {
	first := bytes.IndexByte(path, '>')
	if first < 0 {
		return len(path)
	}
	if bytes.IndexByte(path[:first], '"') < 0 && ends(path[first+1:]) {
		return first
	}
	quoted := false
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == '>' && !quoted && ends(path[i+1:]):
			return i
		}
	}
	return first
}

func ends(rest []byte) bool { return len(rest) == 0 || rest[0] == ' ' || rest[0] == '\t' }

// isProbe reports whether a sender is one under which Exchange watches itself.
func isProbe(sender []byte) bool {
	for _, name := range [...]string{"HEALTHMAILBOX", "INBOUNDPROXY@", "MAILDELIVERYPROBE@", "PROBE@"} {
		if len(sender) >= len(name) && fold(sender[:len(name)], name) {
			return true
		}
	}
	return false
}
