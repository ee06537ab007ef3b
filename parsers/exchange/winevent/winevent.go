// Package winevent turns exported Windows events into events: number 1035 of Exchange's transport, an authentication at
// a receive connector that failed. It reads the XML that wevtutil and the Event Viewer write, one event to a line, many
// to a line, or one over several lines. The fixed places of the XML are read, never the localized text.
//
// A parser belongs to one goroutine, but for Lex, which leaves everything to Fold. The package does no I/O, reads no
// clock and starts no goroutine; it reads no other event, and no binary .evtx file.
package winevent

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/lines"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

// MaxEvent is the length in bytes above which an event is not read, and its last line counted as unparsed.
const MaxEvent = 64 << 10

// ErrState is returned by Restore for bytes that Changes didn't give out.
var ErrState = errors.New("not the state of exported events")

// Parser reads one stream of exported events. It implements the interface Parser of the package parsers.
type Parser struct {
	site  *site.Site
	part  []byte // what came of an event whose end has not come yet
	open  bool   // an event began
	large bool   // it has more than MaxEvent bytes, and is passed over
	dirty bool   // these changed since the last call of Changes
	saved bool   // Changes gave something out
}

// New returns a parser for one stream of a site, which it keeps and doesn't change.
func New(o *site.Site) *Parser { return &Parser{site: o} }

// Share returns which share of the whole lines in head, from 0 to 1, are understood as exported events. It is 0 where
// no event begins.
func Share(head []byte) float64 {
	if !bytes.Contains(head, []byte("http://schemas.microsoft.com/win/2004/08/events/event")) {
		return 0
	}
	head = lines.Whole(head)
	p := New(&site.Site{})
	c := p.Fold(&harvestwatch.Lines{Data: head}, func(*harvestwatch.Event) {}, nil)
	if c.Lines == 0 {
		return 0
	}
	return c.Understood()
}

// Assumed returns "": the stamps say all.
func (p *Parser) Assumed() string { return "" }

// Lex does nothing: where an event begins and ends depends on the lines before.
func (p *Parser) Lex(*harvestwatch.Lines) {}

// Fold tells the events that end in the lines of l, at the lines in which they end.
func (p *Parser) Fold(l *harvestwatch.Lines, emit func(*harvestwatch.Event),
	unparsed func(pos harvestwatch.Pos, line []byte),
) (c harvestwatch.Counts) {
	pos := l.Pos
	for rest := l.Data; len(rest) > 0; {
		line := rest
		if i := bytes.IndexByte(rest, '\n'); i >= 0 {
			line = rest[:i+1]
		}
		rest = rest[len(line):]
		c.Lines++
		switch n, ok := p.line(line, pos, emit); {
		case n > 0:
			c.Events += int64(n)
		case ok:
			c.Ignored++
		default:
			c.Unparsed++
			if unparsed != nil {
				unparsed(pos, bytes.TrimRight(line, "\r\n"))
			}
		}
		pos.Offset += int64(len(line))
		if pos.Line > 0 {
			pos.Line++
		}
	}
	return c
}

var (
	opening = []byte("<Event")
	closing = []byte("</Event>")
)

// line reads a line. It returns how many events ended in it, and whether all of it was understood.
func (p *Parser) line(line []byte, pos harvestwatch.Pos, emit func(*harvestwatch.Event)) (n int, ok bool) {
	ok = true
	for len(line) > 0 {
		from := 0
		if !p.open {
			i := begin(line)
			if i < 0 {
				return n, ok && frame(line)
			}
			ok = ok && frame(line[:i])
			line = line[i:]
			p.open, p.dirty = true, true
			from = len(opening)
		}
		i := bytes.Index(line[from:], closing)
		if j := begin(line[from:]); j >= 0 && (i < 0 || j < i) { // another begins: the end of this one is lost
			ok, line = false, line[from+j:]
			p.reset()
			continue
		}
		if i < 0 {
			p.keep(line)
			return n, ok
		}
		whole := line[:from+i+len(closing)]
		line = line[len(whole):]
		if len(p.part) > 0 || p.large {
			p.keep(whole)
			whole = p.part
		}
		switch ev, understood := p.read(whole); {
		case !understood || p.large:
			ok = false
		case ev != nil:
			ev.Pos = pos
			emit(ev)
			n++
		}
		p.reset()
	}
	return n, ok
}

// reset forgets an event.
func (p *Parser) reset() {
	p.part, p.open, p.large, p.dirty = p.part[:0], false, false, true
}

// keep adds to an event that goes on in the next line.
func (p *Parser) keep(b []byte) {
	p.dirty = true
	if p.large || len(p.part)+len(b) > MaxEvent {
		p.part, p.large = p.part[:0], true
		return
	}
	p.part = append(p.part, b...)
}

// begin returns where an event begins, or -1. Other elements have names that begin alike: Events, EventData, EventID.
func begin(b []byte) int {
	for at := 0; ; {
		i := bytes.Index(b[at:], opening)
		if i < 0 {
			return -1
		}
		at += i + len(opening)
		if at == len(b) || bytes.IndexByte([]byte(" \t\r\n>"), b[at]) >= 0 {
			return at - len(opening)
		}
	}
}

// frame reports whether b is what may stand between events: nothing, a mark of the byte order, the declaration of the
// document or its root.
func frame(b []byte) bool {
	b = bytes.TrimSpace(bytes.TrimPrefix(bytes.TrimSpace(b), []byte("\xef\xbb\xbf")))
	for len(b) > 0 {
		known := bytes.HasPrefix(b, []byte("<?xml ")) || bytes.HasPrefix(b, []byte("<Events>")) ||
			bytes.HasPrefix(b, []byte("<Events ")) || bytes.HasPrefix(b, []byte("</Events>"))
		i := bytes.IndexByte(b, '>')
		if !known || i < 0 {
			return false
		}
		b = bytes.TrimSpace(b[i+1:])
	}
	return true
}

// keyPart is the key under which Changes gives out the part of an event.
const keyPart = 'e'

// Changes yields the part of an event that goes on in the next line, if it changed since the last call; nil when there
// is none any more. The slices hold until yield returns.
func (p *Parser) Changes(yield func(key, value []byte)) {
	if !p.dirty || !p.open && !p.saved {
		p.dirty = false
		return
	}
	p.dirty, p.saved = false, p.open
	if !p.open {
		yield([]byte{keyPart}, nil)
		return
	}
	value := []byte{0}
	if p.large {
		value[0] = 1
	}
	yield([]byte{keyPart}, append(value, p.part...))
}

// Restore takes back what Changes gave out, before the first Fold. Foreign bytes change nothing and give an error.
func (p *Parser) Restore(key, value []byte) error {
	if len(key) != 1 || key[0] != keyPart || len(value) < 1 || len(value) > MaxEvent+1 || value[0] > 1 || value[0] == 1 && len(value) > 1 {
		return fmt.Errorf("restore %d bytes under the key %q: %w", len(value), key, ErrState)
	}
	p.part, p.open, p.large, p.saved = append(p.part[:0], value[1:]...), true, value[0] == 1, true
	return nil
}
