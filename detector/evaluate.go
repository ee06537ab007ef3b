package detector

import (
	"math"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

// evaluate looks whether a rule's threshold is reached by a source, and puts the offence into the outcome.
func (d *Detector) evaluate(n int, r record, ev *harvestwatch.Event, out *harvestwatch.Outcome) bool {
	ru := &d.rules[n]
	var s *side
	if i := r.side(); i != 0 {
		s = d.sides.at(i)
		if d.resting(n, s) {
			return false
		}
	}
	h := r[wLists+ru.counter]
	ct := &d.counters[ru.counter]
	for i := range ru.conds {
		c := &ru.conds[i]
		list := d.slabs.live(h, ct.cutoff(d.now, c.window))
		got := ct.total(list)
		base, good := d.bar(ru, c, s)
		need := base + ru.credit(good)
		if ru.near && got > 0 {
			d.approach(r, n, got, need, good)
		}
		if got < need || ru.users > 0 && d.succeeded(ru, s) && users(list, ru.users) < ru.users {
			continue
		}
		out.Offence = d.offence(n, c, r, list, ev)
		o := out.Offence
		o.Count, o.Threshold, o.Deliveries = got, need, good
		return true
	}
	return false
}

// resting says whether a rule is not to be looked at for a source: it was settled for a while, or the source delivered
// just now.
func (d *Detector) resting(n int, s *side) bool {
	if unless := d.rules[n].unless; unless > 0 && len(d.slabs.live(s.good, before(d.now, unless))) > 0 {
		return true
	}
	for _, e := range d.slabs.live(s.quiet, d.now) {
		if e.hash == uint32(n)+1 {
			return true
		}
	}
	return false
}

// succeeded says whether a source's success still counts for a rule.
func (d *Detector) succeeded(ru *rule, s *side) bool {
	return s != nil && s.authOK > 0 && ru.within > 0 && s.authOK > before(d.now, ru.within)
}

// bar returns a condition's threshold for a source as it is without deliveries, and the deliveries.
func (d *Detector) bar(ru *rule, c *condition, s *side) (base, good int) {
	if s == nil {
		return int(c.base[0][0]), 0
	}
	success, probation := 0, 0
	if d.succeeded(ru, s) {
		success = 1
	}
	if d.now < s.probation {
		probation = 1
	}
	return int(c.base[success][probation]), len(d.slabs.live(s.good, before(d.now, c.good)))
}

// offence describes what was found. It is newly allocated, evidence included, and belongs to the caller.
func (d *Detector) offence(n int, c *condition, r record, list []entry, ev *harvestwatch.Event) *harvestwatch.Offence {
	d.stats.Offences++
	o := &harvestwatch.Offence{Source: r.key(), Rule: d.rules[n].name, RuleIndex: n, Fired: when(d.now), First: when(list[len(list)-1].sec),
		Window: time.Duration(c.window) * time.Second, Level: 1, Session: ev.Session, Pos: ev.Pos, Addr: ev.Addr}
	if i := r.side(); i != 0 {
		s := d.sides.at(i)
		o.Level = s.remembered(d.now) + 1
		o.Probation = d.now < s.probation
	}
	o.Evidence = make([]uint32, len(list))
	for i := range list {
		o.Evidence[len(list)-1-i] = list[i].ref
	}
	return o
}

// approach remembers how near a source came. Nearness is measured before credit, by what was counted against the
// threshold of a source without deliveries, so that the answer names the deliveries that spoke for it: 5 of 490, not
// the first of the five, which was 1 of 10.
func (d *Detector) approach(r record, n, got, need, good int) {
	got, need = min(got, math.MaxUint16), min(need, math.MaxUint16)
	if known := int(r[wNearRule] >> 16); known != 0 {
		gotWas, needWas := int(r[wNear]&math.MaxUint16), int(r[wNear]>>16)
		baseWas := needWas - d.rules[known-1].credit(int(r[wNearRule]&math.MaxUint16))
		base := need - d.rules[n].credit(good)
		a, b := got*baseWas, gotWas*base
		if a < b || a == b && got*needWas <= gotWas*need {
			return
		}
	}
	r[wNear] = uint32(got) | uint32(need)<<16
	r[wNearRule] = uint32(good) | uint32(n+1)<<16
}

// Standing returns how near a source came to a rule that counts recipients or users. It is forgotten with the source:
// when no window holds an event of it, and for a source that delivered 30 days after its last event.
func (d *Detector) Standing(src harvestwatch.Source) harvestwatch.Standing {
	out := harvestwatch.Standing{Source: src}
	id := d.table.find(src)
	if id == 0 {
		return out
	}
	if r := d.table.rec(id); !d.dead(r) {
		d.standing(r, &out)
	}
	return out
}

// standing fills in what a record holds of a source's nearest approach. It reports false where there was none.
func (d *Detector) standing(r record, out *harvestwatch.Standing) bool {
	n := int(r[wNearRule] >> 16)
	if n == 0 {
		return false
	}
	out.Rule = d.rules[n-1].name
	out.Count, out.Threshold = int(r[wNear]&math.MaxUint16), int(r[wNear]>>16)
	out.Deliveries = int(r[wNearRule] & math.MaxUint16)
	return true
}

// Settle tells what was decided about an offence. After a block or a would-be block the source's events are left out
// until its end, its windows begin anew, and its next offence counts higher. After anything else, and for a rule on
// trial, only the rule rests for this source, until the decision's Until or for its window where that is not set; a
// rule on trial must not shield a source from a rule in force.
func (d *Detector) Settle(dec *harvestwatch.Decision) {
	o := &dec.Offence
	if o.RuleIndex < 0 || o.RuleIndex >= len(d.rules) {
		return
	}
	id := d.record(o.Source, d.lookup(o.Source))
	if id == 0 {
		return
	}
	r := d.table.rec(id)
	s := d.sideOf(r)
	fired, until := clamp(o.Fired), clamp(dec.Until)
	trial := dec.Action == harvestwatch.ActObserve && d.rules[o.RuleIndex].trial
	if trial || dec.Action != harvestwatch.ActBlock && dec.Action != harvestwatch.ActObserve {
		if until <= fired {
			until = clamp(o.Fired.Add(o.Window))
		}
		if until > d.now {
			s.quiet = d.slabs.put(s.quiet, &d.quiet, entry{until, uint32(o.RuleIndex) + 1, 0}, d.now)
		}
		return
	}
	until = max(until, fired)
	s.from, s.until = fired, until
	s.hold = max(until, plus(fired, d.grace+1))
	s.probation = plus(until, probationFor)
	s.offences = uint16(min(max(o.Level, 1), maxOffenceCount))
	d.clearLists(r)
}

// Release ends a source's block because an administrator said so: its windows begin anew at that time, its offences
// are forgotten, and it is not on probation. For a source without a block, what happened before that time is forgotten.
func (d *Detector) Release(src harvestwatch.Source, at time.Time) {
	id := d.record(src, d.lookup(src))
	if id == 0 {
		return
	}
	r := d.table.rec(id)
	d.clearLists(r)
	s := d.sideOf(r)
	t := clamp(at)
	if s.until > t {
		s.until = max(t, s.from)
	}
	s.hold, s.probation, s.offences = t, 0, 0
}

// clearLists forgets what was counted against a source.
func (d *Detector) clearLists(r record) {
	for i := wLists; i < len(r); i++ {
		d.slabs.release(r[i])
		r[i] = 0
	}
}

// clamp returns a time in seconds since 1970, within what the detector can count.
func clamp(t time.Time) uint32 { return uint32(min(max(t.Unix(), 0), math.MaxUint32)) }

// plus adds without going past the end of time.
func plus(t, d uint32) uint32 { return uint32(min(uint64(t)+uint64(d), math.MaxUint32)) }
