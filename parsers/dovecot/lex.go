package dovecot

import (
	"bytes"
	"math"
	"slices"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/address"
	"github.com/harvestwatch/harvestwatch/parsers/lines"
	"github.com/harvestwatch/harvestwatch/parsers/syslog"
)

// op says what the fold does with a token.
type op uint8

const (
	opUnparsed op = iota // nobody understood the line
	opAttempt            // an attempt failed, says a password database or pam_unix
	opEnd                // a connection ended; fails holds its attempts that failed
	opEvent              // one event of the token's kind
	opVisit              // a connection ended without an attempt
)

// span is a stretch of the lines' data.
type span struct {
	off uint32
	len uint16
}

func (s span) of(data []byte) []byte {
	if s.len == 0 {
		return nil
	}
	return data[s.off : s.off+uint32(s.len) : s.off+uint32(s.len)]
}

// token is what Lex leaves of one line for the fold. It holds no pointer.
type token struct {
	stamp   syslog.Stamp
	ip      address.IP
	session uint64 // the session's id, hashed; 0 for none
	off     uint32 // where the line begins
	end     uint32 // where it ends
	line    uint32 // its number in the Lines, from 0
	fails   uint32 // attempts that failed, in a connection's last line
	driver  uint32 // which password database speaks, hashed
	user    span
	repeat  uint16 // how often the syslog daemon saw the line: 1 if it says nothing
	op      op
	kind    harvestwatch.Kind
	answer  answer // of the password database
}

// lexed is what Lex leaves in Lines.Lexed.
type lexed struct {
	tokens  []token
	arena   []byte // texts of events that don't stand in the lines as they are
	lines   int64
	empty   int64
	foreign int64 // lines of other programs
	quiet   int64 // lines of Dovecot that say nothing about a client
	among   bool  // the numbers above are not those of all lines yet
	lexer   lexer
}

// lexer reads the lines of one Lines.
type lexer struct {
	data   []byte
	out    *lexed
	line   syslog.Line
	tok    *token
	strict bool // among other programs' lines: only what a syslog daemon wrote with Dovecot's tag

	stamp [64]byte    // for a stamp that is rewritten
	label syslog.Line // of which only the stamp matters
}

// verdict says what became of a line.
type verdict uint8

const (
	unknown verdict = iota // Dovecot's, and not understood
	foreign                // another program's
	quiet                  // says nothing about a client
	telling                // the token holds what it says
)

// Lex reads l.Data into l.Lexed. It touches nothing else, so several Lines may be lexed at once.
func (p *Parser) Lex(l *harvestwatch.Lines) {
	lex(l.Data, room(l), false)
}

func room(l *harvestwatch.Lines) *lexed {
	out, ok := l.Lexed.(*lexed)
	if !ok {
		out = &lexed{}
		l.Lexed = out
	}
	return out
}

func lex(data []byte, out *lexed, strict bool) {
	x := out.begin(data, strict)
	for off := 0; off < len(data); {
		end, next := lines.Next(data, off)
		x.read(off, end)
		off = next
		out.lines++
	}
}

// begin empties what an earlier Lex left.
func (out *lexed) begin(data []byte, strict bool) *lexer {
	*out = lexed{tokens: out.tokens[:0], arena: out.arena[:0]}
	out.lexer = lexer{data: data, out: out, strict: strict}
	return &out.lexer
}

// LexAmong is Lex for a log that all mail programs of a host write by syslog. Only lines that hold the word dovecot are
// looked at, every other one counts as ignored; so a log without Dovecot costs next to nothing. mark is called for each
// line that says something about a client or isn't understood, in their order, with the offset of the line in l.Data.
func (p *Parser) LexAmong(l *harvestwatch.Lines, mark func(off int)) {
	data, out := l.Data, room(l)
	x := out.begin(data, true)
	out.among = true
	counted := 0
	for at := 0; ; {
		i := bytes.Index(data[at:], word)
		if i < 0 {
			return
		}
		if at += i; at < 2 || data[at-2] != 'd' || data[at-1] != 'o' {
			at += len(word)
			continue
		}
		off := bytes.LastIndexByte(data[:at], '\n') + 1
		out.lines += int64(bytes.Count(data[counted:off], lineFeed))
		counted = off
		end, next := lines.Next(data, off)
		before := len(out.tokens)
		x.read(off, end)
		if len(out.tokens) > before {
			mark(off)
		}
		at = next
	}
}

// countAmong counts the lines of which LexAmong looked at some only.
func (out *lexed) countAmong(data []byte) {
	out.lines = int64(bytes.Count(data, lineFeed))
	if n := len(data); n > 0 && data[n-1] != '\n' {
		out.lines++
	}
	out.quiet, out.foreign, out.among = out.lines-int64(len(out.tokens)), 0, false
}

var (
	word     = []byte("vecot") // what is rare in dovecot, and fast to find
	lineFeed = []byte{'\n'}
)

// read lexes the line between two places.
func (x *lexer) read(off, end int) {
	if end == off {
		x.out.empty++
		x.out.foreign++
		return
	}
	n := len(x.out.tokens)
	if n == cap(x.out.tokens) {
		x.out.tokens = slices.Grow(x.out.tokens, n+64)
	}
	x.out.tokens = x.out.tokens[:n+1]
	x.tok = &x.out.tokens[n]
	plain := token{off: uint32(off), end: uint32(end), line: uint32(x.out.lines), repeat: 1}
	*x.tok = plain
	said := unknown
	if end-off <= MaxLine {
		said = x.parse(x.data[off:end])
	}
	switch said {
	case telling:
		return
	case unknown:
		plain.stamp = x.tok.stamp
		*x.tok = plain
		return
	case foreign:
		x.out.foreign++
	case quiet:
		x.out.quiet++
	}
	x.out.tokens = x.out.tokens[:n]
}

// span returns where b, a part of the data, stands.
func (x *lexer) span(b []byte) span {
	return span{off: uint32(cap(x.data) - cap(b)), len: uint16(min(len(b), math.MaxUint16))}
}
