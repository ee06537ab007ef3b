package postfix

import (
	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

// Fold turns what Lex left into events, in the order of the lines. The events' texts lie in l.Data and l.Lexed. Events
// and unparsed lines hold until the call that tells them returns, their texts until l is released.
func (p *Parser) Fold(l *harvestwatch.Lines, emit func(*harvestwatch.Event), unparsed func(harvestwatch.Pos, []byte)) harvestwatch.Counts {
	out, ok := l.Lexed.(*lexed)
	if !ok {
		p.Lex(l)
		out = l.Lexed.(*lexed)
	}
	p.data, p.out, p.emit, p.counts = l.Data, out, emit, harvestwatch.Counts{Lines: out.lines, Ignored: out.quiet + out.foreign}
	for i := range out.tokens {
		t := &out.tokens[i]
		p.pos = l.Pos
		p.pos.Offset += int64(t.off)
		if p.pos.Line > 0 {
			p.pos.Line += int64(t.line)
		}
		p.now = p.clock.Time(t.stamp)
		if t.op == opUnparsed {
			p.counts.Unparsed++
			if unparsed != nil {
				unparsed(p.pos, l.Data[t.off:t.end])
			}
			continue
		}
		before := p.counts.Events
		for range t.repeat {
			p.apply(t)
		}
		if p.counts.Events == before {
			p.counts.Ignored++
		}
	}
	p.data, p.out, p.emit = nil, nil, nil
	return p.counts
}

// apply does what a token says.
func (p *Parser) apply(t *token) {
	switch t.op {
	case opEvent:
		p.plain(t)
	case opConnect:
		p.connect(t)
	case opDisconnect:
		p.disconnect(t)
	case opAuth:
		p.auth(t)
	case opFilter:
		p.filter(t)
	case opScreen:
		p.screen(t)
	case opScreenPass:
		p.screenPass(t)
	case opScreenEnd:
		p.screenEnd(t)
	default:
		p.expire()
		p.queue(t)
	}
}

// queue does what a token about a queue id says.
func (p *Parser) queue(t *token) {
	switch t.op {
	case opClient:
		p.accept(t)
	case opPass:
		p.proxied(t)
	case opLocal:
		p.forget(p.key(t, t.qid))
	case opFrom:
		p.sender(t)
	case opRemoved:
		p.removed(t)
	case opSent:
		p.sent(t)
	case opBounced:
		p.bounced(t)
	case opSpam:
		p.spam(t)
	case opRefused:
		p.refused(t)
	}
}

// begin makes p.ev the event of a token, without what only sessions and messages know.
func (p *Parser) begin(t *token, k harvestwatch.Kind) *harvestwatch.Event {
	p.ev = harvestwatch.Event{
		Time: p.now, Pos: p.pos, Kind: k, Addr: t.ip.Addr(), Code: t.code, Status: t.status,
		Null: t.flags&flagNull != 0, Name: t.nameOf(p.data),
		Helo: p.text(t.helo), Recipient: p.text(t.rcpt), User: p.text(t.user),
	}
	if t.flags&flagSender != 0 {
		p.ev.Sender = p.text(t.sender)
	}
	return &p.ev
}

// text returns a text of an event.
func (p *Parser) text(s span) []byte { return site.Cut(s.of(p.data), &p.out.arena) }

func (p *Parser) send(ev *harvestwatch.Event) {
	p.counts.Events++
	p.emit(ev)
}

// keep copies bytes of the fold's own memory to where they hold as long as the lines do.
func (p *Parser) keep(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	n := len(p.out.arena)
	p.out.arena = append(p.out.arena, b...)
	return p.out.arena[n:len(p.out.arena):len(p.out.arena)]
}
