package report

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/internal/pipeline"
)

// many is the number of tries from which a source counts as one that a block can stop: N0 of the rule harvest.
const many = 10

// Collector gathers what a scan reports. It is the sink of the loop; its memory grows with the number of sources, 16
// bytes each and the map's own cost, and of offenders, and not with the number of lines.
type Collector struct {
	zone      *time.Location
	distinct  func(rule string) bool // does the rule count distinct recipients?
	first     int64                  // earliest event time, in nanoseconds
	last      int64
	totals    Totals
	sources   map[harvestwatch.Source]*tally
	recent    harvestwatch.Source // whose tally was looked up last, and that tally
	recentT   *tally
	slab      []tally
	offenders map[offenderKey]*Offender
	prevented Prevented
	hit       map[harvestwatch.Source]int64
	hitAll    int64
	forgotten map[harvestwatch.Source]harvestwatch.Standing // of sources that the detector cleared: the nearest approach
}

// NewCollector returns an empty collector. Times are reported in that zone. distinct tells of a rule, by its name,
// whether it counts distinct recipients.
func NewCollector(zone *time.Location, distinct func(rule string) bool) *Collector {
	return &Collector{zone: zone, distinct: distinct, sources: map[harvestwatch.Source]*tally{},
		offenders: map[offenderKey]*Offender{}, hit: map[harvestwatch.Source]int64{},
		forgotten: map[harvestwatch.Source]harvestwatch.Standing{}}
}

// Forgotten notes how near a source came that the detector no longer keeps in mind.
func (c *Collector) Forgotten(s harvestwatch.Standing) {
	if was, ok := c.forgotten[s.Source]; !ok || s.Count*was.Threshold > was.Count*s.Threshold {
		c.forgotten[s.Source] = s
	}
}

// Event implements pipeline.Sink.
func (c *Collector) Event(ev *harvestwatch.Event, out *harvestwatch.Outcome) {
	if out.Future {
		c.totals.Future++
		return
	}
	if out.Late {
		c.totals.Late++
	}
	if c.first == 0 || ev.Time < c.first {
		c.first = ev.Time
	}
	c.last = max(c.last, ev.Time)
	src, ok := harvestwatch.SourceOf(ev.Addr)
	if !ok {
		return
	}
	t := c.tally(src)
	switch ev.Kind {
	case harvestwatch.Connect:
		t.conns++
		c.totals.Connections++
		c.count(out, &c.prevented.Connections)
	case harvestwatch.RcptUnknown:
		if ev.Null {
			t.bounces++
			c.totals.Bounces++
		} else {
			t.tries++
		}
		c.totals.UnknownRecipients++
		c.count(out, &c.prevented.Recipients)
	case harvestwatch.AuthFail:
		t.authFails++
		c.totals.AuthFailures++
		c.count(out, &c.prevented.AuthFailures)
	case harvestwatch.Delivered:
		t.deliveries++
		c.totals.Deliveries++
		if out.Blocked {
			c.hitAll++
			c.hit[src]++
		}
	}
}

func (c *Collector) count(out *harvestwatch.Outcome, n *int64) {
	if out.Blocked {
		*n++
	}
}

// tally returns the source's record. Consecutive events are often of one source, so the last one is kept at hand.
func (c *Collector) tally(src harvestwatch.Source) *tally {
	if src == c.recent {
		return c.recentT
	}
	t := c.sources[src]
	if t == nil {
		if len(c.slab) == 0 {
			c.slab = make([]tally, 1024)
		}
		t, c.slab = &c.slab[0], c.slab[1:]
		c.sources[src] = t
	}
	c.recent, c.recentT = src, t
	return t
}

// Decision implements pipeline.Sink.
func (c *Collector) Decision(dec *harvestwatch.Decision) {
	o := &dec.Offence
	key := offenderKey{o.Source, o.Rule}
	off := c.offenders[key]
	if off == nil {
		off = &Offender{Source: o.Source.String(), Rule: o.Rule, First: c.time(o.First), Fired: c.time(o.Fired),
			Count: o.Count, Threshold: o.Threshold, Decision: dec.Action.String(), Guard: dec.Guard, Reason: dec.Reason,
			Blocks: []Span{}, Evidence: []string{}, source: o.Source, refs: slices.Clone(o.Evidence)}
		if c.distinct(o.Rule) {
			off.DistinctRecipients = o.Count
		}
		c.offenders[key] = off
	}
	if dec.Action == harvestwatch.ActBlock || dec.Action == harvestwatch.ActObserve {
		if len(off.Blocks) == 0 { // a guard that spoke for the source once and no longer is not the last word on it
			off.Decision, off.Guard, off.Reason = dec.Action.String(), dec.Guard, dec.Reason
		}
		off.Blocks = append(off.Blocks, Span{From: c.time(o.Fired), Until: c.time(dec.Until), Level: o.Level})
	}
}

// Commit implements pipeline.Sink.
func (c *Collector) Commit(context.Context, *pipeline.Batch) error { return nil }

func (c *Collector) time(t time.Time) Time { return Time{t.In(c.zone)} }

// Scan returns what was gathered so far. The first most offenders get their evidence, 0 for all of them; ev and st
// may be nil.
func (c *Collector) Scan(ev Evidence, st Standings, most int) *Scan {
	s := &Scan{Schema: ScanSchema, Inputs: []Input{}, Totals: c.totals, Prevented: c.prevented}
	s.Totals.Sources = int64(len(c.sources))
	if c.first != 0 {
		s.Period = Period{c.time(time.Unix(0, c.first)), c.time(time.Unix(0, c.last))}
	}
	for _, t := range c.sources {
		if t.tries >= many {
			s.Concentration.Sources++
			s.Concentration.Tries += int64(t.tries)
		}
	}
	s.Offenders = c.ranked()
	if ev != nil {
		s.addEvidence(ev, most)
	}
	s.DeliveriesHit = DeliveriesHit{Messages: c.hitAll, Sources: []string{}}
	for _, src := range slices.Sorted(maps.Keys(c.hit)) {
		s.DeliveriesHit.Sources = append(s.DeliveriesHit.Sources, src.String())
	}
	s.Spared = c.spared(st)
	return s
}

func (s *Scan) addEvidence(ev Evidence, most int) {
	if most == 0 || most > len(s.Offenders) {
		most = len(s.Offenders)
	}
	wants := make([]Want, most)
	for i := range wants {
		wants[i] = Want{s.Offenders[i].source, s.Offenders[i].refs}
	}
	for i, lines := range ev.Lines(wants) {
		s.Offenders[i].Evidence = append(s.Offenders[i].Evidence, lines...)
	}
}

// ranked returns the offenders, those with the most tries first.
func (c *Collector) ranked() []Offender {
	list := make([]Offender, 0, len(c.offenders))
	for _, o := range c.offenders {
		t := c.sources[o.source]
		if t != nil {
			o.Tries, o.Deliveries = int64(t.tries), int64(t.deliveries)
			o.Connections, o.AuthFailures = int64(t.conns), int64(t.authFails)
		}
		list = append(list, *o)
	}
	slices.SortFunc(list, func(a, b Offender) int {
		return cmp.Or(cmp.Compare(b.weight(), a.weight()), cmp.Compare(a.source, b.source), cmp.Compare(a.Rule, b.Rule))
	})
	return list
}

// weight is what the offender did, whichever way it did it.
func (o *Offender) weight() int64 { return o.Tries + o.AuthFailures + o.Connections }

// sparedMost bounds the list of spared sources.
const sparedMost = 20

// spared returns the sources that tried at least half as many unknown recipients as a harvester needs, or failed to log
// in as often, or bounced, and were not blocked: the most suspicious first, each with the reason.
func (c *Collector) spared(st Standings) []Spared {
	hit := map[harvestwatch.Source]bool{}
	for key, o := range c.offenders {
		hit[key.source] = hit[key.source] || len(o.Blocks) > 0
	}
	list := []Spared{}
	for src, t := range c.sources {
		if st == nil || hit[src] || t.tries < many/2 && t.bounces < many && t.authFails < many {
			continue
		}
		near := st.Standing(src)
		if near.Rule == "" {
			near = c.forgotten[src]
		}
		sp := Spared{Source: src.String(), Rule: near.Rule, Tries: int64(t.tries), Bounces: int64(t.bounces), Count: near.Count,
			Threshold: near.Threshold, Deliveries: int64(t.deliveries), AuthFailures: int64(t.authFails)}
		sp.Why = c.why(src, t, near)
		list = append(list, sp)
	}
	slices.SortFunc(list, func(a, b Spared) int {
		return cmp.Or(cmp.Compare(b.Tries+b.AuthFailures, a.Tries+a.AuthFailures), cmp.Compare(a.Source, b.Source))
	})
	return list[:min(len(list), sparedMost)]
}

func (c *Collector) why(src harvestwatch.Source, t *tally, near harvestwatch.Standing) string {
	for key, o := range c.offenders {
		if key.source == src && o.Guard != "" {
			return fmt.Sprintf("%s reached its threshold, and %s spoke for the source", o.Rule, o.Guard)
		}
	}
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

var _ pipeline.Sink = (*Collector)(nil)
