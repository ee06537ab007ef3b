package report

import (
	"cmp"
	"fmt"
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
	for n := range uint32(len(c.numbers)) {
		if t := c.at(n); t.tries >= many {
			s.Concentration.Sources++
			s.Concentration.Tries += int64(t.tries)
		}
	}
	keys := c.ranked()
	if o.Top > 0 {
		keys = keys[:min(len(keys), o.Top)]
	}
	s.Offenders = make([]Offender, 0, len(keys))
	wants := make([]Want, 0, len(keys))
	for _, key := range keys {
		s.Offenders = append(s.Offenders, c.offender(key))
		wants = append(wants, Want{key.source, c.offenders[key].refs})
	}
	if o.Evidence != nil {
		for i, lines := range o.Evidence.Lines(wants) {
			s.Offenders[i].Evidence = append(s.Offenders[i].Evidence, lines...)
		}
	}
	s.DeliveriesHit = DeliveriesHit{Messages: c.hitAll, Sources: []string{}}
	for _, src := range slices.Sorted(maps.Keys(c.hit)) {
		s.DeliveriesHit.Sources = append(s.DeliveriesHit.Sources, src.String())
	}
	s.Spared = c.spared(o.Standings)
	return s
}

func (c *Collector) time(sec int64) Time { return Time{time.Unix(sec, 0).In(c.zone)} }

// ranked returns the offenders, those first that did the most, whichever way they did it.
func (c *Collector) ranked() []offenderKey {
	keys := slices.Collect(maps.Keys(c.offenders))
	weight := func(k offenderKey) int64 {
		t := c.tally(k.source)
		return int64(t.tries) + int64(t.authFails) + int64(t.conns)
	}
	slices.SortFunc(keys, func(a, b offenderKey) int {
		return cmp.Or(cmp.Compare(weight(b), weight(a)), cmp.Compare(a.source, b.source), cmp.Compare(a.rule, b.rule))
	})
	return keys
}

// offender describes an offender for the result.
func (c *Collector) offender(key offenderKey) Offender {
	off, t := c.offenders[key], c.tally(key.source)
	o := Offender{Source: key.source.String(), Rule: c.rules[key.rule], First: c.time(off.first), Fired: c.time(off.fired),
		Count: int(off.count), Threshold: int(off.threshold), Decision: off.action.String(), Guard: off.guard, Reason: off.reason,
		Deliveries: int64(t.deliveries), Tries: int64(t.tries), Connections: int64(t.conns), AuthFailures: int64(t.authFails),
		Blocks: make([]Span, 0, len(off.blocks)), Evidence: []string{}}
	if c.distinct(o.Rule) {
		o.DistinctRecipients = o.Count
	}
	for _, b := range off.blocks {
		o.Blocks = append(o.Blocks, Span{From: c.time(b.from), Until: c.time(b.until), Level: b.level})
	}
	return o
}

// Bounds of the list of spared sources: of those that look like offenders, and, where none does, of all that did
// anything at all.
const (
	sparedMost = 20
	sparedFew  = 5
)

// spared returns the sources that tried at least half as many unknown recipients as a harvester needs, or failed to log
// in as often, or bounced, and were not blocked: the most suspicious first, each with the reason. Where nobody comes so
// far the few that came nearest are told, so that a quiet log answers too why nobody was blocked.
func (c *Collector) spared(st Standings) []Spared {
	if st == nil {
		return []Spared{}
	}
	list := c.suspects(st, func(t *tally) bool { return t.tries >= many/2 || t.bounces >= many || t.authFails >= many })
	if len(list) == 0 {
		list = c.suspects(st, func(t *tally) bool { return t.tries > 0 || t.authFails > 0 })
		return list[:min(len(list), sparedFew)]
	}
	return list[:min(len(list), sparedMost)]
}

// suspects returns the sources that were not blocked and did what did tells.
func (c *Collector) suspects(st Standings, did func(*tally) bool) []Spared {
	list := []Spared{}
	guards, blocked := map[harvestwatch.Source]string{}, map[harvestwatch.Source]bool{}
	for _, key := range c.ranked() { // in an order that is always the same
		o := c.offenders[key]
		blocked[key.source] = blocked[key.source] || len(o.blocks) > 0
		if o.guard != "" && guards[key.source] == "" {
			guards[key.source] = fmt.Sprintf("%s reached its threshold, and %s spoke for the source", c.rules[key.rule], o.guard)
		}
	}
	for src, n := range c.numbers {
		t := c.at(n)
		if blocked[src] || !did(t) {
			continue
		}
		near := c.nearest(src, t, st)
		why := guards[src]
		if why == "" {
			why = c.why(t, near)
		}
		list = append(list, Spared{Source: src.String(), Rule: near.Rule, Tries: int64(t.tries), Bounces: int64(t.bounces),
			Count: near.Count, Threshold: near.Threshold, Deliveries: int64(t.deliveries), AuthFailures: int64(t.authFails), Why: why})
	}
	slices.SortFunc(list, func(a, b Spared) int {
		return cmp.Or(cmp.Compare(b.Tries+b.AuthFailures, a.Tries+a.AuthFailures), cmp.Compare(b.Bounces, a.Bounces), cmp.Compare(a.Source, b.Source))
	})
	return list
}

// nearest returns how near a source came to a threshold, by what the detector knows or has forgotten meanwhile.
func (c *Collector) nearest(src harvestwatch.Source, t *tally, st Standings) harvestwatch.Standing {
	near := st.Standing(src)
	if near.Rule == "" && t.rule != 0 {
		near = harvestwatch.Standing{Source: src, Rule: c.rules[t.rule-1], Count: int(t.count), Threshold: int(t.threshold),
			Deliveries: int(t.good)}
	}
	return near
}

func (c *Collector) why(t *tally, near harvestwatch.Standing) string {
	came := fmt.Sprintf("came to %d of %d for %s", near.Count, near.Threshold, near.Rule)
	switch recipients := c.distinct(near.Rule); {
	case near.Threshold == 0 && t.bounces > 0:
		return "bounces (null sender) are no evidence: a forged sender brings them from honest servers"
	case near.Threshold == 0:
		return "none of it is evidence: temporary refusals, or the server's own trouble"
	case recipients && near.Deliveries > 0:
		return fmt.Sprintf("%s: %s raised what it takes", came, plural(int64(near.Deliveries), "delivery", "deliveries"))
	case recipients && int64(t.tries) > 2*int64(near.Count):
		return came + " within its window: a recipient tried again counts once"
	default:
		return came + " within its window"
	}
}
