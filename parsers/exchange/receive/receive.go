// Package receive turns the SMTP receive protocol logs of Exchange, from 2007 to the Subscription Edition, into events.
// Lex takes each row apart: who spoke, the verb or the class of the reply. Fold follows each session, matches the
// replies to the commands, first in, first out, and tells what each reply says about the client.
//
// The client is the remote endpoint's address or, in a session in which a front end of the site hands on what others
// say, the one that the front end named and the server took. Nothing that a client writes names another.
//
// Lex is pure and may run on several goroutines at once; Fold, Changes and Restore belong to one. The package does no
// I/O, reads no clock and starts no goroutine. It counts nothing against anybody: that is the detector's job.
package receive

import (
	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/csvlog"
	"github.com/harvestwatch/harvestwatch/parsers/memory"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

// MaxSessions is how many sessions are remembered. Above it the one that was silent longest is forgotten, and counted
// in Pushed; what it says after that is understood without its memory.
const MaxSessions = 16_384

// The wanted columns, as readRow takes them.
const (
	colTime = iota
	colConnector
	colSession
	colSequence
	colLocal
	colRemote
	colEvent
	colData
	colContext
)

// format is what the package csvlog is told of these logs.
func format() *csvlog.Spec[row] {
	return &csvlog.Spec[row]{
		Types: []string{"smtp receive protocol log"},
		Columns: []string{"date-time", "connector-id", "session-id", "sequence-number", "local-endpoint", "remote-endpoint",
			"event", "data", "context"},
		Usual: "date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context",
		Row:   readRow,
	}
}

// Parser reads one stream of receive logs. It implements the interface Parser of the package parsers.
type Parser struct {
	site     *site.Site
	log      *csvlog.Log[row]
	sessions *memory.Table[uint64, session]
	fold     func(*row, harvestwatch.Pos) int // p.row

	// Set while Fold runs.
	lines *harvestwatch.Lines
	now   *row
	pos   harvestwatch.Pos
	emit  func(*harvestwatch.Event)
	told  int
	ev    harvestwatch.Event
}

// New returns a parser for one stream. o says which addresses are the site's own; it is not changed.
func New(o *site.Site) *Parser {
	p := &Parser{site: o, log: csvlog.New(format()), sessions: memory.NewTable[uint64, session](MaxSessions)}
	p.fold = p.row
	return p
}

// Lex reads l.Data into l.Lexed. It touches nothing else, so several Lines may be lexed at once.
func (p *Parser) Lex(l *harvestwatch.Lines) { p.log.Lex(l) }

// Fold turns what Lex left into events, in the order of the rows. The events' texts lie in l.Data and l.Lexed: events
// hold until emit returns, their texts until l is released.
func (p *Parser) Fold(l *harvestwatch.Lines, emit func(*harvestwatch.Event), unparsed func(harvestwatch.Pos, []byte)) harvestwatch.Counts {
	p.lines, p.emit = l, emit
	c := p.log.Fold(l, p.fold, unparsed)
	p.lines, p.now, p.emit = nil, nil, nil
	return c
}

// Assumed returns "": the stamps say all.
func (p *Parser) Assumed() string { return "" }

// Pushed returns how many sessions were forgotten because there were too many at once.
func (p *Parser) Pushed() int64 { return p.sessions.Pushed() }

// Share returns which share of the whole lines in head, from 0 to 1, are rows of a receive log that are understood.
func Share(head []byte) float64 { return format().Share(head) }
