// Package maillog reads what the mail programs of one host write into one log by syslog: Postfix and Dovecot, in any
// mixture. It has no templates of its own: it gives each line to the parser whose it is, keeps the events in the order
// of the lines, and knows that Dovecot and Postfix both tell of an attempt to authenticate to Postfix when Dovecot is
// what Postfix asks.
//
// Lex is pure and may run on several goroutines at once; Fold, Changes and Restore belong to one. The package does no
// I/O, reads no clock and starts no goroutine.
package maillog

import (
	"encoding/binary"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/address"
	"github.com/harvestwatch/harvestwatch/parsers/dovecot"
	"github.com/harvestwatch/harvestwatch/parsers/memory"
	"github.com/harvestwatch/harvestwatch/parsers/postfix"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

const (
	// maxAsked is how many addresses are remembered whose attempt Dovecot told and Postfix didn't yet. Above it the
	// oldest is forgotten, and its attempt is told twice.
	maxAsked = 4096
	// askTime is how long after Dovecot Postfix tells of an attempt: it answers the client first, who is kept waiting.
	askTime = 60 * int64(time.Second)
)

// Parser reads one stream. It implements the interface Parser of the package parsers.
type Parser struct {
	postfix *postfix.Parser
	dovecot *dovecot.Parser
	asked   *memory.Table[address.IP, ask]

	// Set while Fold runs.
	items  []item
	next   int      // the first of items that isn't told yet
	marks  []uint32 // of lexed, those that aren't passed yet
	base   int64    // the offset of the first line
	emit   func(*harvestwatch.Event)
	line   func(harvestwatch.Pos, []byte)
	counts harvestwatch.Counts
	same   sameLine
}

// ask is what Dovecot told of attempts to authenticate to another server.
type ask struct {
	last int64 // when the last one was
	n    uint32
}

// item is what Dovecot's parser made of a line.
type item struct {
	ev    harvestwatch.Event
	pos   harvestwatch.Pos
	line  []byte
	plain bool // an unparsed line, no event
}

// sameLine counts the events of one of Postfix's lines.
type sameLine struct {
	offset        int64
	sent, dropped int
}

// lexed is what Lex leaves in Lines.Lexed.
type lexed struct {
	postfix harvestwatch.Lines
	dovecot harvestwatch.Lines
	marks   []uint32 // where Dovecot's lines begin, those that say something
	buf     []byte   // all lines with those of marks made unreadable, when there are any
}

// New returns a parser for one stream. It uses what dovecot.New and postfix.New use of the site.
func New(o *site.Site) *Parser {
	return &Parser{
		postfix: postfix.New(o.Reference, o.Year, o.Location),
		dovecot: dovecot.New(o),
		asked:   memory.NewTable[address.IP, ask](maxAsked),
	}
}

// Assumed says in one phrase which year and zone were taken for stamps without, "" when the stamps say all.
func (p *Parser) Assumed() string {
	if text := p.postfix.Assumed(); text != "" {
		return text
	}
	return p.dovecot.Assumed()
}

// Pushed returns how many messages, sessions and attempts were forgotten because there were too many at once.
func (p *Parser) Pushed() int64 { return p.postfix.Pushed() + p.dovecot.Pushed() + p.asked.Pushed() }

// Share returns which share of the whole lines in head, from 0 to 1, are lines of Postfix or Dovecot that are understood.
func Share(head []byte) float64 { return min(1, postfix.Share(head)+dovecot.ShareAmong(head)) }

// Lex reads l.Data into l.Lexed. It touches nothing else, so several Lines may be lexed at once.
func (p *Parser) Lex(l *harvestwatch.Lines) {
	out, ok := l.Lexed.(*lexed)
	if !ok {
		out = &lexed{}
		l.Lexed = out
	}
	out.marks = out.marks[:0]
	out.dovecot.Data, out.postfix.Data = l.Data, l.Data
	p.dovecot.LexAmong(&out.dovecot, func(off int) {
		if len(out.marks) == 0 {
			out.buf = append(out.buf[:0], l.Data...)
		}
		out.marks = append(out.marks, uint32(off))
		out.buf[off] = mark
	})
	if len(out.marks) > 0 {
		out.postfix.Data = out.buf
	}
	p.postfix.Lex(&out.postfix)
}

// mark stands in Postfix's copy for the first byte of a line of Dovecot's: Postfix's parser finds no stamp in the line
// and hands it back at its place as not understood.
const mark = '-'

// Fold turns what Lex left into events, in the order of the lines. Events and unparsed lines hold until the call that
// tells them returns, their texts until l is released.
func (p *Parser) Fold(l *harvestwatch.Lines, emit func(*harvestwatch.Event), unparsed func(harvestwatch.Pos, []byte)) harvestwatch.Counts {
	out, ok := l.Lexed.(*lexed)
	if !ok {
		p.Lex(l)
		out = l.Lexed.(*lexed)
	}
	out.postfix.Pos, out.dovecot.Pos = l.Pos, l.Pos
	if len(out.marks) == 0 && p.asked.Len() == 0 {
		return p.postfix.Fold(&out.postfix, emit, unparsed)
	}
	p.items, p.next, p.counts, p.same = p.items[:0], 0, harvestwatch.Counts{}, sameLine{offset: -1}
	p.emit, p.line, p.marks, p.base = emit, unparsed, out.marks, l.Pos.Offset
	if n := int64(len(out.marks)); n > 0 {
		c := p.dovecot.Fold(&out.dovecot, p.keep, p.keepLine)
		p.counts.Add(harvestwatch.Counts{Events: c.Events, Ignored: c.Ignored - (c.Lines - n), Unparsed: c.Unparsed - n})
	}
	p.counts.Add(p.postfix.Fold(&out.postfix, p.merge, p.mergeLine))
	p.endLine()
	p.emit, p.line, p.marks = nil, nil, nil
	return p.counts
}

func (p *Parser) keep(ev *harvestwatch.Event) {
	p.items = append(p.items, item{ev: *ev, pos: ev.Pos})
}

func (p *Parser) keepLine(pos harvestwatch.Pos, line []byte) {
	p.items = append(p.items, item{pos: pos, line: line, plain: true})
}

// mergeLine is called for each line that Postfix's parser doesn't understand, those of Dovecot among them.
func (p *Parser) mergeLine(pos harvestwatch.Pos, line []byte) {
	if len(p.marks) == 0 || int64(p.marks[0]) != pos.Offset-p.base {
		if p.line != nil {
			p.line(pos, line)
		}
		return
	}
	p.marks = p.marks[1:]
	for ; p.next < len(p.items) && p.items[p.next].pos.Offset == pos.Offset; p.next++ {
		p.tell(&p.items[p.next])
	}
}

// tell tells what Dovecot's parser made of a line.
func (p *Parser) tell(it *item) {
	if it.plain {
		if p.line != nil {
			p.line(it.pos, it.line)
		}
		return
	}
	if it.ev.Kind == harvestwatch.AuthFail && it.ev.Session == 0 && it.ev.Addr.IsValid() {
		a, fresh := p.asked.Put(ipOf(it.ev.Addr))
		if fresh || !near(a.last, it.ev.Time) {
			*a = ask{}
		}
		a.n++
		a.last = it.ev.Time
	}
	p.emit(&it.ev)
}

// merge is called for each of Postfix's events.
func (p *Parser) merge(ev *harvestwatch.Event) {
	if ev.Pos.Offset != p.same.offset {
		p.endLine()
		p.same.offset = ev.Pos.Offset
	}
	if ev.Kind == harvestwatch.AuthFail && p.told(ev) {
		p.same.dropped++
		p.counts.Events--
		return
	}
	p.same.sent++
	p.emit(ev)
}

// endLine counts a line as ignored of which every event was dropped.
func (p *Parser) endLine() {
	if p.same.dropped > 0 && p.same.sent == 0 {
		p.counts.Ignored++
	}
	p.same = sameLine{offset: -1}
}

// told reports whether Dovecot told of the attempt that Postfix tells of now.
func (p *Parser) told(ev *harvestwatch.Event) bool {
	if !ev.Addr.IsValid() {
		return false
	}
	key := ipOf(ev.Addr)
	a := p.asked.Get(key)
	if a == nil {
		return false
	}
	hit := near(a.last, ev.Time)
	if hit {
		a.n--
		p.asked.Touch(key)
	}
	if !hit || a.n == 0 {
		p.asked.Drop(key)
	}
	return hit
}

func near(a, b int64) bool { return max(a-b, b-a) <= askTime }

func ipOf(a harvestwatch.Addr) address.IP {
	b := a.As16()
	return address.IP{Hi: binary.BigEndian.Uint64(b[:8]), Lo: binary.BigEndian.Uint64(b[8:])}
}
