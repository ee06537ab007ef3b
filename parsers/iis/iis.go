// Package iis turns the logs of the SMTP service of Internet Information Services (Exchange 2000 and 2003, IIS 6 to 8.5)
// into events. The service writes the same rows, one for each command with the code of its reply, in three text formats:
// W3C Extended, NCSA common and its own, which Microsoft calls the Microsoft IIS format.
//
// The client is only ever what the column of the client's address says. The rows hold no reply text, no connection and
// no delivery: so an unknown user is told from a relay attempt by the domains that the site serves, and a connection is
// a HELO. A message that was accepted is told as delivered to each recipient that was accepted with it; where the rows
// name no recipient, no delivery is told. Rows of the service's own connections to others, and of other services of the
// same server, are ignored.
//
// A client can put what looks like a whole row into its HELO name. Its address stands before that, so what speaks against
// it is told of such a row too, as far as the row's end says it; what speaks for it is not.
//
// Lex may run on several goroutines at once; Fold, Changes, Restore and Assumed belong to one. The package does no I/O,
// reads no clock and starts no goroutine.
package iis

import (
	"strings"
	"sync/atomic"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/address"
	"github.com/harvestwatch/harvestwatch/parsers/lines"
	"github.com/harvestwatch/harvestwatch/parsers/memory"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

// MaxClients is how many clients' latest MAIL and STARTTLS, and how many connections they have open, are remembered. Above
// it the client that was silent longest is forgotten: its next recipients have no sender, and nobody says that its
// connections brought no mail.
const MaxClients = 16_384

// format is one of the three.
type format uint8

const (
	formatW3C format = iota
	formatNCSA
	formatNative
)

// client is what is remembered of a client. Its connections can't be told apart.
type client struct {
	sender []byte // of its latest accepted MAIL, nil before; at most MaxField bytes
	began  int64  // when that MAIL was, in seconds since 1970; 0 for none
	tls    int64  // when its latest STARTTLS was accepted and no HELO came since, in seconds since 1970; 0 for none
	hello  int64  // when its latest HELO was told as a connection, in seconds since 1970; 0 for none
	open   uint16 // connections that were told and not ended by QUIT
	mailed bool   // there was a MAIL since none was open
	null   bool   // that sender was the null reverse path
}

// Parser reads one stream of logs of one format. It implements the interface Parser of the package parsers.
type Parser struct {
	format  format
	site    *site.Site
	hint    atomic.Pointer[layout] // the latest that Fold saw in force: what Lex tries
	stream  stream
	stored  string // the stream's state as last given out by Changes
	clients *memory.Table[address.IP, client]
	open    *memory.Table[address.IP, transaction]
	domain  verdict
	zoned   zoned

	// Set while Fold runs.
	data   []byte
	out    *lexed
	pos    harvestwatch.Pos
	now    int64 // the row's time in seconds since 1970
	emit   func(*harvestwatch.Event)
	counts harvestwatch.Counts
	ev     harvestwatch.Event
}

// stream is what is remembered of the stream as a whole.
type stream struct {
	layout  layout // W3C: the columns in force
	day     int64  // W3C: the day of rows without a date, in days since 1970
	clock   int64  // W3C: the latest such row's second of the day
	last    int64  // native, NCSA: the latest moment, in seconds since 1970
	dated   bool   // day is known
	guessed bool   // day was taken from the reference, for want of a #Date
	refused bool   // a recipient was refused that could be an unknown user or a relay attempt
	misread bool   // native: a date was impossible in the order in force
	order   order  // native: of the numbers in dates
}

// NewW3C returns a parser for one stream in the W3C Extended format. s, which may be nil, is not changed.
func NewW3C(s *site.Site) *Parser { return open(formatW3C, s) }

// NewNCSA returns a parser for one stream in the NCSA common format. s, which may be nil, is not changed.
func NewNCSA(s *site.Site) *Parser { return open(formatNCSA, s) }

// NewNative returns a parser for one stream in the Microsoft IIS format. Stamps are read in s.Location. s, which may be
// nil, is not changed. Where s.DateOrder is none of mdy, dmy and ymd, the first date decides, if it can be read in one
// way only; else month/day/year is taken. What was taken once holds for the whole stream.
func NewNative(s *site.Site) *Parser {
	p := open(formatNative, s)
	p.stream.order = orderOf(p.site.DateOrder)
	return p
}

func open(f format, s *site.Site) *Parser {
	if s == nil {
		s = &site.Site{}
	}
	p := &Parser{format: f, site: s, clients: memory.NewTable[address.IP, client](MaxClients),
		open: memory.NewTable[address.IP, transaction](MaxTransactions)}
	if s.Location == nil {
		p.zoned.location = time.UTC
	} else {
		p.zoned.location = s.Location
	}
	p.hint.Store(&layout{})
	return p
}

// Assumed says in one phrase what was taken for granted: the order of dates and the zone of the Microsoft IIS format,
// the day of rows before the first #Date, and that refused recipients can't be told from relay attempts as long as
// nobody named the domains. "" when the log says all, or before the first row.
func (p *Parser) Assumed() string {
	var said []string
	if p.format == formatNative && p.stream.last != 0 {
		said = append(said, p.assumedDates())
	}
	if p.stream.guessed {
		said = append(said, "rows before the first #Date line were dated by the time at which the log is read")
	}
	if p.stream.refused {
		said = append(said, "recipients refused with 550 can't be told from relay attempts: name the local domains to have them counted as unknown users")
	}
	return strings.Join(said, "; ")
}

// Pushed returns how many clients, and how many clients' recipients, were forgotten because there were too many at once.
func (p *Parser) Pushed() int64 { return p.clients.Pushed() + p.open.Pushed() }

// ShareW3C returns which share of the whole lines in head, from 0 to 1, are understood as the SMTP service's W3C log.
// Comment lines count where a row of the service is there, or nothing but an IIS header.
func ShareW3C(head []byte) float64 { return share(formatW3C, head) }

// ShareNCSA returns the same for the NCSA common format.
func ShareNCSA(head []byte) float64 { return share(formatNCSA, head) }

// ShareNative returns the same for the Microsoft IIS format.
func ShareNative(head []byte) float64 { return share(formatNative, head) }

func share(f format, head []byte) float64 {
	head = lines.Whole(head)
	var out lexed
	x := lexer{format: f, site: &site.Site{}, out: &out}
	x.lex(head, &layout{})
	total := out.lines - out.empty
	if total == 0 || out.strong == 0 && (out.rows() || !out.iis) {
		return 0
	}
	return float64(out.ours+out.comments) / float64(total)
}
