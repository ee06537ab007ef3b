package report

import (
	"context"
	"slices"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/internal/pipeline"
)

// Lane gathers what one rule set makes of the events, for a comparison with another that sees the same ones. It is a sink
// of the loop. Its memory grows with the number of blocked sources, about 300 bytes each, and with nothing else.
//
// What a rule in force blocks is told by the outcome of each event. A rule on trial blocks nothing, and the detector goes
// on counting: what its blocks would have prevented, and hit, is worked out here from when they would have begun and ended.
type Lane struct {
	name        string
	zone        *time.Location
	first, last int64 // of the events, in nanoseconds since 1970
	totals      laneTotals
	rules       []laneRule
	guards      map[string]int64 // decisions that each suppressed
	notices     notices
	noticesBy   map[string]int64 // by guard
	targets     map[target]*laneTarget
	lengths     []int // of the prefixes among the targets that are more than a source
	trials      bool  // there are blocks on trial
	effects     [2]effect
	hits        []hit // the first maxHits of them
	domains     map[string]*domainSum
	others      domainSum // of the domains beyond maxDomains
}

// Where a block stands.
const (
	inForce = iota
	onTrial
)

// Bounds of what is kept in detail; all is counted.
const (
	maxHits     = 1000
	maxDomains  = 1000
	maxDetailed = 1 << 16 // blocked sources whose reason and evidence are kept
)

// laneTotals is what the events are, whatever the rules.
type laneTotals struct {
	connections, guesses, bounces, deliveries, authFails int64
	seconds                                              float64 // of ended connections whose beginning is known
	ended, endless                                       int64   // connections that ended; those of them whose beginning is unknown
}

// effect is what blocks prevent, or would prevent.
type effect struct {
	blocks, targets                          int64
	guesses, connections, authFails, endless int64
	seconds                                  float64
	deliveries                               int64
	longest                                  time.Duration // the longest that a delivery would have been held up
}

type laneRule struct {
	name      string
	decisions [int(harvestwatch.ActSuppress) + 1]int64
	guesses   int64 // prevented by its blocks in force
	hits      int64 // deliveries hit by them
}

// laneTarget is a source or prefix that was blocked, in force or on trial.
type laneTarget struct {
	first  [2]*laneBlock // the first block of each standing
	latest [2]*laneBlock
	blocks int32 // in force
	// What its blocks in force prevented and hit.
	guesses, connections, authFails, deliveries uint32
}

// laneBlock is a block, in seconds since 1970.
type laneBlock struct {
	target      target
	source      harvestwatch.Source // that reached the threshold
	from, until int64
	rule        int
	level       int
	standing    int
	reason      string
	key, group  string
	refs        []uint32
}

// hit is a delivery that a block would have held up.
type hit struct {
	at       int64 // when the message came in, in seconds since 1970
	source   harvestwatch.Source
	domain   string
	block    *laneBlock // nil where it is not known
	standing int
}

// domainSum adds up what was hit of one sender domain, by where the block stands.
type domainSum struct {
	deliveries [2]int64
	longest    [2]time.Duration
}

// NewLane returns an empty lane for the rule set with that name. Times are reported in that zone.
func NewLane(name string, zone *time.Location) *Lane {
	return &Lane{name: name, zone: zone, guards: map[string]int64{}, noticesBy: map[string]int64{},
		targets: map[target]*laneTarget{}, domains: map[string]*domainSum{}}
}

// Event implements pipeline.Sink.
func (l *Lane) Event(ev *harvestwatch.Event, out *harvestwatch.Outcome) {
	if out.Future || out.Void {
		return
	}
	if l.first == 0 || ev.Time < l.first {
		l.first = ev.Time
	}
	l.last = max(l.last, ev.Time)
	src, ok := harvestwatch.SourceOf(ev.Addr)
	if !ok {
		return
	}
	at := ev.Seconds()
	if ev.Kind == harvestwatch.Delivered && ev.Began > 0 {
		at = ev.Began / int64(time.Second)
	}
	var block *laneBlock
	standing := -1
	if out.Blocked {
		standing, block = inForce, l.find(src, at, inForce)
	} else if l.trials {
		if block = l.find(src, at, onTrial); block != nil {
			standing = onTrial
		}
	}
	switch ev.Kind {
	case harvestwatch.Disconnect:
		l.ended(ev, src)
		if standing >= 0 && ev.Began == 0 {
			l.effects[standing].endless++
		}
	case harvestwatch.Connect, harvestwatch.RcptUnknown, harvestwatch.AuthFail, harvestwatch.Delivered:
		l.count(ev, src, at, standing, block)
	}
}

// count adds up an event of a kind that a comparison is about, and what the block did to it.
func (l *Lane) count(ev *harvestwatch.Event, src harvestwatch.Source, at int64, standing int, block *laneBlock) {
	var e effect // what falls away where nothing is blocked
	var t laneTarget
	into, of := &e, &t
	if standing >= 0 {
		into = &l.effects[standing]
		if block != nil && standing == inForce {
			of = l.targets[block.target]
		}
	}
	switch ev.Kind {
	case harvestwatch.Connect:
		l.totals.connections++
		into.connections++
		of.connections++
	case harvestwatch.AuthFail:
		l.totals.authFails++
		into.authFails++
		of.authFails++
	case harvestwatch.RcptUnknown:
		if ev.Null {
			l.totals.bounces++
			return
		}
		l.totals.guesses++
		into.guesses++
		of.guesses++
		if of != &t {
			l.rules[block.rule].guesses++
		}
	case harvestwatch.Delivered:
		l.totals.deliveries++
		if standing < 0 {
			return
		}
		into.deliveries++
		of.deliveries++
		if of != &t {
			l.rules[block.rule].hits++
		}
		l.hit(ev, hit{at: at, source: src, block: block, standing: standing})
	}
}

// hit notes down a delivery that a block would have held up.
func (l *Lane) hit(ev *harvestwatch.Event, h hit) {
	var buf [harvestwatch.MaxField]byte
	switch {
	case ev.Null:
		h.domain = "<>"
	default:
		h.domain = string(appendDomain(buf[:0], ev.Sender))
	}
	sum := l.domains[h.domain]
	switch {
	case sum == nil && len(l.domains) == maxDomains:
		sum = &l.others
	case sum == nil:
		sum = &domainSum{}
		l.domains[h.domain] = sum
	}
	sum.deliveries[h.standing]++
	if h.block != nil {
		delay := time.Duration(h.block.until-h.at) * time.Second
		sum.longest[h.standing] = max(sum.longest[h.standing], delay)
		l.effects[h.standing].longest = max(l.effects[h.standing].longest, delay)
	}
	if len(l.hits) < maxHits {
		l.hits = append(l.hits, h)
	}
}

// ended adds up the time of a connection, and how much of it lies in the latest block of its source.
func (l *Lane) ended(ev *harvestwatch.Event, src harvestwatch.Source) {
	l.totals.ended++
	if ev.Began == 0 {
		l.totals.endless++
		return
	}
	began, end := float64(ev.Began)/1e9, float64(ev.Time)/1e9
	l.totals.seconds += max(0, end-began)
	for standing := range l.effects {
		for i := -1; i < len(l.lengths); i++ {
			b := l.latest(src, i, standing)
			if b == nil {
				continue
			}
			if both := min(end, float64(b.until)) - max(began, float64(b.from)); both > 0 {
				l.effects[standing].seconds += both
				return
			}
		}
	}
}

// find returns the block of that standing into which a source's event of that second falls; nil where there is none. As
// for the detector, what comes in the second of the decision was not prevented.
func (l *Lane) find(src harvestwatch.Source, at int64, standing int) *laneBlock {
	for i := -1; i < len(l.lengths); i++ {
		if b := l.latest(src, i, standing); b != nil && at > b.from && at < b.until {
			return b
		}
	}
	return nil
}

// latest returns the latest block of the i-th prefix around the source, and of the source itself for -1.
func (l *Lane) latest(src harvestwatch.Source, i, standing int) *laneBlock {
	t := target{source: src}
	if i >= 0 {
		var ok bool
		if t, ok = around(src, l.lengths[i]); !ok {
			return nil
		}
	}
	if lt := l.targets[t]; lt != nil {
		return lt.latest[standing]
	}
	return nil
}

// around returns the prefix of that length around a source; ok is false for an IPv4 address that has none so long.
func around(src harvestwatch.Source, bits int) (t target, ok bool) {
	pre, err := src.Prefix().Addr().Prefix(bits)
	if err != nil {
		return t, false
	}
	first, _ := harvestwatch.SourceOf(pre.Addr())
	return target{first, pre}, true
}

// Decision implements pipeline.Sink.
func (l *Lane) Decision(dec *harvestwatch.Decision) {
	o := &dec.Offence
	rule := l.rule(o.Rule)
	if int(dec.Action) < len(l.rules[rule].decisions) {
		l.rules[rule].decisions[dec.Action]++
	}
	switch dec.Action {
	case harvestwatch.ActSuppress:
		l.guards[dec.Guard]++
	case harvestwatch.ActBlock:
		l.block(dec, rule, inForce)
	case harvestwatch.ActObserve:
		l.block(dec, rule, onTrial)
	}
}

func (l *Lane) block(dec *harvestwatch.Decision, rule, standing int) {
	o := &dec.Offence
	b := &laneBlock{target: targetOf(o), source: o.Source, from: o.Fired.Unix(), until: dec.Until.Unix(), rule: rule, level: o.Level,
		standing: standing}
	t := l.targets[b.target]
	if t == nil {
		t = &laneTarget{}
		l.targets[b.target] = t
		if bits := b.target.prefix.Bits(); b.target.prefix.IsValid() && !slices.Contains(l.lengths, bits) {
			l.lengths = append(l.lengths, bits)
		}
	}
	if len(l.targets) <= maxDetailed {
		b.reason, b.key, b.group, b.refs = dec.Reason, o.Key, o.Group, slices.Clone(o.Evidence)
	}
	if t.first[standing] == nil {
		t.first[standing] = b
		l.effects[standing].targets++
	}
	t.latest[standing] = b
	l.effects[standing].blocks++
	if standing == inForce {
		t.blocks++
	} else {
		l.trials = true
	}
}

// rule returns the index of a rule's name.
func (l *Lane) rule(name string) int {
	i := slices.IndexFunc(l.rules, func(r laneRule) bool { return r.name == name })
	if i < 0 {
		i = len(l.rules)
		l.rules = append(l.rules, laneRule{name: name})
	}
	return i
}

// Notice implements pipeline.Sink. The blocks that a notice takes back end with it.
func (l *Lane) Notice(n *harvestwatch.Notice) {
	l.notices.add(n)
	l.noticesBy[n.Guard]++
	at := n.At.Unix()
	for _, src := range n.Release {
		if t := l.targets[target{source: src}]; t != nil {
			for _, b := range t.latest {
				if b != nil {
					b.until = min(b.until, max(at, b.from))
				}
			}
		}
	}
}

// Commit implements pipeline.Sink.
func (l *Lane) Commit(context.Context, *pipeline.Batch) error { return nil }

var _ pipeline.Sink = (*Lane)(nil)
