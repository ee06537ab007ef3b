// Package postfix turns Postfix's log lines into events. Lex takes each line apart by the template of the daemon that
// wrote it and takes the client from the template's fixed place only: whatever a client, a remote server or the owner
// of a reverse name wrote into the rest, the address is the client's or none. Fold follows sessions by program and
// process, and messages by queue id, through cleanup, qmgr, content filters and delivery agents.
//
// A client's name is the one in front of its address, which Postfix verified, and never one from another place: not
// what XFORWARD hands on, nor what a header's refusal quotes. The name in HELO is told by refusals only; what follows in
// the same session has it too, its messages included. The user that a client= line names is told with all that becomes
// of the message.
//
// Lex is pure and may run on several goroutines at once; Fold, Changes and Restore belong to one. The package does no
// I/O, reads no clock and starts no goroutine. It counts nothing against anybody: that is the detector's job.
package postfix

import (
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/lines"
	"github.com/harvestwatch/harvestwatch/parsers/memory"
	"github.com/harvestwatch/harvestwatch/parsers/syslog"
)

// Bounds of what the fold remembers. Above them the oldest is forgotten, and counted in Pushed.
const (
	MaxMessages = 100_000 // queue ids
	MaxSessions = 16_384  // connections
	maxPasses   = 256     // clients that postscreen handed on and smtpd has not named yet
	maxHeld     = 16      // deliveries of one message that wait for the link to its original
)

const (
	passTime = int64(60 * time.Second) // how long after postscreen's PASS smtpd's connect belongs to it
	holdTime = int64(60 * time.Second) // how long a delivery waits for the link
	maxFails = 100                     // refused authentications that one disconnect tells
)

// Parser reads one stream of Postfix logs. It implements the interface Parser of the package parsers.
type Parser struct {
	clock    *syslog.Clock
	sessions *memory.Table[uint64, session]
	messages *memory.Table[queueKey, message]
	passes   *memory.Table[passKey, pass]
	senders  [senderSlots]uint32 // how many live messages from outside have a sender with this hash
	holds    queueOfHolds        // messages with deliveries that wait, the longest first
	dropped  int64               // messages and deliveries that went before their time, but for those the tables count
	holdSeq  uint64              // of the newest of them
	stored   string              // the clock's state as last given out by Changes

	// Set while Fold runs.
	data   []byte
	out    *lexed
	pos    harvestwatch.Pos
	now    int64
	emit   func(*harvestwatch.Event)
	counts harvestwatch.Counts
	ev     harvestwatch.Event
}

// New returns a parser for one stream. reference is the latest moment that the stream can hold; year, if not 0, and
// zone, if not nil, are taken for stamps that have none.
func New(reference time.Time, year int, zone *time.Location) *Parser {
	return &Parser{
		clock:    syslog.NewClock(reference, year, zone),
		sessions: memory.NewTable[uint64, session](MaxSessions),
		messages: memory.NewTable[queueKey, message](MaxMessages),
		passes:   memory.NewTable[passKey, pass](maxPasses),
	}
}

// Assumed says in one phrase which year and zone were taken for stamps without, "" when the stamps say all.
func (p *Parser) Assumed() string { return p.clock.Assumed() }

// Pushed returns how many messages and sessions were forgotten because there were too many at once.
func (p *Parser) Pushed() int64 {
	return p.sessions.Pushed() + p.messages.Pushed() + p.passes.Pushed() + p.dropped
}

// Share returns which share of the whole lines in head, from 0 to 1, are lines of Postfix that are understood.
func Share(head []byte) float64 {
	head = lines.Whole(head)
	var out lexed
	lex(head, &out)
	understood := out.quiet
	for i := range out.tokens {
		if out.tokens[i].op != opUnparsed {
			understood++
		}
	}
	empty := emptyLines(head)
	if out.lines == empty {
		return 0
	}
	return float64(understood-empty) / float64(out.lines-empty)
}

func emptyLines(b []byte) (n int64) {
	start := true
	for i, c := range b {
		if c == '\r' && i+1 < len(b) && b[i+1] == '\n' {
			continue
		}
		if c == '\n' && start {
			n++
		}
		start = c == '\n'
	}
	return n
}
