package postfix

import (
	"github.com/harvestwatch/harvestwatch"
)

// session is a connection, by program and process id; for postscreen, which serves many at once, by the client too.
type session struct {
	id    uint64 // its number in events, 0 where its beginning was not seen
	ip    ip
	began int64  // when it began, 0 where that was not seen
	told  uint32 // refused authentications that a line of their own told
	known bool   // a successful authentication was told
	caller
}

// passKey is a client that postscreen handed on, by its port.
type passKey struct {
	ip   ip
	host uint32
	port uint16
}

// pass is what smtpd goes on with.
type pass struct {
	at    int64
	began int64
	id    uint64
	key   uint64 // postscreen's session
}

// sessionOf returns the session of a token, or nil where there is none or another client's.
func (p *Parser) sessionOf(t *token) *session {
	if s := p.sessions.Get(t.session); s != nil && s.ip == t.ip {
		return s
	}
	return nil
}

// open makes a session of a token's client. began is 0 where only a line in its midst was seen.
func (p *Parser) open(key uint64, t *token, began int64) *session {
	s, _ := p.sessions.Put(key)
	*s = session{ip: t.ip, began: began, caller: s.caller}
	s.become(t.nameOf(p.data))
	if began != 0 {
		s.id = max(mix(key+uint64(began)), 1)
	}
	return s
}

// screened returns the key of a postscreen session.
func screened(t *token) uint64 {
	return mix(t.session ^ mix(t.ip.Hi+mix(t.ip.Lo+uint64(t.port))))
}

// plain tells an event that needs no memory but the session's number.
func (p *Parser) plain(t *token) {
	ev := p.begin(t, t.kind)
	key, s := t.session, p.sessionOf(t)
	if s == nil && t.port != 0 {
		key = screened(t)
		if s = p.sessions.Get(key); s != nil && s.ip != t.ip {
			s = nil
		}
	}
	if s != nil {
		ev.Session = s.id
	}
	p.greeting(ev, s, key)
	p.send(ev)
}

func (p *Parser) connect(t *token) {
	s := p.open(t.session, t, p.now)
	if from := p.passed(t); from.id != 0 {
		s.id, s.began = from.id, from.began
		p.sessions.Drop(from.key)
		return
	}
	ev := p.begin(t, harvestwatch.Connect)
	ev.Session = s.id
	p.send(ev)
}

// passed takes the pass of a client that smtpd names, the oldest where it has several.
func (p *Parser) passed(t *token) (found pass) {
	p.passes.Each(func(key passKey, a *pass) bool {
		switch {
		case a.at+passTime < p.now:
			p.passes.Drop(key)
		case key.ip == t.ip && key.host == t.host && !t.ip.None():
			found = *a
			p.passes.Drop(key)
			return false
		}
		return true
	})
	return found
}

func (p *Parser) disconnect(t *token) {
	var s session
	if found := p.sessionOf(t); found != nil {
		s = *found
	}
	for range min(int64(t.fails)-int64(s.told), maxFails) {
		ev := p.begin(t, harvestwatch.AuthFail)
		ev.Session, ev.Helo = s.id, p.keep(s.helo())
		p.send(ev)
	}
	ev := p.begin(t, harvestwatch.Disconnect)
	ev.Session, ev.Began, ev.Helo = s.id, s.began, p.keep(s.helo())
	ev.Idle = t.flags&flagIdle != 0
	p.sessions.Drop(t.session)
	p.send(ev)
}

// auth tells an authentication that failed, and remembers that the disconnect's counters hold it too.
func (p *Parser) auth(t *token) {
	s := p.sessionOf(t)
	if s == nil {
		s = p.open(t.session, t, 0)
	}
	s.told++
	p.sessions.Touch(t.session)
	ev := p.begin(t, t.kind)
	ev.Session, ev.Helo = s.id, p.keep(s.helo())
	p.send(ev)
}

// filter tells what a filter before the queue refused: the line names no client, its session does.
func (p *Parser) filter(t *token) {
	ev := p.begin(t, t.kind)
	if s := p.sessions.Get(t.session); s != nil {
		ev.Addr, ev.Session, ev.Name = s.ip.Addr(), s.id, p.keep(s.name())
		p.greeting(ev, s, t.session)
	}
	p.send(ev)
}

func (p *Parser) screen(t *token) {
	s := p.open(screened(t), t, p.now)
	ev := p.begin(t, harvestwatch.Connect)
	ev.Session = s.id
	p.send(ev)
}

// screenPass remembers that smtpd will name the client once more.
func (p *Parser) screenPass(t *token) {
	s := p.sessions.Get(screened(t))
	if s == nil || s.ip != t.ip || t.ip.None() {
		return // its CONNECT was not told, so smtpd's is
	}
	to, _ := p.passes.Put(passKey{t.ip, t.host, t.port})
	*to = pass{at: p.now, began: s.began, id: s.id, key: screened(t)}
}

// screenEnd ends a session that smtpd doesn't go on with.
func (p *Parser) screenEnd(t *token) {
	key := screened(t)
	ev := p.begin(t, harvestwatch.Disconnect)
	if s := p.sessions.Get(key); s != nil && s.ip == t.ip {
		ev.Session, ev.Began = s.id, s.began
		p.sessions.Drop(key)
	}
	p.passes.Drop(passKey{t.ip, t.host, t.port})
	p.send(ev)
}
