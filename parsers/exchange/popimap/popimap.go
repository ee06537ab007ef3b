// Package popimap turns the protocol logs of Exchange's POP3 and IMAP4 services into events: logons that failed or
// succeeded.
//
// Lex is pure and may run on several goroutines at once; the rest belongs to one. The package does no I/O, reads no
// clock, starts no goroutine and judges nobody.
package popimap

import (
	"errors"
	"fmt"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/csvlog"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

// ErrState is returned by Restore for bytes that Changes didn't give out.
var ErrState = errors.New("not the state of a POP3 or IMAP4 log")

// Parser reads one stream of protocol logs. It implements the interface Parser of the package parsers.
type Parser struct {
	log *csvlog.Log[row]
	ev  harvestwatch.Event
}

// New returns a parser for one stream of a site, which it keeps and doesn't change.
func New(o *site.Site) *Parser {
	return &Parser{log: csvlog.New(newSpec(o))}
}

// Share returns which share of the whole lines in head, from 0 to 1, are understood as a POP3 or IMAP4 protocol log.
func Share(head []byte) float64 { return newSpec(&site.Site{}).Share(head) }

// Assumed returns "": the stamps say all.
func (p *Parser) Assumed() string { return "" }

// Lex takes the lines in l.Data apart and leaves what it found in l.Lexed. It touches nothing else.
func (p *Parser) Lex(l *harvestwatch.Lines) { p.log.Lex(l) }

// Changes yields the columns if they changed since the last call. The slices hold until yield returns.
func (p *Parser) Changes(yield func(key, value []byte)) { p.log.Changes(yield) }

// Restore takes back what Changes gave out, before the first Fold. Foreign bytes change nothing and give an error.
func (p *Parser) Restore(key, value []byte) error {
	own, err := p.log.Restore(key, value)
	if !own {
		err = fmt.Errorf("restore %d bytes under the key %q: %w", len(value), key, ErrState)
	}
	return err
}

// Fold tells the events of the rows that Lex kept.
func (p *Parser) Fold(l *harvestwatch.Lines, emit func(*harvestwatch.Event),
	unparsed func(pos harvestwatch.Pos, line []byte),
) harvestwatch.Counts {
	return p.log.Fold(l, func(r *row, at harvestwatch.Pos) int {
		p.ev = harvestwatch.Event{Time: r.at, Session: r.session, Addr: r.ip.Addr(), Pos: at, Kind: r.kind, User: r.user}
		emit(&p.ev)
		return 1
	}, unparsed)
}
