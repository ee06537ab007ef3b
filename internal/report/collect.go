package report

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/internal/pipeline"
)

// many is the number of tries from which a source counts as one that a block can stop: N0 of the rule harvest.
const many = 10

// Collector gathers what a scan reports. It is the sink of the loop. Its memory grows with the number of sources, about
// 60 bytes each, and of offenders, about 400 bytes each, and not with the number of lines.
type Collector struct {
	zone      *time.Location
	distinct  func(rule string) bool // does the rule count distinct recipients?
	first     int64                  // earliest event time, in nanoseconds
	last      int64
	totals    Totals
	numbers   map[harvestwatch.Source]uint32 // the source's place in tallies
	tallies   [][]tally                      // in pieces of tallyPiece, so that growing copies nothing
	recent    harvestwatch.Source            // whose tally was looked up last, and that tally
	recentT   *tally
	rules     []string // names, in the order in which they came up; offenders and tallies hold indexes
	offenders map[offenderKey]*offender
	prevented Prevented
	hit       map[harvestwatch.Source]int64
	hitAll    int64
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

// offender is a source that reached a rule's threshold.
type offender struct {
	first, fired     int64 // in seconds since 1970
	count, threshold int32
	action           harvestwatch.Action
	guard, reason    string
	refs             []uint32
	blocks           []span
}

// span is a block, in seconds since 1970.
type span struct {
	from, until int64
	level       int
}

type offenderKey struct {
	source harvestwatch.Source
	rule   uint8 // index into rules
}

// NewCollector returns an empty collector. Times are reported in that zone. distinct tells of a rule, by its name,
// whether it counts distinct recipients.
func NewCollector(zone *time.Location, distinct func(rule string) bool) *Collector {
	return &Collector{zone: zone, distinct: distinct, numbers: map[harvestwatch.Source]uint32{},
		offenders: map[offenderKey]*offender{}, hit: map[harvestwatch.Source]int64{}}
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
	c.recent, c.recentT = src, c.at(n)
	return c.recentT
}

func (c *Collector) at(n uint32) *tally { return &c.tallies[n/tallyPiece][n%tallyPiece] }

// Decision implements pipeline.Sink.
func (c *Collector) Decision(dec *harvestwatch.Decision) {
	o := &dec.Offence
	key := offenderKey{o.Source, c.rule(o.Rule)}
	off := c.offenders[key]
	if off == nil {
		off = &offender{first: o.First.Unix(), fired: o.Fired.Unix(), count: int32(o.Count), threshold: int32(o.Threshold),
			action: dec.Action, guard: dec.Guard, reason: dec.Reason, refs: slices.Clone(o.Evidence)}
		c.offenders[key] = off
	}
	if dec.Action == harvestwatch.ActBlock || dec.Action == harvestwatch.ActObserve {
		if len(off.blocks) == 0 { // a guard that spoke for the source once and no longer is not the last word on it
			off.action, off.guard, off.reason = dec.Action, dec.Guard, dec.Reason
		}
		off.blocks = append(off.blocks, span{o.Fired.Unix(), dec.Until.Unix(), o.Level})
	}
}

// Commit implements pipeline.Sink.
func (c *Collector) Commit(context.Context, *pipeline.Batch) error { return nil }

var _ pipeline.Sink = (*Collector)(nil)
