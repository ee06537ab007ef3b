package gfi

import (
	"bytes"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

// Fold turns what Lex left into events, in the order of the lines. An event's position is that of its record's first
// line. Its texts lie in l.Data and l.Lexed and hold until l is released.
func (p *Parser) Fold(l *harvestwatch.Lines, emit func(*harvestwatch.Event), unparsed func(harvestwatch.Pos, []byte)) harvestwatch.Counts {
	out, ok := l.Lexed.(*lexed)
	if !ok {
		p.Lex(l)
		out = l.Lexed.(*lexed)
	}
	p.out, p.emit, p.unparsed = out, emit, unparsed
	p.counts = harvestwatch.Counts{Lines: int64(len(out.lines))}
	for i := range out.lines {
		ln := &out.lines[i]
		p.pos = l.Pos
		p.pos.Offset += int64(ln.start)
		if p.pos.Line > 0 {
			p.pos.Line += int64(i)
		}
		if p.pattern != nil {
			p.text(l.Data[ln.start:ln.end], ln.match)
			continue
		}
		p.tableLine(l.Data[ln.start:ln.end], l.Data[ln.start:ln.next])
	}
	counts := p.counts
	p.out, p.emit, p.unparsed, p.counts = nil, nil, nil, harvestwatch.Counts{}
	return counts
}

// text tells the event of a line of a text log.
func (p *Parser) text(text []byte, match int) {
	if len(bytes.TrimSpace(text)) == 0 || text[0] == '#' {
		p.counts.Ignored++
		return
	}
	if match < 0 {
		p.reject(text)
		return
	}
	var v [roles][]byte
	for r, g := range p.groups {
		if g == 0 {
			continue
		}
		if from, to := p.out.found[match+2*g], p.out.found[match+2*g+1]; from >= 0 {
			v[r] = text[from:to:to]
		}
	}
	at, naive, ok := p.when(v[roleTime])
	if !ok {
		p.reject(text)
		return
	}
	p.naive = p.naive || naive
	p.row(text, at, &v)
}

// row tells the events of a row or a line, whose values are given by their roles and whose time is at.
func (p *Parser) row(text []byte, at int64, v *[roles][]byte) {
	source := bytes.TrimSpace(v[roleSource])
	addr, ok := parseAddr(source)
	if len(source) > 0 && !ok {
		p.reject(text)
		return
	}
	kind := p.kind(v[roleVerdict])
	if kind == 0 || !ok || addr.IsUnspecified() || p.site.IsOwn(addr) {
		p.counts.Ignored++
		return
	}
	sender := bytes.TrimSpace(v[roleSender])
	null := string(sender) == "<>"
	p.ev = harvestwatch.Event{
		Time: at, Pos: p.pos, Kind: kind, Addr: addr, Null: null,
		Helo: p.cut(bytes.TrimSpace(v[roleHelo])), Sender: p.cut(bare(sender)),
	}
	if kind == harvestwatch.AuthFail || kind == harvestwatch.AuthOK { // on other rows it may be the mailbox's owner, and no login
		p.ev.User = p.cut(bytes.TrimSpace(v[roleUser]))
	}
	told := p.counts.Events
	recipients(v[roleRecipient], func(one []byte) {
		p.ev.Recipient = p.cut(one)
		p.send()
	})
	if p.counts.Events == told {
		p.send()
	}
}

// kind returns the kind of event that a verdict is, 0 for none.
func (p *Parser) kind(verdict []byte) harvestwatch.Kind {
	if p.names[roleVerdict] == "" && p.groups[roleVerdict] == 0 {
		return p.fields.Kind
	}
	verdict = bytes.TrimSpace(verdict)
	p.lower = appendLower(p.lower[:0], verdict[:min(len(verdict), maxRecord)])
	return p.verdicts.kind(p.lower)
}

func (p *Parser) send() {
	p.counts.Events++
	ev := p.ev
	p.emit(&ev)
}

// reject tells that a line or record was not understood.
func (p *Parser) reject(text []byte) {
	p.counts.Unparsed++
	if p.unparsed != nil {
		p.unparsed(p.pos, text)
	}
}

// cut bounds a text of an event.
func (p *Parser) cut(text []byte) []byte { return site.Cut(text, &p.out.arena) }

// keep copies bytes to where they hold as long as the lines do.
func (p *Parser) keep(b []byte) []byte {
	n := len(p.out.arena)
	p.out.arena = append(p.out.arena, b...)
	return p.out.arena[n:len(p.out.arena):len(p.out.arena)]
}
