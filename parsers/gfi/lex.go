package gfi

import (
	"bytes"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/lines"
)

// lexed is what Lex leaves in Lines.Lexed.
type lexed struct {
	lines []line
	found []int  // the pattern's groups in the lines that match, as pairs of offsets from the line's start
	arena []byte // texts that don't stand in the lines as they are
}

// line is a line in Lines.Data.
type line struct {
	start, end int // without the line end
	next       int // where the next line starts
	match      int // where in found the line's groups are, -1 where the pattern doesn't match
}

// span is a text between two offsets.
type span struct {
	start, end int
	quoted     bool // it holds doubled quotation marks
}

// Lex takes the lines in l.Data apart. It touches nothing but l, so it may run for several Lines at once and in any
// order.
func (p *Parser) Lex(l *harvestwatch.Lines) {
	out, ok := l.Lexed.(*lexed)
	if !ok {
		out = &lexed{}
		l.Lexed = out
	}
	out.lines, out.found, out.arena = out.lines[:0], out.found[:0], out.arena[:0]
	for at := 0; at < len(l.Data); {
		end, next := lines.Next(l.Data, at)
		out.lines = append(out.lines, line{at, end, next, p.find(l.Data[at:end], out)})
		at = next
	}
}

// find holds the pattern against a line and returns where its groups were put.
func (p *Parser) find(text []byte, out *lexed) int {
	if p.pattern == nil || len(text) > maxRecord {
		return -1
	}
	m := p.pattern.FindSubmatchIndex(text)
	if m == nil {
		return -1
	}
	at := len(out.found)
	out.found = append(out.found, m...)
	return at
}

// record is a record of a table being taken apart.
type record struct {
	delim byte
	state int
}

// States of a record: what the next byte can be.
const (
	fieldStart = iota
	inPlain
	inQuotes
	afterQuote // a quotation mark inside quotes: the end of the field, or half of a doubled one
	broken     // text behind a closing quotation mark: no table writes that
)

// goOn takes the bytes of one line and reports whether the record goes on in the next: a quotation mark opens only at
// the start of a field and closes only before a delimiter or the line's end.
func (r *record) goOn(text []byte) bool {
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch r.state {
		case fieldStart, inPlain:
			switch {
			case c == r.delim:
				r.state = fieldStart
			case c == '"' && r.state == fieldStart:
				r.state = inQuotes
			default:
				r.state = inPlain
			}
		case inQuotes:
			if c == '"' {
				r.state = afterQuote
			}
		case afterQuote:
			switch c {
			case r.delim:
				r.state = fieldStart
			case '"':
				r.state = inQuotes
			default:
				r.state = broken
				return false
			}
		}
	}
	return r.state == inQuotes
}

// split takes a whole record apart into its fields. It reports false for a record that is broken or has more than
// maxColumns fields.
func split(text []byte, delim byte, out []span) ([]span, bool) {
	out = out[:0]
	for at := 0; ; {
		f := span{start: at}
		if at < len(text) && text[at] == '"' {
			f.start++
			end := closing(text, f.start, &f.quoted)
			if end < 0 {
				return out, false
			}
			f.end, at = end, end+1
			if at < len(text) && text[at] != delim {
				return out, false
			}
		} else {
			f.end = len(text)
			if i := bytes.IndexByte(text[at:], delim); i >= 0 {
				f.end = at + i
			}
			at = f.end
		}
		out = append(out, f)
		if at >= len(text) {
			return out, true
		}
		if len(out) == maxColumns {
			return out, false
		}
		at++ // the delimiter
	}
}

// closing returns where the quotation mark is that ends a field, or -1.
func closing(text []byte, at int, doubled *bool) int {
	for at < len(text) {
		i := bytes.IndexByte(text[at:], '"')
		if i < 0 {
			return -1
		}
		at += i
		if at+1 == len(text) || text[at+1] != '"' {
			return at
		}
		*doubled = true
		at += 2
	}
	return -1
}
