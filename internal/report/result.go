package report

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

// ResultOptions say what of a scan is wanted.
type ResultOptions struct {
	Top       int       // offenders in the result, those that did the most first; 0 for all
	Evidence  Evidence  // gives the raw lines; nil for a result without
	Standings Standings // tells of sources that were not blocked; nil for a result without them
}

// Result returns what was gathered so far.
func (c *Collector) Result(o ResultOptions) *Scan {
	s := &Scan{Schema: ScanSchema, Inputs: []Input{}, Totals: c.totals, Prevented: c.prevented, Found: len(c.offenders)}
	s.Totals.Sources = int64(len(c.numbers))
	if c.first != 0 {
		s.Period = Period{c.time(c.first / int64(time.Second)), c.time(c.last / int64(time.Second))}
	}
	s.Concentration = c.concentrate()
	s.Distributed = c.distributed(&s.Concentration)
	does := c.sizes()
	keys := c.ranked(does)
	if o.Top > 0 {
		keys = keys[:min(len(keys), o.Top)]
	}
	s.Offenders = make([]Offender, 0, len(keys))
	wants := make([]Want, 0, len(keys))
	for _, key := range keys {
		s.Offenders = append(s.Offenders, c.offender(key, does[key.target]))
		wants = append(wants, wanted(key.target, c.offenders[key].source, c.offenders[key].group, c.offenders[key].refs))
	}
	var asked []Want
	s.Alerts, asked = c.alerts.told(c.zone)
	s.AlertsAll = c.alerts.all
	if o.Evidence != nil {
		for i, lines := range o.Evidence.Lines(append(wants, asked...)) {
			if i < len(wants) {
				s.Offenders[i].Evidence = append(s.Offenders[i].Evidence, lines...)
			} else {
				s.Alerts[i-len(wants)].Evidence = append(s.Alerts[i-len(wants)].Evidence, lines...)
			}
		}
	}
	for _, off := range c.offenders {
		if off.action == harvestwatch.ActObserve {
			s.OnTrial++
		}
	}
	s.DeliveriesHit = DeliveriesHit{Messages: c.hitAll, Sources: []string{}}
	for _, src := range slices.Sorted(maps.Keys(c.hit)) {
		s.DeliveriesHit.Sources = append(s.DeliveriesHit.Sources, src.String())
	}
	s.Spared = c.spared(o.Standings)
	s.HeldBack = c.heldBack()
	s.Notices, s.NoticesAll = c.notices.told(c.zone), c.notices.all
	return s
}

func (c *Collector) time(sec int64) Time { return Time{time.Unix(sec, 0).In(c.zone)} }

// wanted asks for the lines of what a target did. Where a rule adds up by something else than the source, the lines are
// of many sources.
func wanted(t target, src harvestwatch.Source, group string, refs []uint32) Want {
	w := Want{Source: src, Refs: refs}
	switch {
	case t.prefix.IsValid():
		w.Prefix = t.prefix
	case group != "":
		w.Any = true
	}
	return w
}

// sizes returns what each offender did: of a prefix, what all of its sources did.
func (c *Collector) sizes() map[target]tally {
	sizes, lengths := map[target]tally{}, c.blocked().lengths
	for key := range c.offenders {
		sizes[key.target] = tally{}
		if n, ok := c.numbers[key.source]; ok && !key.prefix.IsValid() {
			sizes[key.target] = *c.at(n)
		}
	}
	if len(lengths) == 0 {
		return sizes
	}
	for src, n := range c.numbers {
		for _, bits := range lengths {
			t, _ := around(src, bits)
			if sum, ok := sizes[t]; ok {
				sum.add(c.at(n))
				sizes[t] = sum
			}
		}
	}
	return sizes
}

func (t *tally) add(o *tally) {
	t.conns += o.conns
	t.tries += o.tries
	t.bounces += o.bounces
	t.deliveries += o.deliveries
	t.authFails += o.authFails
}

// ranked returns the offenders, those first that did the most, whichever way they did it.
func (c *Collector) ranked(does map[target]tally) []offenderKey {
	keys := slices.Collect(maps.Keys(c.offenders))
	weight := func(k offenderKey) int64 {
		t := does[k.target]
		return int64(t.tries) + int64(t.authFails) + int64(t.conns)
	}
	slices.SortFunc(keys, func(a, b offenderKey) int {
		return cmp.Or(cmp.Compare(weight(b), weight(a)), a.compare(b.target), cmp.Compare(a.rule, b.rule))
	})
	return keys
}

// offender describes an offender for the result.
func (c *Collector) offender(key offenderKey, t tally) Offender {
	off := c.offenders[key]
	o := Offender{Source: off.source.String(), Rule: c.rules[key.rule], First: c.time(off.first), Fired: c.time(off.fired),
		Count: int(off.count), Threshold: int(off.threshold), Decision: off.action.String(), Guard: off.guard, Reason: off.reason,
		Deliveries: int64(t.deliveries), Tries: int64(t.tries), Connections: int64(t.conns), AuthFailures: int64(t.authFails),
		Key: off.key, Group: off.group, Blocks: make([]Span, 0, len(off.blocks)), Evidence: []string{}}
	if key.prefix.IsValid() {
		o.Target = key.prefix.String()
	}
	if c.distinct(o.Rule) {
		o.DistinctRecipients = o.Count
	}
	for _, b := range off.blocks {
		o.Blocks = append(o.Blocks, Span{From: c.time(b.from), Until: c.time(b.until), Level: b.level})
	}
	return o
}
