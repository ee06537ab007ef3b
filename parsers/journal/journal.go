// Package journal reads the journal of systemd as "journalctl -o json" writes it, one entry a line, for hosts whose mail
// programs write no files. Each entry is turned into the line that a syslog daemon would have written of it, and given
// to the parser of such logs; places in the input stay those of the entries.
//
// Whoever may write to the journal chooses the identifier of his entries: any program of the host can claim to be
// postfix/smtpd, just as in a file that syslog writes. Line feeds and other control characters in a message become
// blanks, so that one entry never becomes two lines.
//
// Lex is pure and may run on several goroutines at once; Fold, Changes and Restore belong to one. The package does no
// I/O, reads no clock and starts no goroutine; internal/journal runs journalctl.
package journal

import (
	"bytes"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/lines"
	"github.com/harvestwatch/harvestwatch/parsers/maillog"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

// Inner is the parser that is given the made-up lines; the interface Parser of the package parsers has its methods.
type Inner interface {
	Lex(l *harvestwatch.Lines)
	Fold(l *harvestwatch.Lines, emit func(*harvestwatch.Event), unparsed func(pos harvestwatch.Pos, line []byte)) harvestwatch.Counts
	Changes(yield func(key, value []byte))
	Restore(key, value []byte) error
	Assumed() string
}

// Parser reads one stream. It implements the interface Parser of the package parsers.
type Parser struct{ inner Inner }

// New returns a parser for one stream of a host's mail programs, as maillog reads their lines.
func New(o *site.Site) *Parser { return &Parser{inner: maillog.New(o)} }

// Over returns a parser that gives the lines to inner, which it owns from then on.
func Over(inner Inner) *Parser { return &Parser{inner: inner} }

// lexed is what Lex leaves in Lines.Lexed.
type lexed struct {
	inner harvestwatch.Lines // its Data are the made-up lines, each as long as the entry it was made of
	entry entry
}

// Lex reads l.Data into l.Lexed. It touches nothing else, so several Lines may be lexed at once.
func (p *Parser) Lex(l *harvestwatch.Lines) {
	out, ok := l.Lexed.(*lexed)
	if !ok {
		out = &lexed{}
		l.Lexed = out
	}
	out.inner.Data = translate(&out.entry, out.inner.Data[:0], l.Data)
	p.inner.Lex(&out.inner)
}

// translate appends to buf, for each line of data, a line of the same length. A line that is no entry becomes one that
// no parser understands.
func translate(e *entry, buf, data []byte) []byte {
	for off := 0; off < len(data); {
		end := bytes.IndexByte(data[off:], '\n')
		next := off + end + 1
		if end < 0 {
			next = len(data)
			end = next
		} else {
			end += off
		}
		line := data[off:end]
		if len(bytes.TrimRight(line, "\r")) > 0 {
			ok := e.read(line)
			if ok {
				buf, ok = e.write(buf, len(line))
			}
			if !ok {
				buf = fill(buf, questions, len(line))
			}
		} else {
			buf = append(buf, line...)
		}
		if next > end {
			buf = append(buf, '\n')
		}
		off = next
	}
	return buf
}

// fill appends n times the byte that pattern holds.
func fill(b []byte, pattern string, n int) []byte {
	for n > 0 {
		k := min(n, len(pattern))
		b = append(b, pattern[:k]...)
		n -= k
	}
	return b
}

const (
	dashes    = "----------------------------------------------------------------------------------------------------------------"
	questions = "????????????????????????????????????????????????????????????????????????????????????????????????????????????????"
)

// Fold turns what Lex left into events, in the order of the lines. Events and unparsed lines hold until the call that
// tells them returns, their texts until l is released.
func (p *Parser) Fold(l *harvestwatch.Lines, emit func(*harvestwatch.Event), unparsed func(harvestwatch.Pos, []byte)) harvestwatch.Counts {
	out, ok := l.Lexed.(*lexed)
	if !ok {
		p.Lex(l)
		out = l.Lexed.(*lexed)
	}
	out.inner.Pos = l.Pos
	if unparsed == nil {
		return p.inner.Fold(&out.inner, emit, nil)
	}
	return p.inner.Fold(&out.inner, emit, func(pos harvestwatch.Pos, _ []byte) {
		line := l.Data[pos.Offset-l.Pos.Offset:]
		if i := bytes.IndexByte(line, '\n'); i >= 0 {
			line = line[:i]
		}
		unparsed(pos, line)
	})
}

// Changes yields what the inner parser remembers: it is stored as that parser's own, so a host may go over from files to
// the journal.
func (p *Parser) Changes(yield func(key, value []byte)) { p.inner.Changes(yield) }

// Restore takes back what Changes gave out, as the inner parser does.
func (p *Parser) Restore(key, value []byte) error { return p.inner.Restore(key, value) }

// Assumed returns "": every entry says when it was written, in UTC.
func (p *Parser) Assumed() string { return p.inner.Assumed() }

// Share returns which share of the whole lines in head, from 0 to 1, are entries of a journal, of whatever program:
// a journal is told by its form, and mail can make up very little of it.
func Share(head []byte) float64 {
	head = lines.Whole(head)
	var e entry
	entries, lines := 0, 0
	for line := range bytes.Lines(head) {
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			continue
		}
		lines++
		if e.read(line) {
			entries++
		}
	}
	if lines == 0 {
		return 0
	}
	return float64(entries) / float64(lines)
}
