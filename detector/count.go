package detector

import (
	"bytes"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/rules"
)

// sight is the event at hand, with what was found out about it.
type sight struct {
	ev        *harvestwatch.Event
	src       harvestwatch.Source
	sum       uint64          // its hash
	id        uint32          // the record that counts it, 0: none
	r         record          // the same
	t         uint32          // its second
	hold      uint32          // events before this second are not counted
	v6        int             // 1 for IPv6
	aggregate bool            // the record is that of a parent prefix
	repeated  bool            // its recipient was tried before
	why       reason          // it is no evidence
	hashed    bool            // rcpt and mark are known
	rcpt      uint64          // hash of the recipient
	mark      uint32          // the same, as lists have it
	fit       int8            // whether the client's verified name speaks for it: 0 not known yet, 1 yes, -1 no
	keys      [numKeys]uint64 // the event's keys, as far as they were asked for; 0: not yet, or none
	recs      [numKeys]record
	held      held

	// What the rules ask again and again, from evaluateAll on:
	side     *side // the side record of the record, nil for none
	credited bool  // the source has credit
	floor    uint32
	listOf   int     // the counter of list plus 1
	list     []entry // the places of its list
}

// reason says why a refused recipient is no evidence, in the low bits of an exempt event's entry.
type reason uint32

const (
	evidence reason = iota
	repeated        // it was tried before
	exUser          // it once received mail
	bounce          // the sender is the null sender
	loggedIn        // the client had authenticated
	reasons
)

var guardNames = [reasons]string{"", rules.GuardRepeat, rules.GuardExUser, rules.GuardNull, rules.GuardLogin}

// recipient returns the hashes of the event's recipient.
func (d *Detector) recipient(x *sight) (sum uint64, mark uint32) {
	if !x.hashed {
		var role bool
		x.rcpt, role = d.hash.address(x.ev.Recipient)
		x.mark, x.hashed = marked(x.rcpt, role), true
	}
	return x.rcpt, x.mark
}

// judge says whether a refusal is evidence, if it is one for good: 4xx says nothing of the recipient. It is none of
// somebody who authenticated (an old address book), of a recipient that once received mail (an old list), nor, for rules
// that don't ask for them, a bounce. It asks the ledger of recipients, which may find that the directory is down.
func (d *Detector) judge(x *sight, out *harvestwatch.Outcome) {
	ev := x.ev
	switch {
	case len(ev.User) > 0:
		x.why = loggedIn
		return
	case ev.Null:
		x.why = bounce
	}
	if len(ev.Recipient) == 0 {
		return
	}
	sum, _ := d.recipient(x)
	if bytes.IndexByte(ev.Recipient, '+') >= 0 { // a server that knows no tags denies anna+x: that says nothing of anna
		if d.recipients.Known(sum) {
			x.why = exUser
		}
		return
	}
	known, tripped := d.recipients.Refuse(sum, x.t, uint64(x.src))
	if known {
		x.why = exUser
	}
	if tripped {
		d.trip(out)
	}
}

// takes says whether a counter counts the event, whatever its time.
func (c *counter) takes(x *sight, h *hasher) bool {
	ev := x.ev
	switch {
	case c.sums == sumOpen:
		return ev.Session != 0
	case ev.Kind == harvestwatch.RcptUnknown:
		return x.why == evidence && c.only != rules.NullSender || x.why == bounce && c.only == rules.NullSender
	case c.only == rules.NullSender && !ev.Null, c.only == rules.IdleOnly && ev.Idle == c.against, c.sums == sumSeconds && ev.Began <= 0:
		return false
	case c.sums == sumNoUser && (!ev.NoUser || h.roleUser(ev.User)):
		return false
	case c.mode == rules.User:
		return len(ev.User) > 0
	case c.mode == rules.Domain:
		return len(domainOf(ev.Recipient)) > 0
	}
	return true
}

// value returns what makes events of a counter distinct, or the weight of an event in a bucket. An event that names no
// recipient is one by itself: nobody knows that it was the same as another.
func (d *Detector) valueOf(c *counter, x *sight) uint32 {
	ev := x.ev
	switch {
	case c.sums == sumOpen:
		return d.hash.session(ev.Session)
	case c.sums == sumSeconds:
		return uint32(min(max(ev.Time-ev.Began, 0)/int64(time.Second), rules.MaxSeconds))
	case c.bucket > 0:
		return 1
	}
	switch c.mode {
	case rules.Recipient:
		if len(ev.Recipient) == 0 {
			return d.hash.line(ev)
		}
		_, mark := d.recipient(x)
		return mark
	case rules.UserMinute, rules.User:
		return d.hash.user(ev.User)
	case rules.Domain:
		return d.hash.domain(domainOf(ev.Recipient))
	case rules.Client:
		return fold(x.sum)
	}
	return 0
}

// count takes in what speaks against a source or key, and evaluates the rules that count it.
func (d *Detector) count(x *sight, p *plan, out *harvestwatch.Outcome) {
	unknown := x.ev.Kind == harvestwatch.RcptUnknown
	if unknown {
		if x.ev.Code < 500 && x.ev.Code != 0 {
			out.Ignored = true
			return
		}
		d.judge(x, out)
	}
	wanted, inTime := d.wanted(x, p)
	exempt := unknown && x.why != evidence && d.exempt.longest > 0 && x.t > before(d.now, d.exempt.longest)
	if x.ev.Kind == harvestwatch.Disconnect {
		d.closeSession(x)
	}
	switch {
	case !wanted && !exempt:
		out.Ignored = true
		return
	case wanted && !inTime:
		d.late(out)
		return
	case x.t < x.hold:
		out.Ignored = !wanted
		return
	case x.r == nil && !d.admit(x):
		return
	}
	d.touch(x.id)
	for _, k := range p.keys {
		x.keys[k] = d.keyOf(k, x)
		if s := &d.spaces[k]; s.direct {
			d.ahead = s.peek(x.keys[k])
		}
	}
	d.feed(x, p)
	if exempt {
		d.excuse(x, x.why)
	} else if x.repeated && unknown {
		d.excuse(x, repeated)
	}
	d.feedKeys(x, p)
	if s := d.sideAt(x.r); wanted && s != nil && d.keyRules > 0 && s.credited(d.now) {
		d.noteKeys(x, true)
	}
	d.evaluateAll(x, p, out)
	out.Ignored = !wanted
}

// wanted says whether a counter counts the event, and whether it lies in the longest window of one that does.
func (d *Detector) wanted(x *sight, p *plan) (wanted, inTime bool) {
	for _, list := range [2][]uint16{p.counters, p.keyed} {
		for _, n := range list {
			if c := &d.counters[n]; c.takes(x, &d.hash) {
				if wanted = true; x.t > c.cutoff(d.now, c.longest) {
					return true, true
				}
			}
		}
	}
	return wanted, false
}

// feed counts the event in the lists of its source.
func (d *Detector) feed(x *sight, p *plan) {
	for _, n := range p.counters {
		c := &d.counters[n]
		cutoff := c.cutoff(d.now, c.longest)
		if x.t <= cutoff || !c.takes(x, &d.hash) {
			continue
		}
		h := d.place(x.r, c)
		e := entry{x.t, d.valueOf(c, x), x.ev.Ref}
		var again bool
		if *h, again = d.slabs.put(*h, c, e, cutoff); again && c.mode == rules.Recipient && c.only == rules.AllEvents {
			x.repeated = true
		}
		x.r[wUntil] = max(x.r[wUntil], c.until(x.t))
	}
}

// closeSession takes a session that ended out of the lists of open ones.
func (d *Detector) closeSession(x *sight) {
	if x.ev.Session == 0 {
		return
	}
	ids := [3]uint32{x.id}
	if x.id == 0 && x.v6 == 1 {
		ids = [3]uint32{0, d.table.find(aggregate48(x.src)), d.table.find(aggregate32(x.src))}
	}
	for _, id := range ids {
		if id != 0 {
			d.closeIn(x, id)
		}
	}
}

func (d *Detector) closeIn(x *sight, id uint32) {
	r := d.table.rec(id)
	for _, n := range d.plans[harvestwatch.Connect].counters {
		c := &d.counters[n]
		if c.sums != sumOpen {
			continue
		}
		if h := d.handle(r, c); h != 0 {
			latest := d.slabs.at(h)[0].sec
			left, ok := d.slabs.drop(h, d.hash.session(x.ev.Session), c.cutoff(d.now, c.longest))
			if ok {
				*d.place(r, c) = left
				d.touch(id)
				if r[wUntil] == c.until(latest) {
					r[wUntil] = d.askedUntil(r)
				}
			}
			if left == 0 {
				d.trim(r)
			}
		}
	}
}

// excuse remembers an event that a guard exempts, so that the guard can be named.
func (d *Detector) excuse(x *sight, why reason) {
	block := d.extraOf(x.r)
	h := &block[len(block)-1]
	*h, _ = d.slabs.put(*h, &d.exempt, entry{x.t, uint32(why), x.ev.Ref}, before(d.now, d.exempt.longest))
	x.r[wUntil] = max(x.r[wUntil], d.exempt.until(x.t))
}

// fitting says whether the client's verified name speaks for it.
func (d *Detector) fitting(x *sight) bool {
	if len(x.ev.Name) == 0 {
		return false
	}
	if x.fit == 0 {
		x.fit = -1
		if fits(x.ev) {
			x.fit = 1
		}
	}
	return x.fit > 0
}
