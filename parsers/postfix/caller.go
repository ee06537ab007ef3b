package postfix

import (
	"bytes"
	"slices"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/memory"
)

// caller is what is known of a client beside its address, for the lines that don't repeat it. It has at most maxName
// and twice harvestwatch.MaxField bytes of text.
type caller struct {
	texts []byte // its verified name, then the user it logged in as, then its name in HELO
	named uint16 // the length of the first
	owned uint16 // the length of the first two
}

func (c *caller) name() []byte { return c.texts[:c.named] }
func (c *caller) user() []byte { return c.texts[c.named:c.owned] }
func (c *caller) helo() []byte { return c.texts[c.owned:] }

// clear forgets it all but keeps the memory.
func (c *caller) clear() { c.become(nil) }

// become makes it a client of that name, of which no user and no HELO is known. name is a verified one or nil.
func (c *caller) become(name []byte) {
	c.texts = append(c.texts[:0], name...)
	n := uint16(len(name))
	c.named, c.owned = n, n
}

// logsIn takes the name of the user that it logged in as, and reports whether it is another one than before.
func (c *caller) logsIn(user []byte) bool {
	if bytes.Equal(c.user(), user) {
		return false
	}
	c.texts = slices.Replace(c.texts, int(c.named), int(c.owned), user...)
	c.owned = c.named + uint16(len(user))
	return true
}

// greets takes a name in HELO, and reports whether it is another one than before.
func (c *caller) greets(helo []byte) bool {
	if bytes.Equal(c.helo(), helo) {
		return false
	}
	c.texts = append(c.texts[:c.owned], helo...)
	return true
}

// take makes it the same as another one.
func (c *caller) take(o *caller) {
	c.texts = append(c.texts[:0], o.texts...)
	c.named, c.owned = o.named, o.owned
}

// stored returns which of the two bits hold for what append appends: that of the names, and that of the user.
func (c *caller) stored(names, user byte) (flags byte) {
	if len(c.name())+len(c.helo()) > 0 {
		flags |= names
	}
	if len(c.user()) > 0 {
		flags |= user
	}
	return flags
}

// append appends for readCaller the two names, if there is one, and then the user, if there is one.
func (c *caller) append(b []byte) []byte {
	if len(c.name())+len(c.helo()) > 0 {
		b = memory.AppendText(memory.AppendText(b, c.name()), c.helo())
	}
	if len(c.user()) > 0 {
		b = memory.AppendText(b, c.user())
	}
	return b
}

func readCaller(r *memory.Reader, names, user bool) (c caller) {
	if names {
		c.become(r.Text())
		c.greets(r.Text())
	}
	if user {
		c.logsIn(r.Text())
	}
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
