package detector

import (
	"math"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/rules"
)

// evaluateAll looks at the rules that the event may satisfy, in their order: the first that fires wins. Where none does,
// the first that a guard held back is told.
func (d *Detector) evaluateAll(x *sight, p *plan, out *harvestwatch.Outcome) {
	d.prepare(x)
	for _, n := range p.rules {
		ru := &d.rules[n]
		fired := false
		if ru.bySource() {
			fired = d.evaluate(int(n), x, out)
		} else if d.counts(ru, x) {
			fired = d.evaluateKeys(int(n), x, out)
		}
		if fired {
			return
		}
	}
	d.tellHeld(x, out)
}

// prepare works out what all rules ask of the source. From here on nothing of it changes until the event is done with.
func (d *Detector) prepare(x *sight) {
	x.side, x.listOf, x.floor = d.sideAt(x.r), 0, d.floor()
	x.credited = x.side != nil && x.side.credited(d.now)
}

// window returns what a counter of the source holds for a window.
func (d *Detector) window(x *sight, n int, window uint32) []entry {
	ct := &d.counters[n]
	if x.listOf != n+1 {
		x.listOf, x.list = n+1, nil
		if h := d.handle(x.r, ct); h != 0 {
			x.list = ct.held(d.slabs.at(h))
		}
	}
	if len(x.list) == 0 {
		return nil
	}
	cut := ct.cutoff(d.now, window)
	if ct.unknown {
		cut = max(cut, x.floor)
	}
	return x.list[:after(x.list, cut)]
}

// counts says whether a rule counts the event in one of its conditions.
func (d *Detector) counts(ru *rule, x *sight) bool {
	for i := range ru.conds {
		if d.counters[ru.conds[i].counted[0]].takes(x, &d.hash) {
			return true
		}
	}
	return false
}

// measure is what a condition asks of a source or key.
type measure struct {
	base  int // where nothing speaks for it
	raw   int // the same, a success taken into account
	bar   int // with all that moves it but deliveries
	need  int // with those
	good  int // deliveries
	stand int // what stands for or against it: plain, withCredit, withName, listed
	after bool
}

// measure works out a condition's thresholds for a source.
func (d *Detector) measure(ru *rule, c *condition, x *sight) measure {
	var m measure
	s := x.side
	onList, probation, after := 0, 0, 0
	if x.ev.Listed {
		onList, m.stand = 1, listed
	}
	if ru.verified && d.fitting(x) {
		m.stand = withName
	}
	if s != nil {
		if d.now < s.probation {
			probation = 1
		}
		if m.after = d.succeeded(ru, s); m.after {
			after = 1
		}
		m.good = len(d.slabs.live(s.good, before(d.now, c.good)))
		if x.credited || m.after && m.good > 0 { // users who send mail of their own from there speak for those who mistype
			m.stand = withCredit
		}
	}
	m.base = int(c.base[x.v6][onList][probation])
	m.raw = int(c.need[x.v6][after][min(m.stand, 0)+onList*listed][probation])
	m.bar = int(c.need[x.v6][after][m.stand][probation])
	m.need = m.bar + ru.credit(m.good)
	return m
}

// succeeded says whether a source's success still counts for a rule.
func (d *Detector) succeeded(ru *rule, s *side) bool {
	return s != nil && s.authOK > 0 && ru.within > 0 && s.authOK > before(d.now, ru.within)
}

// rests names the guard by which a rule rests for a source, "" for none.
func (d *Detector) rests(ru *rule, x *sight) string {
	s := x.side
	switch {
	case ru.mail > 0 && x.r[wMail] > before(d.now, ru.mail):
		return rules.GuardMail
	case s == nil:
		return ""
	case ru.unless > 0 && len(d.slabs.live(s.good, before(d.now, ru.unless))) > 0:
		return rules.GuardMail
	case ru.success > 0 && s.authOK > before(d.now, ru.success):
		return rules.GuardSuccess
	case ru.uncredit && x.credited:
		return rules.GuardCredit
	}
	return ""
}

// quieted says whether a list of quiet rules has a mark.
func (d *Detector) quieted(h uint32, mark int) bool {
	if h == 0 {
		return false
	}
	for _, e := range d.slabs.live(h, d.now) {
		if e.hash == uint32(mark) {
			return true
		}
	}
	return false
}

// evaluate looks whether a rule's threshold is reached by a source, and puts the offence into the outcome.
func (d *Detector) evaluate(n int, x *sight, out *harvestwatch.Outcome) bool {
	ru := &d.rules[n]
	s := x.side
	asked, excused, counts, rests := false, ru.exempting && s != nil && s.extra != 0, false, ""
	for i := range ru.conds {
		c := &ru.conds[i]
		ct := &d.counters[c.counted[0]]
		list := d.window(x, c.counted[0], c.window)
		got := ct.total(list)
		if got == 0 && !excused {
			continue
		}
		if !asked {
			if s != nil && d.quieted(s.quiet, n+1) {
				return false
			}
			asked, counts, rests = true, x.why == evidence && !ru.filtered || d.counts(ru, x), d.rests(ru, x)
		}
		m := d.measure(ru, c, x)
		if ru.shared != nil {
			names := 0
			if 2*got >= m.base {
				names = d.sharedNames(ru, list, max(m.base-got, ru.shared.Names))
			}
			if names == 0 {
				continue
			}
			got += names
		}
		if ru.near && got > 0 && rests == "" && counts {
			d.approach(x.r, n, got, &m)
		}
		if ru.enforced && c.events && counts && 2*got >= m.base && !x.aggregate {
			d.suspect(x, out)
		}
		exempt := 0
		if got < m.base {
			if !excused {
				continue
			}
			if exempt = len(d.slabs.live(d.exemptOf(s), d.cutoff(ct, c.window))); got+exempt < m.base {
				continue
			}
		}
		guard := rests
		if guard == "" {
			guard = d.heldBack(ru, c, x, s, list, got, m)
		}
		if guard == "" && counts {
			if guard = d.siteGuard(ru, x, s, got, &m, out); guard == "" {
				d.fire(n, c, x, list, got, m, "", out)
				return true
			}
		}
		if guard != "" {
			d.hold(held{rule: n, cond: i, guard: guard, got: got, m: m}, x, s)
		}
	}
	return false
}

// usersAmong says whether so many users as the rule asks for after a success are among what was counted.
func usersAmong(ru *rule, m *measure, list []entry) bool {
	return ru.users == 0 || !m.after || users(list, ru.users) >= ru.users
}

// shareHolds says whether enough of what was done is what the rule counts.
func (d *Detector) shareHolds(ru *rule, got, other int) bool {
	return ru.share == 0 || uint64(got)*1000000 >= ru.share*uint64(got+other)
}

// other returns the other share of a source.
func (d *Detector) other(c *condition, r record) int {
	if c.against[0] < 0 {
		return 0
	}
	ct := &d.counters[c.against[0]]
	return ct.total(d.live(r, ct, c.window))
}

// suspect tells, once a day, that a source is half way to a threshold.
func (d *Detector) suspect(x *sight, out *harvestwatch.Outcome) {
	today := (d.now/day%127 + 1) << suspectShift
	if x.r[wSide]&suspectMask != today {
		x.r[wSide] = x.r[wSide]&^suspectMask | today
		out.Suspect = true
	}
}

// fire puts an offence of a source into the outcome. It is newly allocated, evidence included, and belongs to the caller.
func (d *Detector) fire(n int, c *condition, x *sight, list []entry, got int, m measure, guard string, out *harvestwatch.Outcome) {
	o := d.offence(n, c, x, list)
	o.Count, o.Threshold, o.Base, o.Deliveries, o.Guard = got, m.need, m.base, m.good, guard
	o.Listed = m.stand == listed && c.base[x.v6][1][0] < c.base[x.v6][0][0]
	d.asked = asked{rule: n, src: x.src}
	if x.aggregate {
		o.Prefix = prefixAround(x.r.key())
	}
	out.Offence = o
}

// offence describes what was found.
func (d *Detector) offence(n int, c *condition, x *sight, list []entry) *harvestwatch.Offence {
	d.stats.Offences++
	ev := x.ev
	o := &harvestwatch.Offence{Source: x.src, Rule: d.rules[n].name, RuleIndex: n, Fired: when(d.now), First: when(d.now),
		Window: time.Duration(c.window) * time.Second, Level: 1, Session: ev.Session, Pos: ev.Pos, Addr: ev.Addr,
		Name: bounded(ev.Name), Helo: bounded(ev.Helo)}
	if x.r != nil {
		if s := d.sideAt(x.r); s != nil {
			o.Level = s.remembered(d.now) + 1
			o.Probation = d.now < s.probation && !s.credited(d.now)
			o.Credited = s.credited(d.now)
			o.Served = d.servedOf(s)
		}
	}
	if len(list) > 0 {
		o.First = when(list[len(list)-1].sec)
	}
	o.Evidence = make([]uint32, len(list))
	for i := range list {
		o.Evidence[len(list)-1-i] = list[i].ref
	}
	return o
}

func bounded(text []byte) string { return string(text[:min(len(text), harvestwatch.MaxField)]) }

// nearest is how near a source came, as two words of its record hold it.
type nearest struct{ rule, got, need, good, base int }

const (
	goodBits = 9 // of rules.MaxGood
	ruleBits = 6 // of rules.MaxRules
)

func (r record) nearest() nearest {
	w := int(r[wNearRule])
	return nearest{w>>goodBits&(1<<ruleBits-1) - 1, int(r[wNear] & math.MaxUint16), int(r[wNear] >> 16), w & (1<<goodBits - 1), w >> (goodBits + ruleBits)}
}

func (r record) setNearest(n nearest) {
	r[wNear] = uint32(min(n.got, math.MaxUint16) | min(n.need, math.MaxUint16)<<16)
	r[wNearRule] = uint32(min(n.good, rules.MaxGood) | (n.rule+1)<<goodBits | min(n.base, math.MaxUint16)<<(goodBits+ruleBits))
}

// approach remembers how near a source came. Nearness is measured by what was counted against the threshold of a source
// that nothing speaks for, so that the answer names the deliveries and the credit that spoke for it: 5 of 490, not the
// first of the five, which was 1 of 10.
func (d *Detector) approach(r record, n, got int, m *measure) {
	if was := r.nearest(); was.rule >= 0 {
		a, b := got*was.base, was.got*m.base
		if a < b || a == b && got*was.need <= was.got*m.need {
			return
		}
	}
	r.setNearest(nearest{n, got, m.need, m.good, m.base})
}

// Standing returns how near a source came to a rule that counts distinct things of a source. It is forgotten with the
// source: when no window holds an event of it, and for a source that delivered 30 days after its last event.
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
	n := r.nearest()
	if n.rule < 0 {
		return false
	}
	out.Rule, out.Count, out.Threshold, out.Deliveries = d.rules[n.rule].name, n.got, n.need, n.good
	return true
}
