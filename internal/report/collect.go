package report

import (
	"cmp"
	"context"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/internal/pipeline"
)

// Collector gathers what a scan reports. It is the sink of the loop. Its memory grows with the number of sources, about
// 60 bytes each, and of offenders, about 400 bytes each, and not with the number of lines: what sources have in common, the
// alerts, the notices and those whom a guard held back take 30 MB at most.
type Collector struct {
	zone      *time.Location
	distinct  func(rule string) bool // does the rule count distinct recipients?
	first     int64                  // earliest event time, in nanoseconds
	last      int64
	totals    Totals
	numbers   map[harvestwatch.Source]uint32 // the source's place in tallies
	tallies   [][]tally                      // in pieces of tallyPiece, so that growing copies nothing
	recent    harvestwatch.Source            // whose tally was looked up last, and that tally
	recentN   uint32
	recentT   *tally
	rules     []string // names, in the order in which they came up; offenders and tallies hold indexes
	offenders map[offenderKey]*offender
	held      map[target]*held // who was held back by what spoke for them, and not blocked before
	alerts    alerts
	prevented Prevented
	hit       map[harvestwatch.Source]int64
	hitAll    int64
	notices   notices
	remainder *remainder
}

// tally is what a source did in the whole period.
type tally struct {
	conns, tries, bounces, deliveries, authFails uint32

	// The nearest approach to a rule's threshold, of a source that the detector has cleared: what was counted of what
	// was asked for, with how many deliveries. Rule is an index into rules plus 1, 0 where there was none.
	count, threshold, good uint16
	rule                   uint8
}

const tallyPiece = 4096

// offender is a source, or a prefix, that reached a rule's threshold.
type offender struct {
	first, fired     int64 // in seconds since 1970
	count, threshold int32
	action           harvestwatch.Action
	guard, reason    string
	key, group       string
	source           harvestwatch.Source // of a prefix the one that reached the threshold first
	refs             []uint32
	blocks           []span
}

// span is a block, in seconds since 1970.
type span struct {
	from, until int64
	level       int
}

// target is whom an offence is about.
type target struct {
	source harvestwatch.Source
	prefix netip.Prefix // the zero Prefix for the source alone; else source is the one that its address is of
}

func targetOf(o *harvestwatch.Offence) target {
	if !o.Prefix.IsValid() || o.Prefix == o.Source.Prefix() {
		return target{source: o.Source}
	}
	src, _ := harvestwatch.SourceOf(o.Prefix.Addr())
	return target{src, o.Prefix}
}

func (t target) String() string {
	if t.prefix.IsValid() {
		return t.prefix.String()
	}
	return t.source.String()
}

func (t target) compare(o target) int {
	return cmp.Or(cmp.Compare(t.source, o.source), cmp.Compare(t.prefix.Bits(), o.prefix.Bits()))
}

type offenderKey struct {
	target
	rule uint8 // index into rules
}

// NewCollector returns an empty collector. Times are reported in that zone. distinct tells of a rule, by its name,
// whether it counts distinct recipients.
func NewCollector(zone *time.Location, distinct func(rule string) bool) *Collector {
	return &Collector{zone: zone, distinct: distinct, numbers: map[harvestwatch.Source]uint32{}, offenders: map[offenderKey]*offender{},
		held: map[target]*held{}, alerts: alerts{by: map[alertKey]*alert{}}, hit: map[harvestwatch.Source]int64{}, remainder: newRemainder()}
}

// Forgotten notes how near a source came that the detector no longer keeps in mind.
func (c *Collector) Forgotten(s harvestwatch.Standing) {
	t := c.tally(s.Source)
	if t.rule != 0 && s.Count*int(t.threshold) <= int(t.count)*s.Threshold {
		return
	}
	t.count, t.threshold, t.good = short(s.Count), short(s.Threshold), short(s.Deliveries)
	t.rule = c.rule(s.Rule) + 1
}

func short(n int) uint16 { return uint16(min(max(n, 0), math.MaxUint16)) }

// rule returns the index of a rule's name.
func (c *Collector) rule(name string) uint8 {
	i := slices.Index(c.rules, name)
	if i < 0 {
		i = len(c.rules)
		c.rules = append(c.rules, name)
	}
	return uint8(min(i, math.MaxUint8-1)) // a rule set has far fewer
}

// Event implements pipeline.Sink.
func (c *Collector) Event(ev *harvestwatch.Event, out *harvestwatch.Outcome) {
	if out.Future {
		c.totals.Future++
		return
	}
	if out.Void {
		c.totals.Void++
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
			c.tried(ev, t)
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
		c.remainder.delivered(ev)
		if out.Blocked {
			c.hitAll++
			c.hit[src]++
		}
	}
}

// tried notes down a try at an unknown recipient of a source that may stay below many.
func (c *Collector) tried(ev *harvestwatch.Event, t *tally) {
	if t.tries < many && c.remainder.add(ev, c.recentN) {
		c.remainder.makeRoom(func(source uint32) bool { return c.at(source).tries < many })
	}
}

func (c *Collector) count(out *harvestwatch.Outcome, n *int64) {
	if out.Blocked {
		*n++
	}
}

// tally returns the source's record. Consecutive events are often of one source, so the last one is kept at hand.
func (c *Collector) tally(src harvestwatch.Source) *tally {
	if src == c.recent && c.recentT != nil {
		return c.recentT
	}
	n, ok := c.numbers[src]
	if !ok {
		n = uint32(len(c.numbers))
		c.numbers[src] = n
		if n%tallyPiece == 0 {
			c.tallies = append(c.tallies, make([]tally, tallyPiece))
		}
	}
	c.recent, c.recentN, c.recentT = src, n, c.at(n)
	return c.recentT
}

func (c *Collector) at(n uint32) *tally { return &c.tallies[n/tallyPiece][n%tallyPiece] }

// Decision implements pipeline.Sink. Whoever is blocked, would be, or isn't for reasons that are not his own, is an
// offender; whom a guard spoke for is held back; an alert is about what happened, not about who did it.
func (c *Collector) Decision(dec *harvestwatch.Decision) {
	o := &dec.Offence
	blocks := dec.Action == harvestwatch.ActBlock || dec.Action == harvestwatch.ActObserve
	key := offenderKey{targetOf(o), c.rule(o.Rule)}
	off := c.offenders[key]
	switch {
	case dec.Action == harvestwatch.ActAlert:
		c.alerts.add(dec)
		return
	case off == nil && !blocks && spares(dec.Guard):
		c.hold(key, dec)
		return
	case off == nil:
		off = &offender{first: o.First.Unix(), fired: o.Fired.Unix(), count: int32(o.Count), threshold: int32(o.Threshold),
			action: dec.Action, guard: dec.Guard, reason: dec.Reason, key: o.Key, group: o.Group,
			source: o.Source, refs: slices.Clone(o.Evidence)}
		c.offenders[key] = off
	}
	if blocks {
		if len(off.blocks) == 0 { // a guard that spoke for the source once and no longer is not the last word on it
			off.action, off.guard, off.reason = dec.Action, dec.Guard, dec.Reason
		}
		off.blocks = append(off.blocks, span{o.Fired.Unix(), dec.Until.Unix(), o.Level})
	}
}

// Notice implements pipeline.Sink.
func (c *Collector) Notice(n *harvestwatch.Notice) { c.notices.add(n) }

// Commit implements pipeline.Sink.
func (c *Collector) Commit(context.Context, *pipeline.Batch) error { return nil }

var _ pipeline.Sink = (*Collector)(nil)
