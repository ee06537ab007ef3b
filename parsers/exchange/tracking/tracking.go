// Package tracking turns Exchange's message tracking logs, 2007 and later, into events: a message that came in by SMTP,
// its deliveries, and the recipients that turned out not to exist after the server had taken the message in. Only the
// row of a message's arrival names the client; the later rows carry Event.Join, by which others join them to it.
//
// Lex is pure and may run on several goroutines at once; the rest belongs to one. The package does no I/O, reads no
// clock and starts no goroutine. It doesn't join rows itself and keeps no subjects.
package tracking

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/csvlog"
	"github.com/harvestwatch/harvestwatch/parsers/memory"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

// MaxForks is how many messages are remembered that the server split off others. Above it the oldest is forgotten, and
// its deliveries stay without a client.
const MaxForks = 16_384

// maxRecipients is how many recipients of one row are told; the rest of a longer list is dropped.
const maxRecipients = 1000

// ErrState is returned by Restore for bytes that Changes didn't give out.
var ErrState = errors.New("not the state of a tracking log")

// Parser reads one stream of tracking logs. It implements the interface Parser of the package parsers.
type Parser struct {
	site  *site.Site
	log   *csvlog.Log[row]
	forks *memory.Table[uint64, uint64] // from the Join of a message that was split off to that of its original

	// Set while Fold runs.
	lines    *harvestwatch.Lines
	emit     func(*harvestwatch.Event)
	ev       harvestwatch.Event
	statuses [][]byte // of a row's recipients
}

// New returns a parser for one stream of a site, which it keeps and doesn't change.
func New(o *site.Site) *Parser {
	return &Parser{site: o, log: csvlog.New(newSpec(o)), forks: memory.NewTable[uint64, uint64](MaxForks)}
}

// Share returns which share of the whole lines in head, from 0 to 1, are understood as a message tracking log.
func Share(head []byte) float64 { return newSpec(&site.Site{}).Share(head) }

// Assumed returns "": the stamps say all.
func (p *Parser) Assumed() string { return "" }

// Lex takes the lines in l.Data apart and leaves what it found in l.Lexed. It touches nothing else.
func (p *Parser) Lex(l *harvestwatch.Lines) { p.log.Lex(l) }

// Fold tells the events of the rows that Lex kept.
func (p *Parser) Fold(l *harvestwatch.Lines, emit func(*harvestwatch.Event),
	unparsed func(pos harvestwatch.Pos, line []byte),
) harvestwatch.Counts {
	p.lines, p.emit = l, emit
	counts := p.log.Fold(l, p.tell, unparsed)
	p.lines, p.emit = nil, nil
	return counts
}

// keyFork is the first byte of the key of each message that was split off.
const keyFork = 'f'

// Changes yields what is remembered across lines and changed since the last call; a nil value means forgotten. The
// slices hold until yield returns.
func (p *Parser) Changes(yield func(key, value []byte)) {
	p.log.Changes(yield)
	var k, v []byte
	p.forks.Changes(
		func(join uint64) { k = forkKey(k, join); yield(k, nil) },
		func(join, seq uint64, original *uint64) {
			k, v = forkKey(k, join), binary.BigEndian.AppendUint64(v[:0], seq)
			v = binary.BigEndian.AppendUint64(v, *original)
			yield(k, v)
		})
}

func forkKey(b []byte, join uint64) []byte {
	return binary.BigEndian.AppendUint64(append(b[:0], keyFork), join)
}

// Restore takes back what Changes gave out, in any order, before the first Fold. Foreign bytes change nothing and give
// an error.
func (p *Parser) Restore(key, value []byte) error {
	if own, err := p.log.Restore(key, value); own {
		return err
	}
	if len(key) != 9 || key[0] != keyFork || len(value) != 16 {
		return fmt.Errorf("restore %d bytes under the key %q: %w", len(value), key, ErrState)
	}
	*p.forks.Restore(binary.BigEndian.Uint64(key[1:]), binary.BigEndian.Uint64(value)) = binary.BigEndian.Uint64(value[8:])
	return nil
}
