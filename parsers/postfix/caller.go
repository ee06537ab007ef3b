package postfix

import (
	"bytes"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/memory"
)

// caller is what is known of a client beside its address, for the lines that don't repeat it. It has at most maxName
// and harvestwatch.MaxField bytes of text.
type caller struct {
	texts []byte // its verified name, then its name in HELO
	named uint16 // the length of the first
}

func (c *caller) name() []byte { return c.texts[:c.named] }
func (c *caller) helo() []byte { return c.texts[c.named:] }

// clear forgets it all but keeps the memory.
func (c *caller) clear() { c.texts, c.named = c.texts[:0], 0 }

// become makes it a client of that name, of which no HELO is known. name is a verified one or nil.
func (c *caller) become(name []byte) {
	c.texts = append(c.texts[:0], name...)
	c.named = uint16(len(name))
}

// greets takes a name in HELO, and reports whether it is another one than before.
func (c *caller) greets(helo []byte) bool {
	if bytes.Equal(c.helo(), helo) {
		return false
	}
	c.texts = append(c.name(), helo...)
	return true
}

// take makes it the same as another one.
func (c *caller) take(o *caller) {
	c.texts = append(c.texts[:0], o.texts...)
	c.named = o.named
}

// append appends the two names for readCaller.
func (c *caller) append(b []byte) []byte {
	return memory.AppendText(memory.AppendText(b, c.name()), c.helo())
}

func readCaller(r *memory.Reader) (c caller) {
	c.become(r.Text())
	c.greets(r.Text())
	return c
}

// greeting brings an event and its session together: the event's HELO name is remembered, or where its line has none,
// taken from there.
func (p *Parser) greeting(ev *harvestwatch.Event, s *session, key uint64) {
	switch {
	case s == nil:
	case len(ev.Helo) == 0:
		ev.Helo = p.keep(s.helo())
	case s.greets(ev.Helo):
		p.sessions.Touch(key)
	}
}
