// Package tracking2003 turns the message tracking logs of Exchange 2000 and 2003 into events: messages that were taken
// in by SMTP, their local deliveries, and the recipients that turned out not to exist. The rows are separated by tabs,
// and one message has a row for each of its recipients.
//
// Lex is pure and may run on several goroutines at once; the rest belongs to one. The package does no I/O, reads no
// clock and starts no goroutine, and keeps no subjects.
package tracking2003

import (
	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/address"
	"github.com/harvestwatch/harvestwatch/parsers/lines"
	"github.com/harvestwatch/harvestwatch/parsers/memory"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

// Bounds of what the fold remembers. Above them the oldest is forgotten.
const (
	MaxMessages   = 32_768  // messages, by their id
	MaxRecipients = 131_072 // recipients that messages came in for
)

// Parser reads one stream of tracking logs. It implements the interface Parser of the package parsers.
type Parser struct {
	site       *site.Site
	owners     *memory.Table[uint64, owner]  // by id
	arrivals   *memory.Table[uint64, int64]  // when a client's message with an id last came
	recipients *memory.Table[uint64, uint64] // from id and recipient to the Join

	// Set while Fold runs.
	out *lexed
	ev  harvestwatch.Event
}

// New returns a parser for one stream of a site, which it keeps and doesn't change.
func New(o *site.Site) *Parser {
	return &Parser{
		site:       o,
		owners:     memory.NewTable[uint64, owner](MaxMessages),
		arrivals:   memory.NewTable[uint64, int64](MaxMessages),
		recipients: memory.NewTable[uint64, uint64](MaxRecipients),
	}
}

// Share returns which share of the whole lines in head, from 0 to 1, are understood as such a tracking log. It is 0
// where neither the header nor a row shows that it is one.
func Share(head []byte) float64 {
	head = lines.Whole(head)
	l := harvestwatch.Lines{Data: head}
	out := lex(&l)
	if out.lines == 0 {
		return 0
	}
	understood := out.quiet
	rows := false
	for i := range out.tokens {
		if out.tokens[i].op != opUnparsed {
			understood++
			rows = true
		}
	}
	if !out.header && !rows {
		return 0
	}
	return float64(understood) / float64(out.lines)
}

// Assumed returns "": the stamps say all.
func (p *Parser) Assumed() string { return "" }

// Lex takes the lines in l.Data apart and leaves what it found in l.Lexed. It touches nothing else.
func (p *Parser) Lex(l *harvestwatch.Lines) { lex(l) }

// Fold tells the events of the rows that Lex found.
func (p *Parser) Fold(l *harvestwatch.Lines, emit func(*harvestwatch.Event),
	unparsed func(pos harvestwatch.Pos, line []byte),
) harvestwatch.Counts {
	out, ok := l.Lexed.(*lexed)
	if !ok {
		out = lex(l)
	}
	p.out = out
	c := harvestwatch.Counts{Lines: out.lines, Ignored: out.quiet}
	for i := range out.tokens {
		t := &out.tokens[i]
		pos := l.Pos
		pos.Offset += int64(t.off)
		if pos.Line > 0 {
			pos.Line += int64(t.line)
		}
		switch {
		case t.op == opUnparsed:
			c.Unparsed++
			if unparsed != nil {
				unparsed(pos, l.Data[t.off:t.end])
			}
		case p.tell(t, pos):
			emit(&p.ev)
			c.Events++
		default:
			c.Ignored++
		}
	}
	p.out = nil
	return c
}

// cut bounds a text; an empty one is nil.
func (p *Parser) cut(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return site.Cut(b, &p.out.scratch)
}

// known reports whether an address is one that a client can have.
func known(ip address.IP) bool { return !ip.None() && (!ip.Is4() || uint32(ip.Lo) != 0) }
