package tracking

import (
	"bytes"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/csvlog"
	"github.com/harvestwatch/harvestwatch/parsers/exchange/tracking/reply"
	"github.com/harvestwatch/harvestwatch/parsers/exchange/twin"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

// tell tells a row's events and returns how many.
func (p *Parser) tell(r *row, at harvestwatch.Pos) (n int) {
	if r.op == opFork {
		p.fork(r)
		return 0
	}
	if p.forks.Len() > 0 {
		r.join = p.original(r.join)
	}
	p.ev = harvestwatch.Event{Time: r.at, Pos: at, Join: r.join, Null: r.null, Sender: p.cut(r.sender)}
	switch r.op {
	case opReceive:
		p.ev.Kind = harvestwatch.Accepted
		p.ev.Addr, p.ev.Session, p.ev.Twin = r.ip.Addr(), r.session, r.twin
		p.emit(&p.ev)
		return 1
	case opDeliver:
		return p.deliver(r)
	}
	return p.fail(r)
}

// original returns the Join of the message that another one was split off, or that one's own.
func (p *Parser) original(join uint64) uint64 {
	if original := p.forks.Get(join); original != nil {
		return *original
	}
	return join
}

// fork remembers whose part a message is.
func (p *Parser) fork(r *row) {
	original := p.original(r.fork)
	if original == r.join {
		return
	}
	v, _ := p.forks.Put(r.join)
	*v = original
}

func (p *Parser) deliver(r *row) (n int) {
	p.ev.Kind = harvestwatch.Delivered
	csvlog.List(r.recipients, p.log.Scratch(p.lines), func(rcpt []byte) bool {
		if rcpt = bare(rcpt); len(rcpt) > 0 && !probe(rcpt) {
			p.ev.Recipient = p.cut(rcpt)
			p.emit(&p.ev)
			n++
		}
		return n < maxRecipients
	})
	return n
}

// fail tells which recipients of a row don't exist, and what an agent called spam.
func (p *Parser) fail(r *row) (n int) {
	scratch := p.log.Scratch(p.lines)
	p.statuses = statusesOf(p.statuses[:0], r.statuses, scratch)
	i := 0
	csvlog.List(r.recipients, scratch, func(rcpt []byte) bool {
		if rcpt = bare(rcpt); len(rcpt) > 0 && p.failed(r, rcpt, i) {
			n++
		}
		i++
		return i < maxRecipients
	})
	clear(p.statuses)
	return n
}

// failed tells that a row's recipient number i failed, if that says something about the client.
func (p *Parser) failed(r *row, rcpt []byte, i int) bool {
	if len(p.statuses) == 1 {
		i = 0 // one answer for all
	}
	if i >= len(p.statuses) {
		return false
	}
	text := answerOf(p.statuses[i])
	code, status := reply.Parse(text)
	if code == 0 {
		code = 550
	}
	p.ev.Code, p.ev.Status, p.ev.Recipient, p.ev.Twin = code, status, p.cut(rcpt), 0
	switch {
	case reply.Unknown(status) && (r.op == opFail || p.isOurs(rcpt)):
		p.ev.Kind = harvestwatch.RcptUnknown
		if !r.ip.None() {
			p.ev.Twin = twin.Recipient(r.ip, rcpt)
		}
	case r.agent && status[0] == 5 && spam(text):
		p.ev.Kind = harvestwatch.SpamRefused
		if !r.ip.None() {
			p.ev.Twin = twin.Spam(r.ip, p.ev.Sender)
		}
	default:
		return false
	}
	p.emit(&p.ev)
	return true
}

// isOurs reports whether a recipient is known to be the site's. What another organization's server says about its own
// users, to whom a user of ours wrote or has his mail sent on, is nothing that the client did.
func (p *Parser) isOurs(rcpt []byte) bool {
	local, known := p.site.IsLocal(rcpt[max(bytes.LastIndexByte(rcpt, '@'), 0):]) // however long the local part is
	return local && known
}

// statusesOf appends the answers of a list. Writers that don't quote a text with a semicolon in it break it in two: what
// begins with a blank or a brace goes on with the text before.
func statusesOf(to [][]byte, list []byte, scratch *[]byte) [][]byte {
	csvlog.List(list, scratch, func(member []byte) bool {
		if len(to) == 0 || len(member) == 0 || member[0] != ' ' && member[0] != '{' {
			to = append(to, member)
		}
		return len(to) < maxRecipients
	})
	return to
}

// answerOf returns the answer in a recipient's status: the status itself or, in the form of Exchange 2013 and later, what
// follows LED (the last error): [{LRT=};{LED=550 5.1.10 RESOLVER.ADR.RecipientNotFound; ...};{FQDN=};{IP=}].
func answerOf(b []byte) []byte {
	if len(b) == 0 || b[0] != '[' && b[0] != '{' {
		return b
	}
	if _, led, ok := bytes.Cut(b, []byte("{LED=")); ok {
		return led
	}
	return nil
}

func spam(text []byte) bool {
	for _, word := range [...]string{"spam", "Spam", "SPAM", "quarantine"} {
		if bytes.Contains(text, []byte(word)) {
			return true
		}
	}
	return false
}

// cut bounds a text; an empty one is nil.
func (p *Parser) cut(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return site.Cut(b, p.log.Scratch(p.lines))
}
