package iis

import (
	"math"

	"github.com/harvestwatch/harvestwatch"
)

// The rows name no connection, so which of a client's connections brought a MAIL can't be told. But as long as there was
// none since all the connections that are open began, none of them did: the QUIT of one of them ends an idle one.

// opened counts a connection that begins.
func (p *Parser) opened(t *token) {
	if t.flags&flagDoubt != 0 {
		return
	}
	c := p.client(t)
	if last := max(c.hello, c.began); c.open > 0 && p.now-last > goneSeconds {
		c.open, c.mailed = 0, false
	}
	if c.open < math.MaxUint16 {
		c.open++
	}
	c.hello = p.now
}

// mailed remembers that a client tried MAIL, whatever came of it.
func (p *Parser) mailed(t *token) {
	if c := p.clients.Get(t.ip); c != nil && !c.mailed {
		p.client(t).mailed = true
	}
}

// quit tells a connection's end.
func (p *Parser) quit(t *token) {
	p.begin(t, harvestwatch.Disconnect)
	c := p.clients.Get(t.ip)
	p.ev.Idle = c != nil && c.open > 0 && !c.mailed
	p.send()
	switch {
	case c == nil:
		return
	case c.open <= 1 && len(c.sender) == 0 && c.began == 0:
		p.clients.Drop(t.ip)
		return
	case c.open == 0 && c.tls == 0 && !c.mailed:
		return
	}
	c = p.client(t)
	c.tls, c.open = 0, c.open-min(c.open, 1)
	if c.open == 0 {
		c.mailed, c.hello = false, 0
	}
}
