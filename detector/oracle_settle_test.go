package detector

import (
	"slices"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/rules"
)

func (o *oracle) settle(d *harvestwatch.Decision, ev *harvestwatch.Event) {
	r := &o.set.Rules[d.Offence.RuleIndex]
	s := o.source(d.Offence.Source)
	keys := textKeys(ev)
	fired, until := d.Offence.Fired.Unix(), d.Until.Unix()
	trial := d.Action == harvestwatch.ActObserve && r.Mode == rules.Observe
	if d.Action == harvestwatch.ActSuppress || d.Action == harvestwatch.ActAlert || trial {
		if d.Until.IsZero() {
			until = fired + secs(d.Offence.Window)
		}
		if len(r.Keys) == 0 {
			s.resting[d.Offence.RuleIndex] = max(s.resting[d.Offence.RuleIndex], until)
		}
		for _, k := range r.Keys {
			rest := o.key(keys[k]).resting
			rest[d.Offence.RuleIndex] = max(rest[d.Offence.RuleIndex], until)
		}
		return
	}
	if slices.Equal(r.Keys, []rules.Key{rules.ByPrefix}) {
		p := o.key(keys[rules.ByPrefix])
		p.from, p.until, p.hold = fired, until, max(until, fired+o.grace+1)
		p.probation, p.offences, p.cleared, p.blocked = until+oDay, d.Offence.Level, len(o.all), nil
		return
	}
	o.teach(d.Offence.Source, s, fired)
	s.from, s.until = fired, until
	s.hold = max(until, fired+o.grace+1)
	s.probation = until + oDay
	s.offences = d.Offence.Level
	s.cleared = len(o.all)
	p := o.key(keys[rules.ByPrefix])
	if fired < p.hold {
		return
	}
	ref := uint32(0)
	if n := len(d.Offence.Evidence); n > 0 {
		ref = d.Offence.Evidence[n-1]
	}
	p.blocked = append(p.blocked, lesson{t: fired, src: d.Offence.Source, ref: ref})
	for i := range o.set.Rules {
		for c := range o.set.Rules[i].Conditions {
			if o.set.Rules[i].Blocks && len(o.blockedIn(p, &o.set.Rules[i].Conditions[c])) >= o.least(&o.set.Rules[i], c, ev) {
				if o.pending[keys[rules.ByPrefix]] == nil {
					o.pending[keys[rules.ByPrefix]] = map[int]bool{}
				}
				o.pending[keys[rules.ByPrefix]][i] = true
			}
		}
	}
}

// least is what a rule asks for at the least, on probation.
func (o *oracle) least(r *rules.Rule, c int, ev *harvestwatch.Event) int {
	n := r.Conditions[c].AtLeast
	if ev.Addr.Is6() && r.Conditions[c].AtLeastV6 > 0 {
		n = r.Conditions[c].AtLeastV6
	}
	return up(n, r.Probation)
}

// blockedIn returns the sources of a prefix that were blocked within a window, each with its latest block.
func (o *oracle) blockedIn(p *seenKey, c *rules.Condition) map[harvestwatch.Source]lesson {
	out := map[harvestwatch.Source]lesson{}
	for _, l := range p.blocked {
		if inWindow(l.t, o.now, secs(c.Window), 0) {
			out[l.src] = l
		}
	}
	return out
}

// teach enters what a source had tried, all that its windows still hold, once in seven days.
func (o *oracle) teach(src harvestwatch.Source, s *seen, fired int64) {
	var window int64
	teaches := false
	for i := range o.set.Rules {
		r := &o.set.Rules[i]
		teaches = teaches || r.Shared != rules.Shared{}
		if len(r.Keys) == 0 && r.Only == rules.AllEvents && r.Distinct == rules.Recipient && slices.Equal(r.Events, []harvestwatch.Kind{harvestwatch.RcptUnknown}) {
			for _, c := range r.Conditions {
				window = max(window, secs(c.Window))
			}
		}
	}
	if !teaches || s.taughtAt > 0 && fired < s.taughtAt+7*oDay {
		return
	}
	r := rules.Rule{Events: []harvestwatch.Kind{harvestwatch.RcptUnknown}, Distinct: rules.Recipient}
	f := o.tally(wants{r: &r, c: &rules.Condition{Window: time.Duration(window) * time.Second, AtLeast: 1}}, rules.BySource, src, "")
	for name := range f.things {
		if !isRoleName(name) {
			o.taught = append(o.taught, lesson{t: fired, what: name, src: src})
		}
		s.taughtAt = fired
	}
}

// tellPrefix tells the offence of a prefix that has so many blocked sources.
func (o *oracle) tellPrefix(ev *harvestwatch.Event, e happened, v *verdict) {
	key := e.keys[rules.ByPrefix]
	p := o.key(key)
	for i := range o.set.Rules {
		if !o.pending[key][i] {
			continue
		}
		delete(o.pending[key], i)
		r := &o.set.Rules[i]
		if o.now < p.hold || p.resting[i] > o.now || r.UnlessCredited && p.credited > 0 && inWindow(p.credited, o.now, 30*oDay, 0) ||
			r.UnlessDeliveredWithin > 0 && p.delivered > 0 && inWindow(p.delivered, o.now, secs(r.UnlessDeliveredWithin), 0) {
			continue
		}
		for c := range r.Conditions {
			list := o.blockedIn(p, &r.Conditions[c])
			need := r.Conditions[c].AtLeast
			if ev.Addr.Is6() && r.Conditions[c].AtLeastV6 > 0 {
				need = r.Conditions[c].AtLeastV6
			}
			if o.now < p.probation {
				need = up(need, r.Probation)
			}
			if len(list) < need {
				continue
			}
			v.refs = nil
			first := o.now
			for _, l := range list {
				v.refs = append(v.refs, l.ref)
				first = min(first, l.t)
			}
			slices.Sort(v.refs)
			v.offence = &harvestwatch.Offence{Source: e.src, Rule: r.Name, RuleIndex: i, First: time.Unix(first, 0).UTC(), Fired: time.Unix(o.now, 0).UTC(),
				Window: r.Conditions[c].Window, Count: len(list), Threshold: need, Level: o.remembered(p.until, p.offences) + 1, Probation: o.now < p.probation}
			return
		}
	}
}

func (o *oracle) release(key harvestwatch.Source, at int64) {
	s := o.sources[key]
	if s == nil {
		return
	}
	s.cleared = len(o.all)
	if s.until > at {
		s.until = max(at, s.from)
	}
	s.hold, s.probation, s.offences = at, 0, 0
}
