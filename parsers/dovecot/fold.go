package dovecot

import (
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/address"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

const (
	maxFails  = 100                     // refused attempts that the end of one connection tells
	joinTime  = 10 * int64(time.Minute) // how long an attempt without a session's id waits for its connection's end
	pamTime   = 10 * int64(time.Second) // how long pam_unix's line waits for the database's
	chainTime = 5 * int64(time.Second)  // how long after another database one speaks of the same attempt, where no session joins them
	drivers   = 3                       // password databases of one site that are told apart
)

// record is what was told of a connection or, where lines name none, of an address.
type record struct {
	last    int64                               // when it was last changed
	told    uint32                              // attempts
	open    uint32                              // of those, the ones that another database may still speak of
	by      [drivers]struct{ driver, n uint32 } // how often each database spoke of them
	unknown uint32                              // whom the latest unknown user called himself, by accountOf; 0 for none
}

// say counts what a password database said of an attempt, and reports whether no other one had said it before. The
// databases of a site are asked one after the other, and each tells the same attempt.
func (r *record) say(driver uint32) bool {
	for i := range r.by {
		d := &r.by[i]
		if d.driver == 0 {
			d.driver = driver
		}
		if d.driver == driver {
			if d.n++; d.n <= r.open {
				return false
			}
			break
		}
	}
	r.open++
	r.told++
	return true
}

// settle says that what comes is of other attempts than what was said.
func (r *record) settle() {
	r.open = 0
	clear(r.by[:])
}

// claim takes up to n attempts off because another line has told them.
func (r *record) claim(n uint32) uint32 {
	n = min(n, r.told)
	r.told -= n
	r.open -= min(r.open, n)
	for i := range r.by {
		r.by[i].n -= min(r.by[i].n, n)
	}
	return n
}

// Fold turns what Lex left into events, in the order of the lines. The events' texts lie in l.Data. Events and unparsed
// lines hold until the call that tells them returns, their texts until l is released.
func (p *Parser) Fold(l *harvestwatch.Lines, emit func(*harvestwatch.Event), unparsed func(harvestwatch.Pos, []byte)) harvestwatch.Counts {
	out, ok := l.Lexed.(*lexed)
	if !ok {
		p.Lex(l)
		out = l.Lexed.(*lexed)
	}
	if out.among {
		out.countAmong(l.Data)
	}
	p.data, p.out, p.emit = l.Data, out, emit
	p.counts = harvestwatch.Counts{Lines: out.lines, Ignored: out.quiet + out.foreign}
	for i := range out.tokens {
		t := &out.tokens[i]
		p.pos = l.Pos
		p.pos.Offset += int64(t.off)
		if p.pos.Line > 0 {
			p.pos.Line += int64(t.line)
		}
		p.now = p.time(t)
		if t.op == opUnparsed {
			p.counts.Unparsed++
			if unparsed != nil {
				unparsed(p.pos, l.Data[t.off:t.end])
			}
			continue
		}
		before := p.counts.Events
		if !p.own(t) {
			for range t.repeat {
				p.apply(t)
			}
		}
		if p.counts.Events == before {
			p.counts.Ignored++
		}
	}
	p.data, p.out, p.emit = nil, nil, nil
	return p.counts
}

// time returns when a line was written: for one without a stamp when the one before it was.
func (p *Parser) time(t *token) int64 {
	now := p.clock.Time(t.stamp)
	if now == 0 && t.stamp.None() && !p.site.Reference.IsZero() {
		return p.site.Reference.UnixNano()
	}
	return now
}

// own reports whether a line's client is one of the site's servers or gateways.
func (p *Parser) own(t *token) bool {
	if len(p.site.Own) == 0 || t.ip.None() {
		return false
	}
	a := t.ip.Addr()
	for _, n := range p.site.Own {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// apply does what a token says.
func (p *Parser) apply(t *token) {
	switch t.op {
	case opAttempt:
		p.attempt(t)
	case opEnd:
		p.ended(t)
	case opVisit:
		// It accuses nobody, so it names nobody.
		ev := p.begin(t, t.kind, 0)
		ev.Addr = harvestwatch.Addr{}
		p.send(ev)
	case opEvent:
		if t.kind == harvestwatch.AuthOK {
			p.admitted(t)
		}
		p.send(p.begin(t, t.kind, 0))
	}
}

// admitted forgets a connection's attempts that failed, since it has logged in.
func (p *Parser) admitted(t *token) {
	user := t.user.of(p.data)
	if t.session == 0 {
		p.sole.admitted(user, p.fresh(keyOf(t.ip, 0), joinTime))
		return
	}
	key := keyOf(t.ip, t.session)
	r := p.told.Get(key)
	if r == nil {
		r = p.fresh(keyOf(t.ip, 0), joinTime)
	}
	p.sole.admitted(user, r)
	p.told.Drop(key)
}

// keyOf returns the key under which a connection's attempts are remembered: an address's where there is no session.
func keyOf(a address.IP, session uint64) uint64 { return mix(a.Hi ^ mix(a.Lo^mix(session))) }

// fresh returns what is remembered under a key, nil where that is nothing or longer ago than within.
func (p *Parser) fresh(key uint64, within int64) *record {
	if r := p.told.Get(key); r != nil && max(r.last-p.now, p.now-r.last) <= within {
		return r
	}
	return nil
}

// attempt tells an attempt that no other line has told, and remembers it for its connection's end.
func (p *Parser) attempt(t *token) {
	key := keyOf(t.ip, t.session)
	old := p.fresh(key, joinTime) != nil
	r, fresh := p.told.Put(key)
	if fresh || !old {
		*r = record{}
	}
	if t.session == 0 && max(r.last-p.now, p.now-r.last) > chainTime {
		r.settle()
	}
	r.last = p.now
	noUser := p.sole.heard(t, p.now)
	if t.answer == answerNoUser {
		r.unknown = accountOf(t.user.of(p.data))
	}
	first := r.say(t.driver)
	n := r.told
	if !first || t.session != 0 && p.pamTold(t.ip) {
		return
	}
	ev := p.begin(t, harvestwatch.AuthFail, n)
	ev.NoUser = noUser
	p.send(ev)
}

// pamTold takes an attempt of an address off that a PAM module told a moment ago; modules know no sessions.
func (p *Parser) pamTold(a address.IP) bool {
	key := keyOf(a, 0)
	r := p.fresh(key, pamTime)
	if r == nil {
		return false
	}
	for i := range r.by {
		if d := &r.by[i]; d.driver&1 == 0 && d.n > 0 && r.claim(1) > 0 {
			p.told.Touch(key)
			return true
		}
	}
	return false
}

// ended tells the attempts of a connection that no line of their own told, and its end.
func (p *Parser) ended(t *token) {
	told := uint32(0)
	if t.session != 0 {
		key := keyOf(t.ip, t.session)
		if r := p.told.Get(key); r != nil {
			told = r.told
			p.told.Drop(key)
		}
	}
	if t.fails > told {
		key := keyOf(t.ip, 0)
		if r := p.fresh(key, joinTime); r != nil {
			told += r.claim(t.fails - told)
			p.told.Touch(key)
			if r.told == 0 {
				p.told.Drop(key)
			}
		}
	}
	for n := told; n < t.fails && n-told < maxFails; n++ {
		p.send(p.begin(t, harvestwatch.AuthFail, n+1))
	}
	p.send(p.begin(t, t.kind, 0))
}

// begin makes p.ev the event of a token, the nth of its kind in its session.
func (p *Parser) begin(t *token, k harvestwatch.Kind, n uint32) *harvestwatch.Event {
	p.ev = harvestwatch.Event{Time: p.now, Pos: p.pos, Kind: k, Addr: t.ip.Addr(), Session: t.session, User: site.Cut(t.user.of(p.data), &p.out.arena)}
	if t.session != 0 {
		p.ev.Twin = max(mix(keyOf(t.ip, t.session)+uint64(n)), 1)
	}
	return &p.ev
}

func (p *Parser) send(ev *harvestwatch.Event) {
	p.counts.Events++
	p.emit(ev)
}
