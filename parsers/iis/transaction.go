package iis

import (
	"time"

	"github.com/harvestwatch/harvestwatch"
)

const (
	// MaxTransactions is how many clients' recipients are remembered at once, from the first that is accepted to the
	// message's end. Above it the client that was silent longest loses its own: nothing is told as delivered for it.
	MaxTransactions = 1024
	// MaxRecipients is how many recipients of a transaction are remembered: those above it are not told as delivered.
	// Each has at most harvestwatch.MaxField bytes, so all transactions' texts together have at most 26 MB.
	MaxRecipients = 100
)

// transaction is the recipients that were accepted from a client since its latest MAIL. Two connections of one address
// share it, as nothing in a row tells them apart: a message of the one credits the address with a recipient of the
// other, or the other's MAIL takes the credit away. It is the same address that has it either way.
type transaction struct {
	texts []byte   // the recipients, one behind the other
	ends  []uint16 // where each ends: MaxRecipients * MaxField fits
}

// remember adds an accepted recipient to its client's transaction, if the row names it.
func (p *Parser) remember(t *token) {
	recipient := p.field(t.path)
	if len(recipient) == 0 || t.code > 251 {
		return
	}
	r, fresh := p.open.Put(t.ip)
	if fresh {
		r.texts, r.ends = r.texts[:0], r.ends[:0]
	}
	if len(r.ends) < MaxRecipients {
		r.texts = append(r.texts, recipient...)
		r.ends = append(r.ends, uint16(len(r.texts)))
	}
}

// deliver tells a message that was accepted as delivered to the recipients of its transaction: the service logs nothing
// of what comes later, and no id by which another log could know better.
func (p *Parser) deliver(t *token) {
	r := p.open.Get(t.ip)
	if r == nil || t.code != 250 {
		return
	}
	p.begin(t, harvestwatch.Delivered)
	if c := p.clients.Get(t.ip); c != nil {
		p.ev.Began = c.began * int64(time.Second)
	}
	ev, texts, start := p.ev, p.keep(r.texts), uint16(0)
	for _, end := range r.ends {
		p.ev = ev // emit may have changed the one before
		p.ev.Recipient = texts[start:end:end]
		p.send()
		start = end
	}
}

// over reports whether a row ends what transaction its client had open.
func over(t *token) bool {
	switch t.verb {
	case verbHelo, verbMail, verbRset:
		return t.code/100 == 2 || t.code == 421
	case verbData, verbBdat: // done, or failed; blamed for its form it changes nothing
		return !syntax(t.code) && (t.code/100 != 2 || t.flags&flagPart == 0)
	case verbQuit:
		return true
	}
	return t.code == 421
}
