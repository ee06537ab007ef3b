package postfix

import (
	"github.com/harvestwatch/harvestwatch"
)

// sent tells a delivery by the client that brought the message, unless the message only went on to a content filter:
// then the message that comes back from there is delivered, and this one lends it its client.
func (p *Parser) sent(t *token) {
	m := p.messages.Get(p.key(t, t.qid))
	if t.next.len > 0 && p.link(t, m) {
		return
	}
	if m == nil || m.ip.None() || m.is(msgSpam) || t.flags&flagDiscarded != 0 {
		return
	}
	if p.waits(m) {
		p.wait(t, m)
		return
	}
	ev := p.about(m, harvestwatch.Delivered)
	ev.Time, ev.Pos, ev.Recipient = p.now, p.pos, p.text(t.rcpt)
	p.send(ev)
}

// about makes p.ev an event about a message.
func (p *Parser) about(m *message, k harvestwatch.Kind) *harvestwatch.Event {
	p.ev = harvestwatch.Event{Kind: k, Addr: m.ip.Addr(), Session: m.session, Began: m.accepted}
	p.ev.Name, p.ev.Helo, p.ev.User = p.keep(m.name()), p.keep(m.helo()), p.keep(m.user())
	if m.is(msgSender) {
		p.ev.Sender, p.ev.Null = p.keep(m.sender), len(m.sender) == 0
		if p.ev.Null {
			p.ev.Sender = []byte{}
		}
	}
	return &p.ev
}

// link reports whether the relay, a host that nobody outside can be, took the message m and brought it back under the
// queue id t.next. m is nil for a message whose client is not known; then nobody is the client of what came back.
func (p *Parser) link(t *token, m *message) bool {
	k := p.key(t, t.next)
	x := p.messages.Get(k)
	if x == nil || x == m {
		return false
	}
	if x.is(msgLinked) {
		return true
	}
	if !x.ip.Private() {
		return false
	}
	if m == nil {
		x.ip, x.session = ip{}, 0
		x.clear()
		x.state |= msgLinked
	} else {
		x.inherit(m)
	}
	p.messages.Touch(k)
	p.release(k, x)
	return true
}

// waits reports whether a delivery must wait for a link to the message that came before the content filter. That
// message, from outside and with the same sender, is in the queue until the filter's answer is logged.
func (p *Parser) waits(m *message) bool {
	return m.ip.Private() && m.state&(msgLinked|msgAuth) == 0 && m.is(msgSender) && p.senders[m.slot()] > 0
}

// wait keeps a delivery. Those above maxHeld of a message are lost.
func (p *Parser) wait(t *token, m *message) {
	k := p.key(t, t.qid)
	if len(m.held) == maxHeld {
		p.dropped++
		return
	}
	if len(m.held) == 0 {
		p.holdSeq++
		m.holdSeq = p.holdSeq
		p.holds.push(hold{key: k, seq: p.holdSeq, until: p.now + holdTime})
		if p.holds.len() > MaxMessages {
			p.dropped++
			p.holds.pop()
		}
	}
	n := len(m.held)
	if n < cap(m.held) {
		m.held = m.held[:n+1]
	} else {
		m.held = append(m.held, held{})
	}
	h := &m.held[n]
	h.at, h.pos, h.rcpt = p.now, p.pos, append(h.rcpt[:0], p.text(t.rcpt)...)
	p.messages.Touch(k)
}

// release tells the deliveries that waited, now that the client is known, and forgets the message if it was waited for
// only by them.
func (p *Parser) release(k queueKey, m *message) {
	for i := range m.held {
		if m.ip.None() || m.is(msgSpam) {
			break
		}
		h := &m.held[i]
		ev := p.about(m, harvestwatch.Delivered)
		ev.Time, ev.Pos, ev.Recipient = h.at, h.pos, p.keep(h.rcpt)
		p.send(ev)
	}
	m.held = m.held[:0]
	if m.is(msgGone) {
		p.forget(k)
	}
}

// expire tells deliveries that waited long enough: no filter brought the message, so its client is who said so.
func (p *Parser) expire() {
	for p.holds.len() > 0 && p.holds.first().until < p.now {
		h := p.holds.pop()
		if m := p.messages.Get(h.key); m != nil && len(m.held) > 0 && m.holdSeq == h.seq {
			p.messages.Touch(h.key)
			p.release(h.key, m)
		}
	}
}

// queueOfHolds is a first-in first-out list that reuses its memory.
type queueOfHolds struct {
	list []hold
	head int
}

func (q *queueOfHolds) len() int     { return len(q.list) - q.head }
func (q *queueOfHolds) first() *hold { return &q.list[q.head] }

func (q *queueOfHolds) push(h hold) {
	if q.head > 64 && q.head > len(q.list)/2 {
		q.list = append(q.list[:0], q.list[q.head:]...)
		q.head = 0
	}
	q.list = append(q.list, h)
}

func (q *queueOfHolds) pop() hold {
	h := q.list[q.head]
	q.head++
	return h
}

// bounced tells a recipient that the server took and whose mailbox it then said not to exist: the client that brought
// the message was told nothing, but it was a guess all the same. What users of ours and local programs send is theirs.
func (p *Parser) bounced(t *token) {
	m := p.messages.Get(p.key(t, t.qid))
	if m == nil || m.ip.None() || m.ip.Private() || m.is(msgAuth|msgSpam) {
		return
	}
	ev := p.about(m, harvestwatch.RcptUnknown)
	ev.Time, ev.Pos, ev.Recipient, ev.Status = p.now, p.pos, p.text(t.rcpt), t.status
	p.send(ev)
}
