package postfix

import (
	"github.com/harvestwatch/harvestwatch"
)

// queueKey is a queue id of one host, without pointers.
type queueKey struct {
	id   [maxQueueID]byte
	host uint32
}

func (p *Parser) key(t *token, s span) (k queueKey) {
	copy(k.id[:], s.of(p.data))
	k.host = t.host
	return k
}

// message is what is known of a queue id.
type message struct {
	ip       ip     // the original client
	session  uint64 // its session
	accepted int64  // when the original was taken in
	sender   []byte // without angle brackets
	held     []held // deliveries that wait for the link to the original
	holdSeq  uint64 // which of all waits this one is, in their order; 0 while nothing waits
	state    uint8
	caller
}

// What is known of a message.
const (
	msgAuth   = 1 << iota // its client had authenticated
	msgSender             // sender is known
	msgLinked             // its client is that of the original in front of a content filter
	msgSpam               // somebody had it thrown away: not delivered, whatever the agents say
	msgGone               // removed from the queue, but deliveries wait
	msgLive               // counted in the senders of live messages from outside
)

// held is a delivery that waits.
type held struct {
	at   int64
	pos  harvestwatch.Pos
	rcpt []byte
}

// hold says until when a message's deliveries wait.
type hold struct {
	key   queueKey
	seq   uint64
	until int64
}

// senderSlots is the size of the table that counts senders by hash. A wrong guess makes a delivery of a private client
// wait for a minute, and nothing else.
const senderSlots = 1 << 14

func (m *message) is(state uint8) bool { return m.state&state != 0 }

func (m *message) slot() uint64 { return hash(1, m.sender) % senderSlots }

// accept makes a message of a queue id's client= line.
func (p *Parser) accept(t *token) {
	s := p.sessionOf(t)
	id := uint64(0)
	if s != nil {
		id = s.id
	}
	inner := t.flags&flagOrig != 0 && t.ip.Private()
	if t.flags&flagNoQueue == 0 {
		m := p.fresh(p.key(t, t.qid))
		m.ip, m.session, m.accepted = t.ip, id, p.now
		m.become(t.nameOf(p.data))
		if s != nil {
			m.greets(s.helo())
		}
		if t.flags&flagAuth != 0 {
			m.state |= msgAuth
			m.logsIn(p.text(t.user))
		}
		if inner {
			p.original(t, m)
		}
	}
	if inner {
		return
	}
	ev := p.begin(t, harvestwatch.Accepted)
	ev.Session, ev.User = id, nil
	p.greeting(ev, s, t.session)
	p.send(ev)
	if t.user.len > 0 {
		p.login(t, s, id)
	}
}

// login tells a session's first message that a user sends, and remembers the user for those that a filter brings on.
func (p *Parser) login(t *token, s *session, id uint64) {
	if s == nil {
		s = p.open(t.session, t, 0)
	}
	if s.logsIn(p.text(t.user)) {
		p.sessions.Touch(t.session)
	}
	if s.known {
		return
	}
	s.known = true
	p.sessions.Touch(t.session)
	ev := p.begin(t, harvestwatch.AuthOK)
	ev.Session, ev.Helo = id, p.keep(s.helo())
	p.send(ev)
}

// fresh returns an empty message for a queue id, forgetting what another message of that id was.
func (p *Parser) fresh(k queueKey) *message {
	p.forget(k)
	if oldest, full := p.messages.Full(); full {
		p.forget(oldest)
		p.dropped++
	}
	m, _ := p.messages.Put(k)
	*m = message{sender: m.sender[:0], held: m.held[:0], caller: m.caller}
	m.clear()
	return m
}

// forget drops a message. What it holds goes untold: the link that it waited for never came, and nobody outside is its
// client.
func (p *Parser) forget(k queueKey) {
	m := p.messages.Get(k)
	if m == nil {
		return
	}
	if m.is(msgLive) {
		p.senders[m.slot()]--
	}
	p.messages.Drop(k)
}

// original gives a message that a content filter brought back the client that it came from.
func (p *Parser) original(t *token, m *message) {
	m.state |= msgLinked
	if t.next.len > 0 {
		if o := p.messages.Get(p.key(t, t.next)); o != nil && o != m {
			m.inherit(o)
			return
		}
	}
	m.ip, m.session = t.orig, 0
	m.clear()
}

// inherit takes over whose message it is.
func (m *message) inherit(o *message) {
	m.ip, m.session, m.accepted = o.ip, o.session, o.accepted
	m.take(&o.caller)
	m.state |= msgLinked | o.state&(msgAuth|msgSpam)
}

// sender remembers qmgr's from=.
func (p *Parser) sender(t *token) {
	k := p.key(t, t.qid)
	m := p.messages.Get(k)
	if m == nil || m.is(msgSender) {
		return // a message without a client, or one that comes out of the deferred queue again
	}
	m.sender = append(m.sender[:0], p.text(t.sender)...)
	m.state |= msgSender
	if !m.ip.Private() && !m.is(msgLinked) {
		m.state |= msgLive
		p.senders[m.slot()]++
	}
	p.messages.Touch(k)
}

func (p *Parser) removed(t *token) {
	k := p.key(t, t.qid)
	if m := p.messages.Get(k); m != nil && len(m.held) > 0 {
		m.state |= msgGone
		p.messages.Touch(k)
		return
	}
	p.forget(k)
}

func (p *Parser) spam(t *token) {
	k := p.key(t, t.qid)
	if m := p.messages.Get(k); m != nil {
		m.state |= msgSpam
		p.messages.Touch(k)
	}
}

// refused tells a message that cleanup refused: by the client that brought it, or by the one that its line names.
func (p *Parser) refused(t *token) {
	k := p.key(t, t.qid)
	ev := p.begin(t, t.kind)
	if m := p.messages.Get(k); m != nil {
		ev.Addr, ev.Session = m.ip.Addr(), m.session
		ev.Name, ev.Helo, ev.User = p.keep(m.name()), p.keep(m.helo()), p.keep(m.user())
		p.forget(k)
	}
	p.send(ev)
}

// proxied links a message that a filter before the queue brought on to the client in front of it.
func (p *Parser) proxied(t *token) {
	s := p.sessions.Get(t.session)
	if s == nil || t.next.len == 0 {
		return
	}
	k := p.key(t, t.next)
	m := p.messages.Get(k)
	if m != nil && m.is(msgLinked) && m.ip == s.ip && len(m.texts) == 0 {
		m.take(&s.caller) // XFORWARD said which client it is, but not its verified name nor its user
		if s.known {
			m.state |= msgAuth
		}
		p.messages.Touch(k)
	}
	if m == nil || m.is(msgLinked) || !m.ip.Private() {
		return
	}
	m.ip, m.session = s.ip, s.id
	m.take(&s.caller)
	m.state |= msgLinked
	if s.known {
		m.state |= msgAuth
	}
	p.messages.Touch(k)
	p.release(k, m)
}
