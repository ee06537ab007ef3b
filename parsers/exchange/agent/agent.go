// Package agent turns the log of Exchange's anti-spam agents into events: what the recipient filter, the connection
// filter and its block lists, the sender filter, Sender ID, the content filter and the sender reputation refused, and
// to whom. The source is the address from which the mail entered the organization, not the server that handed it on.
//
// Lex is pure and may run on several goroutines at once; the rest belongs to one. The package does no I/O, reads no
// clock, starts no goroutine and judges nobody.
package agent

import (
	"errors"
	"fmt"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/address"
	"github.com/harvestwatch/harvestwatch/parsers/csvlog"
	"github.com/harvestwatch/harvestwatch/parsers/exchange/tracking/reply"
	"github.com/harvestwatch/harvestwatch/parsers/exchange/twin"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

// maxRecipients is how many recipients of one row are told; the rest of a longer list is dropped.
const maxRecipients = 1000

// ErrState is returned by Restore for bytes that Changes didn't give out.
var ErrState = errors.New("not the state of an agent log")

// Parser reads one stream of agent logs. It implements the interface Parser of the package parsers.
type Parser struct {
	log *csvlog.Log[row]

	// Set while Fold runs.
	emit    func(*harvestwatch.Event)
	scratch *[]byte
	ev      harvestwatch.Event
}

// New returns a parser for one stream of a site, which it keeps and doesn't change.
func New(o *site.Site) *Parser {
	return &Parser{log: csvlog.New(newSpec(o))}
}

// Share returns which share of the whole lines in head, from 0 to 1, are understood as an agent log.
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
	p.emit = emit
	p.scratch = nil
	counts := p.log.Fold(l, func(r *row, at harvestwatch.Pos) int {
		if p.scratch == nil {
			p.scratch = p.log.Scratch(l)
		}
		return p.tell(r, at)
	}, unparsed)
	p.emit = nil
	return counts
}

// tell tells a row's events, one for each recipient, or one where it names none, and returns how many.
func (p *Parser) tell(r *row, at harvestwatch.Pos) (n int) {
	p.ev = harvestwatch.Event{
		Time: r.at, Session: r.session, Addr: r.ip.Addr(), Pos: at, Code: r.code, Kind: r.kind, Null: r.null,
		Status: r.status, Sender: p.cut(r.sender),
	}
	csvlog.List(r.recipients, p.scratch, func(member []byte) bool {
		if member = bare(member); len(member) > 0 {
			p.one(r, member)
			n++
		}
		return n < maxRecipients
	})
	if n == 0 {
		p.one(r, nil)
		n = 1
	}
	return n
}

func (p *Parser) one(r *row, recipient []byte) {
	switch r.kind {
	case harvestwatch.AuthFail:
	case harvestwatch.SpamRefused:
		p.ev.Twin, p.ev.Join = twin.Spam(r.ip, p.ev.Sender), r.join
	default:
		p.ev.Twin = twin.Recipient(r.ip, recipient)
	}
	p.ev.Recipient = p.cut(recipient)
	p.emit(&p.ev)
}

// cut bounds a text; an empty one is nil.
func (p *Parser) cut(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return site.Cut(b, p.scratch)
}

// bare takes the angle brackets off a path.
func bare(b []byte) []byte {
	if n := len(b); n >= 2 && b[0] == '<' && b[n-1] == '>' {
		return b[1 : n-1]
	}
	return b
}

// client returns the address from which the mail entered the organization, or else the one that is connected. ok is
// false where what stands there is no address.
func client(entered, remote []byte) (ip address.IP, ok bool) {
	if len(entered) > 0 {
		if ip, ok = address.Parse(entered); !ok || !unspecified(ip) {
			return ip, ok
		}
	}
	if len(remote) == 0 {
		return address.IP{}, true
	}
	ip, _, ok = address.Endpoint(remote)
	if unspecified(ip) {
		ip = address.IP{}
	}
	return ip, ok
}

// unspecified reports whether an address is 0.0.0.0 or ::, which say that none is known.
func unspecified(ip address.IP) bool { return ip.None() || ip.Is4() && uint32(ip.Lo) == 0 }

// answer reads the server's answer.
func answer(r *row, b []byte) { r.code, r.status = reply.Parse(b) }
