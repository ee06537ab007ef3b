// Package dovecot turns Dovecot's log lines into events: what its login processes say about connections, what its
// authentication processes say about attempts, and what pam_unix says on their behalf. It reads the lines as a syslog
// daemon writes them and as Dovecot writes them into files of its own.
//
// A user name and, where Dovecot is told to log it, a password stand in the lines as the client typed them. So the
// client's address is taken from the place behind the user's name that nothing of the client's can follow; where a line
// leaves two addresses to choose from it tells nothing, and the login process's line tells the attempt. One hole can't
// be closed from here: a server that lets commas into user names (auth_username_chars is empty) and looks up recipients
// by their local part alone for a client without an address (LMTP over a local socket) writes lines in which a recipient
// may pose as "name,address".
//
// That the site has no such user is said of an attempt once the log has shown that the database which says so is asked
// last; see sole.
//
// One attempt is told by up to three lines: by pam_unix, by each password database, and at the connection's end in the
// login process's count. Fold tells it once.
//
// Lex is pure and may run on several goroutines at once; Fold, Changes and Restore belong to one. The package does no
// I/O, reads no clock and starts no goroutine.
package dovecot

import (
	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/lines"
	"github.com/harvestwatch/harvestwatch/parsers/memory"
	"github.com/harvestwatch/harvestwatch/parsers/site"
	"github.com/harvestwatch/harvestwatch/parsers/syslog"
)

const (
	// MaxSessions is how many connections and addresses with attempts are remembered; above it the oldest is forgotten,
	// and an attempt of its may be told twice.
	MaxSessions = 16_384
	// MaxLine is the length in bytes above which a line is not read, and counted as unparsed as a whole.
	MaxLine = 64 << 10
)

// Parser reads one stream of Dovecot's logs. It implements the interface Parser of the package parsers.
type Parser struct {
	site  *site.Site
	clock *syslog.Clock
	told  *memory.Table[uint64, record]
	sole  sole
	saved string // the clock's state as last given out by Changes
	kept  string // the same of sole

	// Set while Fold runs.
	data   []byte
	out    *lexed
	pos    harvestwatch.Pos
	now    int64
	emit   func(*harvestwatch.Event)
	counts harvestwatch.Counts
	ev     harvestwatch.Event
}

// New returns a parser for one stream. Of the site it uses Reference, Year and Location for stamps that leave them open,
// Reference also for lines without a stamp before the first that has one, and Own: no event is told of the addresses in
// it. Loopback addresses, which a webmail on the same host has, are told like any other.
func New(o *site.Site) *Parser {
	return &Parser{
		site:  o,
		clock: syslog.NewClock(o.Reference, o.Year, o.Location),
		told:  memory.NewTable[uint64, record](MaxSessions),
		kept:  string((&sole{}).append(nil)),
	}
}

// Assumed says in one phrase which year and zone were taken for stamps without, "" when the stamps say all.
func (p *Parser) Assumed() string { return p.clock.Assumed() }

// Pushed returns how many connections were forgotten because there were too many at once.
func (p *Parser) Pushed() int64 { return p.told.Pushed() }

// Share returns which share of the whole lines in head, from 0 to 1, are lines of Dovecot that are understood.
func Share(head []byte) float64 { return share(head, false) }

// ShareAmong is Share for a log that all mail programs of a host write by syslog, as LexAmong reads it.
func ShareAmong(head []byte) float64 { return share(head, true) }

func share(head []byte, strict bool) float64 {
	head = lines.Whole(head)
	var out lexed
	lex(head, &out, strict)
	understood := out.quiet
	for i := range out.tokens {
		if out.tokens[i].op != opUnparsed {
			understood++
		}
	}
	if out.lines == out.empty {
		return 0
	}
	return float64(understood) / float64(out.lines-out.empty)
}
