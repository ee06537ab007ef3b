package tracking2003

import (
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/csvlog"
	"github.com/harvestwatch/harvestwatch/parsers/exchange/tracking/reply"
	"github.com/harvestwatch/harvestwatch/parsers/exchange/twin"
)

// sameTime is how far apart the rows of one message's recipients may lie.
const sameTime = int64(60 * time.Second)

// owner is whose messages an id stands for. Whoever sends a message chooses its id, and bulk mail repeats it: so an id
// can stand for messages of several clients.
type owner struct {
	client uint64 // who came first, as a hash of id and address
	mixed  bool   // others came too
}

// tell makes p.ev of a row, and reports whether it is an event.
func (p *Parser) tell(t *token, pos harvestwatch.Pos) bool {
	p.ev = harvestwatch.Event{Time: t.at, Pos: pos, Null: t.null, Sender: p.cut(t.sender)}
	id := csvlog.Hash([]byte("2003"), t.message)
	switch t.op {
	case opReceive:
		return p.receive(t, id)
	case opDeliver:
		p.ev.Kind = harvestwatch.Delivered
	case opBounce:
		p.ev.Kind = harvestwatch.RcptUnknown
		p.ev.Code, p.ev.Status = t.code, t.status
		if p.ev.Code == 0 {
			p.ev.Code = 550
		}
		if !reply.Unknown(t.status) {
			return false
		}
	}
	p.ev.Recipient = p.cut(t.recipient)
	join, ok := p.joinOf(t, id)
	p.ev.Join = join
	return ok
}

// receive notes whose message it is and for whom. It reports true for the first row of a message, which tells of it.
func (p *Parser) receive(t *token, id uint64) bool {
	if !known(t.ip) || p.site.IsOwn(t.ip.Addr()) {
		return false
	}
	client := twin.Message(t.ip, t.message)
	// The first client's messages go by the id alone, so that another server's log can name them.
	join := id
	if o, fresh := p.owners.Put(id); fresh {
		*o = owner{client: client}
	} else if o.client != client {
		o.mixed = true
		join = client
	}
	at, fresh := p.arrivals.Put(client)
	again := !fresh && t.at-*at <= sameTime && *at-t.at <= sameTime
	*at = t.at
	v, _ := p.recipients.Put(recipientKey(t))
	*v = join
	p.ev.Kind, p.ev.Addr, p.ev.Join, p.ev.Twin = harvestwatch.Accepted, t.ip.Addr(), join, client
	return !again
}

// joinOf returns the Join of the message that a row is about: that of the message which came in for the same recipient,
// else that of the id's only client. ok is false where the id stands for messages of several.
func (p *Parser) joinOf(t *token, id uint64) (join uint64, ok bool) {
	if join := p.recipients.Get(recipientKey(t)); join != nil {
		return *join, true
	}
	o := p.owners.Get(id)
	return id, o == nil || !o.mixed
}

func recipientKey(t *token) uint64 {
	return csvlog.Hash(t.message, t.recipient)
}
