package receive

import (
	"bytes"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/address"
	"github.com/harvestwatch/harvestwatch/parsers/exchange/twin"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

// row does what a row says, and returns how many events it told.
func (p *Parser) row(r *row, pos harvestwatch.Pos) int {
	p.now, p.pos, p.told = r, pos, 0
	s, fresh := p.sessions.Put(r.key)
	if fresh {
		p.begin(s, r)
	} else if r.copy != 0 && r.copy == s.copy {
		return 0 // the row was written twice
	}
	s.copy = r.copy
	switch r.op {
	case opConnect:
		p.begin(s, r)
		s.began, s.copy = r.at, r.copy
		s.flags |= sessIdle
		if !s.client.None() && s.flags&sessBehind == 0 {
			s.flags |= sessTold
			p.send(p.connection(s, r, harvestwatch.Connect))
		}
	case opDisconnect:
		p.end(s, r)
	case opCommand:
		p.command(s, r)
	case opReply:
		p.reply(s, r)
	case opUser:
		s.user = append(s.user[:0], r.text...)
	}
	return p.told
}

// begin makes s a session of which nothing was heard yet.
func (p *Parser) begin(s *session, r *row) {
	s.clear()
	s.id, s.client = r.key, r.remote
	own := r.flags&rowSelf != 0 || p.site.IsOwn(r.remote.Addr())
	inner := own || r.remote.Private()
	if inner || r.flags&rowHub != 0 {
		s.flags |= sessInner
	}
	if own || r.flags&rowHub != 0 || inner && r.flags&rowInner != 0 {
		s.flags |= sessBehind
		s.client = address.IP{}
	}
}

// connection makes p.ev a connection's beginning or end. Its twin is made of what every copy of the log says of it, also
// one that lacks the beginning.
func (p *Parser) connection(s *session, r *row, kind harvestwatch.Kind) *harvestwatch.Event {
	ev := p.event(s, kind)
	ev.Twin = r.key ^ uint64(kind)<<56
	if r.flags&rowNameless != 0 {
		ev.Twin ^= mix(uint64(r.at)) // else all connections from one port are one
	}
	ev.Twin = max(mix(ev.Twin), 1)
	return ev
}

func (p *Parser) end(s *session, r *row) {
	if s.flags&sessTold != 0 || s.began == 0 && s.flags&sessBehind == 0 && !s.client.None() {
		s.client = r.remote
		s.endTransaction()
		ev := p.connection(s, r, harvestwatch.Disconnect)
		ev.Began, ev.Idle = s.began, s.flags&sessIdle != 0
		p.send(ev)
	}
	p.sessions.Drop(r.key)
}

// command remembers what a client said.
func (p *Parser) command(s *session, r *row) {
	switch r.verbs {
	case hello:
		if s.flags&sessBehind == 0 {
			s.helo = append(s.helo[:0], r.text...)
		}
		s.queue.push(hello, nil, false)
	case auth:
		s.user = s.user[:0]
		s.flags &^= sessAuth
		s.queue.push(auth, nil, false)
	default:
		if r.verbs&(mail|rcpt|bodies) != 0 {
			s.flags &^= sessIdle
		}
		s.queue.push(r.verbs, r.text, r.flags&rowNull != 0)
	}
}

// reply does what an answer of the server's says about the command that it answers.
func (p *Parser) reply(s *session, r *row) {
	if r.class == greeting {
		return
	}
	switch r.class {
	case senderOK, rcptOK, queued, chunkOK, goOn: // whose command may be missing
		s.flags &^= sessIdle
	case authDone: // a front end hands on what comes now, and doesn't log it
		s.flags &^= sessIdle
	}
	if r.class == goOn {
		s.queue.align(data)
		return
	}
	c, text := s.queue.pop(r.verbs)
	good, inner := r.code < 300, s.flags&sessInner != 0
	switch {
	case c.verb&(hello|reset|tls) != 0 && good:
		s.endTransaction()
	case c.verb == mail && r.class != syntax:
		s.begins(&c, text)
	case c.verb == peer && good && inner:
		s.client = address.IP{}
	case (c.verb&(proxyFrom|proxyUser) != 0 || r.class == proxyOK) && inner:
		p.proxied(s, r, &c, text)
	}
	p.say(s, r, &c, text)
	switch {
	case r.class == syntax:
	case c.verb == chunk && !good:
		s.flags |= sessFailed
	case c.verb == mail && !good, c.verb&(data|last) != 0, c.verb == 0 && r.class == queued:
		s.endTransaction()
	}
}

// begins remembers the sender of a MAIL command that was answered.
func (s *session) begins(c *command, text []byte) {
	s.endTransaction()
	if c.has {
		s.flags |= sessSender
		s.sender = append(s.sender, text...)
	}
	if c.null {
		s.flags |= sessNull
	}
}

// proxied takes the client that a front end named, if the server did. Where it didn't, or nobody can tell whom it
// took, what follows is nobody's.
func (p *Parser) proxied(s *session, r *row, c *command, text []byte) {
	taken := r.class == proxyOK || c.verb == proxyUser && r.code < 300
	if !taken && s.flags&sessBehind == 0 {
		return // it is no front end
	}
	s.endTransaction()
	s.client, s.helo, s.user = address.IP{}, s.helo[:0], s.user[:0]
	s.flags = s.flags&^sessAuth | sessBehind
	who := readProxy(text)
	if !taken || who.ip.None() || p.site.IsOwn(who.ip.Addr()) {
		return
	}
	s.client, s.id = who.ip, mix(p.now.key^who.sid)
	s.helo = append(s.helo, who.helo...)
	if len(who.user) > 0 && c.verb == proxyUser {
		s.user = append(s.user, who.user...)
		s.flags |= sessAuth
	}
}

// kinds are the events of the classes that need no second look.
var kinds = [...]harvestwatch.Kind{
	rcptOK: harvestwatch.RcptOK, queued: harvestwatch.Accepted, authDone: harvestwatch.AuthOK, authFailed: harvestwatch.AuthFail,
	unknownUser: harvestwatch.RcptUnknown, relayDenied: harvestwatch.RcptRelayDenied, refused: harvestwatch.RcptRefused,
	spam: harvestwatch.SpamRefused, limited: harvestwatch.Throttled, trouble: harvestwatch.ServerError,
	syntax: harvestwatch.ProtocolError, otherFailure: 0,
}

// say tells what a reply to a command means. c's verb is 0 where the command is not known.
func (p *Parser) say(s *session, r *row, c *command, text []byte) {
	kind := kinds[r.class]
	switch {
	case s.client.None() || s.client.Private() && isProbe(s.sender):
		return
	case c.verb&bodies != 0 && s.flags&sessFailed != 0:
		return // said of an earlier piece of the message
	case r.class == chunkOK && c.verb&(data|last) != 0:
		kind = harvestwatch.Accepted
	case r.class == fine && c.verb == rcpt:
		kind = harvestwatch.RcptOK
	case r.class == policy && c.verb == rcpt:
		kind = harvestwatch.RcptRefused
	case r.class == authDone:
		s.flags |= sessAuth
	case kind == harvestwatch.RcptUnknown && c.verb&bodies != 0 && s.rcpts.n > 0:
		p.someone(s)
		return
	case s.flags&sessBehind != 0 && (r.class == limited || r.class == syntax || r.class == trouble):
		return // between the front end and this server
	}
	if kind == 0 {
		return
	}
	ev := p.event(s, kind)
	if c.verb == rcpt {
		ev.Recipient = p.keep(text)
		if kind == harvestwatch.RcptOK {
			s.rcpts.add(text)
		}
	}
	p.name(ev, s, r, c)
	message := ev.Twin
	p.send(ev)
	if kind == harvestwatch.Accepted {
		p.deliver(s, message)
	}
}

// someone tells that a recipient of the transaction is unknown. A front end takes all of them, and hands on the refusal of
// the server behind it in answer to the message: which of several it was only the log of that server tells. So it is one
// event that names them all, not one for each: the others of a partner's list exist. Its Join says that a log which
// knows better goes before.
func (p *Parser) someone(s *session) {
	ev := p.event(s, harvestwatch.RcptUnknown)
	if s.rcpts.n == 1 {
		ev.Recipient, _ = cutName(p.keep(s.rcpts.text))
		ev.Twin = twin.Recipient(s.client, ev.Recipient)
	} else {
		ev.Recipient = p.joined(s.rcpts.text)
		ev.Join = twin.Recipient(s.client, ev.Recipient)
	}
	p.send(ev)
}

// joined returns the names of a list with commas between them.
func (p *Parser) joined(text []byte) []byte {
	scratch := p.log.Scratch(p.lines)
	start := len(*scratch)
	for name, rest := cutName(text); ; name, rest = cutName(rest) {
		*scratch = append(*scratch, name...)
		if len(rest) == 0 {
			break
		}
		*scratch = append(*scratch, ", "...)
	}
	return site.Cut((*scratch)[start:], scratch)
}

// deliver tells that a message reached each recipient that was accepted with it. This log doesn't know what became of it:
// Join, the acceptance's own Twin, lets another log that does take it over.
func (p *Parser) deliver(s *session, message uint64) {
	ev := p.event(s, harvestwatch.Delivered)
	ev.Began, ev.Join = ev.Time, message
	for rest := p.keep(s.rcpts.text); len(rest) > 0; {
		ev.Recipient, rest = cutName(rest)
		ev.Twin = twin.Recipient(s.client, ev.Recipient)
		p.send(ev)
	}
}

// name fills in what only some kinds of event have: the user, and what makes them one with what other logs tell.
func (p *Parser) name(ev *harvestwatch.Event, s *session, r *row, c *command) {
	switch ev.Kind {
	case harvestwatch.AuthFail:
		server, connector, _ := bytes.Cut(r.text, []byte{'\\'})
		ev.User, s.user = p.keep(s.user), s.user[:0]
		ev.Twin = twin.Auth(s.client, server, connector)
	case harvestwatch.RcptOK, harvestwatch.RcptUnknown, harvestwatch.RcptRelayDenied, harvestwatch.RcptRefused:
		if c.verb&(mail|hello) != 0 || len(ev.Recipient) > 0 {
			ev.Twin = twin.Recipient(s.client, ev.Recipient)
		}
	case harvestwatch.SpamRefused:
		ev.Twin = twin.Spam(s.client, ev.Sender)
	case harvestwatch.Accepted:
		if len(r.text) > 0 {
			ev.Twin, ev.Join = twin.Message(s.client, r.text), twin.Join(r.text)
		}
	case harvestwatch.ServerError:
		if c.verb == auth {
			ev.User, s.user = p.keep(s.user), s.user[:0]
		}
	}
}

// event makes p.ev an event of a session's client.
func (p *Parser) event(s *session, kind harvestwatch.Kind) *harvestwatch.Event {
	p.ev = harvestwatch.Event{
		Time: p.now.at, Session: s.id, Addr: s.client.Addr(), Pos: p.pos, Code: p.now.code, Status: p.now.status, Kind: kind,
		Helo: p.keep(s.helo), Null: s.flags&sessNull != 0,
	}
	if s.flags&sessSender != 0 {
		if p.ev.Sender = p.keep(s.sender); p.ev.Sender == nil {
			p.ev.Sender = []byte{}
		}
	}
	if s.flags&sessAuth != 0 {
		p.ev.User = p.keep(s.user)
	}
	return &p.ev
}

func (p *Parser) send(ev *harvestwatch.Event) {
	p.told++
	p.emit(ev)
}

// keep copies bytes of a session to where they hold as long as the Lines do.
func (p *Parser) keep(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	scratch := p.log.Scratch(p.lines)
	n := len(*scratch)
	*scratch = append(*scratch, b...)
	return (*scratch)[n:len(*scratch):len(*scratch)]
}
