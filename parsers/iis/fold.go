package iis

import (
	"bytes"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

const (
	backSeconds = 3600 // rows without a date whose time lies further back than this belong to the next day
	lateSeconds = 60   // how far from midnight rows of two days can be mixed
	tlsSeconds  = 60   // how long after STARTTLS the next HELO belongs to the same connection
	goneSeconds = 3600 // how long after its latest HELO and MAIL a client's connections are gone, if QUIT didn't end them
)

// Fold turns what Lex left into events, in the order of the lines. The events' texts lie in l.Data and l.Lexed. Events
// and unparsed lines hold until the call that tells them returns, their texts until l is released.
func (p *Parser) Fold(l *harvestwatch.Lines, emit func(*harvestwatch.Event), unparsed func(harvestwatch.Pos, []byte)) harvestwatch.Counts {
	out, ok := l.Lexed.(*lexed)
	if !ok {
		p.Lex(l)
		out = l.Lexed.(*lexed)
	}
	if out.leads && out.assumed != p.stream.layout {
		p.lex(l.Data, out, &p.stream.layout)
	}
	p.data, p.out, p.emit, p.counts = l.Data, out, emit, harvestwatch.Counts{Lines: out.lines, Ignored: out.quiet}
	for i := range out.tokens {
		t := &out.tokens[i]
		p.pos = l.Pos
		p.pos.Offset += int64(t.off)
		if p.pos.Line > 0 {
			p.pos.Line += int64(t.line)
		}
		before := p.counts.Events
		if !p.apply(t) {
			p.counts.Unparsed++
			if unparsed != nil {
				unparsed(p.pos, l.Data[t.off:t.end])
			}
		} else if p.counts.Events == before {
			p.counts.Ignored++
		}
	}
	p.data, p.out, p.emit = nil, nil, nil
	return p.counts
}

// apply does what a token says. It reports false for what nobody understands.
func (p *Parser) apply(t *token) bool {
	s := &p.stream
	switch t.deed {
	case deedDate:
		s.day, s.clock, s.dated = t.at/daySeconds, t.at%daySeconds, true
		return true
	case deedLayout:
		s.layout = p.out.layouts[t.date]
		if *p.hint.Load() != s.layout {
			l := s.layout
			p.hint.Store(&l)
		}
		return s.layout.n != unreadable
	case deedTick, deedCommand:
		if !p.time(t) {
			return false
		}
		if t.deed == deedCommand {
			p.command(t)
		}
		return true
	}
	return false
}

// time sets p.now to a row's time.
func (p *Parser) time(t *token) (ok bool) {
	switch {
	case t.flags&flagDoubt != 0:
		return p.doubted(t)
	case p.format == formatNative:
		p.now, ok = p.local(t)
		return ok
	case t.flags&flagUndated == 0:
		if p.now = t.at; p.format == formatNCSA {
			p.stream.last = max(p.stream.last, t.at)
		}
		return true
	}
	return p.undated(t.at)
}

// undated dates a row by its second of the day, and follows the days: the time goes back at midnight, and a little
// where rows of two days are mixed.
func (p *Parser) undated(second int64) bool {
	s := &p.stream
	if !s.dated {
		if p.site.Reference.IsZero() {
			return false
		}
		at := p.site.Reference.Unix()
		s.day, s.clock, s.dated, s.guessed = at/daySeconds, second, true, true
		if at%daySeconds < second {
			s.day--
		}
	}
	day := s.day
	switch {
	case s.clock < lateSeconds && second >= daySeconds-lateSeconds:
		day--
	case second < s.clock-backSeconds:
		s.day++
		day, s.clock = s.day, second
	default:
		s.clock = max(s.clock, second)
	}
	p.now = day*daySeconds + second
	return true
}

// command tells what a client did, and forgets what the command ends.
func (p *Parser) command(t *token) {
	if t.verb == verbMail {
		p.mailed(t)
	}
	switch {
	case t.code == 421 || t.code/100 == 4:
		p.tell(t, harvestwatch.ServerError)
	case t.verb == verbHelo:
		p.helo(t)
	case t.verb == verbMail:
		p.mail(t)
	case t.verb == verbRcpt || t.verb == verbVrfy:
		p.recipient(t)
	case t.verb == verbData || t.verb == verbBdat:
		if t.code/100 == 2 && t.flags&flagPart == 0 {
			p.tell(t, harvestwatch.Accepted)
			p.deliver(t)
		} else {
			p.refused(t)
		}
	case t.verb == verbQuit:
		if t.code/100 == 2 {
			p.quit(t)
		}
	case t.verb == verbAuth:
		p.auth(t)
	case t.verb == verbStartTLS:
		if t.code/100 == 2 {
			p.tls(t, p.now)
		}
	case syntax(t.code):
		p.tell(t, harvestwatch.ProtocolError)
	}
	if over(t) {
		p.open.Drop(t.ip)
	}
}

// syntax reports whether a code blames the form or the order of commands (RFC 5321 section 4.2.1).
func syntax(code uint16) bool { return code >= 500 && code <= 504 }

// refused tells a refusal that says nothing about whether a recipient exists.
func (p *Parser) refused(t *token) {
	switch {
	case syntax(t.code):
		p.tell(t, harvestwatch.ProtocolError)
	case t.code/100 == 5:
		p.tell(t, harvestwatch.RcptRefused)
	}
}

// helo tells a connection: nothing else of it is logged. After STARTTLS the client says EHLO again.
func (p *Parser) helo(t *token) {
	if t.code/100 != 2 {
		p.refused(t)
		return
	}
	if c := p.clients.Get(t.ip); c != nil && c.tls != 0 {
		since := p.now - c.tls
		p.tls(t, 0)
		if since >= 0 && since <= tlsSeconds {
			return
		}
	}
	p.opened(t)
	p.tell(t, harvestwatch.Connect)
}

// mail remembers a sender, or tells that it was refused.
func (p *Parser) mail(t *token) {
	if t.code/100 != 2 {
		p.refused(t)
		return
	}
	c := p.client(t)
	c.sender = append(c.sender[:0], p.field(t.path)...)
	c.null = t.flags&flagNull != 0
	c.began, c.mailed = p.now, true
}

// client returns what is remembered of a row's client, made where there is nothing.
func (p *Parser) client(t *token) *client {
	c, fresh := p.clients.Put(t.ip)
	if fresh {
		*c = client{sender: c.sender[:0]}
	}
	return c
}

// tls remembers when a client's connection was encrypted; 0 forgets it.
func (p *Parser) tls(t *token, at int64) {
	if c := p.clients.Get(t.ip); at != 0 || c != nil && c.tls != 0 {
		p.client(t).tls = at
	}
}

// auth tells an authentication's end.
func (p *Parser) auth(t *token) {
	switch {
	case t.code == 235:
		p.tell(t, harvestwatch.AuthOK)
	case t.code == 535:
		p.tell(t, harvestwatch.AuthFail)
	case syntax(t.code):
		p.tell(t, harvestwatch.ProtocolError)
	}
}

// recipient tells what became of one. 550, 551 and 553 are said to unknown users and to relay attempts alike: only the
// domain tells them apart.
func (p *Parser) recipient(t *token) {
	switch {
	case t.code/100 == 2:
		if t.verb == verbRcpt {
			p.tell(t, harvestwatch.RcptOK)
			p.remember(t)
		}
	case t.code != 550 && t.code != 551 && t.code != 553:
		p.refused(t)
	default:
		p.tell(t, p.refusal(t))
	}
}

// refusal says why a recipient was refused, as far as that can be known.
func (p *Parser) refusal(t *token) harvestwatch.Kind {
	b := t.path.of(p.data) // the domain may stand behind what an event has of it
	if len(p.site.Domains) == 0 {
		p.stream.refused = p.stream.refused || t.code == 550
		return harvestwatch.RcptRefused
	}
	at := bytes.LastIndexByte(b, '@')
	if len(b) == 0 || at >= 0 && len(b)-at > harvestwatch.MaxField {
		return harvestwatch.RcptRefused
	}
	if at < 0 || p.domain.local(p, b[at:]) { // the service adds its own domain where there is none
		return harvestwatch.RcptUnknown
	}
	return harvestwatch.RcptRelayDenied
}

// verdict is whether the latest domain is the site's own: a harvester asks for thousands in the same one.
type verdict struct {
	domain  [harvestwatch.MaxField]byte
	n       int
	isLocal bool
	known   bool
}

// local takes a domain with the @ before it.
func (v *verdict) local(p *Parser, domain []byte) bool {
	if !v.known || string(v.domain[:v.n]) != string(domain) {
		v.n, v.known = copy(v.domain[:], domain), true
		v.isLocal, _ = p.site.IsLocal(domain)
	}
	return v.isLocal
}

// tell tells an event of a row.
func (p *Parser) tell(t *token, k harvestwatch.Kind) {
	p.begin(t, k)
	p.send()
}

// begin makes p.ev the event of a row.
func (p *Parser) begin(t *token, k harvestwatch.Kind) {
	p.ev = harvestwatch.Event{Time: p.now * int64(time.Second), Pos: p.pos, Kind: k, Addr: t.ip.Addr(), Code: t.code, Helo: p.field(t.helo)}
	switch t.verb {
	case verbMail:
		p.ev.Sender, p.ev.Null = p.field(t.path), t.flags&flagNull != 0
	case verbRcpt, verbVrfy:
		p.ev.Recipient = p.field(t.path)
	}
	switch t.verb {
	case verbRcpt, verbData, verbBdat:
		if c := p.clients.Get(t.ip); c != nil && t.flags&flagDoubt == 0 {
			p.ev.Sender, p.ev.Null = p.keep(c.sender), c.null
		}
	}
}

// field is what an event has of a text: nil for none.
func (p *Parser) field(s span) []byte {
	if s.n == 0 {
		return nil
	}
	return site.Cut(s.of(p.data), &p.out.arena)
}

func (p *Parser) send() {
	p.counts.Events++
	p.emit(&p.ev)
}

// keep copies bytes of the parser's own memory to where they hold as long as the lines do.
func (p *Parser) keep(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	n := len(p.out.arena)
	p.out.arena = append(p.out.arena, b...)
	return p.out.arena[n:len(p.out.arena):len(p.out.arena)]
}
