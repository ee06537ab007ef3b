// Package detector turns events into offences: for each source it counts, over exact sliding windows, what the rules
// hold against it beside what speaks for it. It is a state machine: the same events in the same order give the same
// offences, whatever their batches and however often the state was saved and restored in between. Its only clock is
// the events' own time, in whole seconds. It does not decide what follows from an offence (rules.Judge does, and
// Settle tells the detector), it blocks nothing, does no I/O and starts no goroutine: a Detector belongs to one.
//
// A rule is looked at when an event that it counts comes in, never at an innocent one: where a threshold falls by time
// alone, because a delivery leaves its window, the offence is told at the next event that the rule counts.
package detector

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/rules"
)

// Options are what a Detector is made with, besides the rules.
type Options struct {
	Key        [16]byte // of the hashes; secret, and the same for as long as saved state is used. Constant in tests
	MaxSources int      // how many sources are known at a time; 0: 2,000,000; at most 16,000,000
	// Forgotten is told of a source's standing when time has made all else of it meaningless and its record is cleared;
	// it must not call the detector. nil tells nobody. A scan, which speaks of all sources at its end, listens.
	Forgotten func(harvestwatch.Standing)
	Grace     time.Duration // so long after an offence events can have been under way; 0: 60 s; negative: none; whole seconds
}

const (
	defaultSources = 2000000
	defaultGrace   = 60
)

// Stats says how much a Detector holds and what it left out.
type Stats struct {
	Sources   int    // records in use, those included that time has made meaningless and nobody has cleared yet
	Bytes     int    // allocated for records, index and lists; never given back
	Late      uint64 // events that were too old for every window
	Evicted   uint64 // sources that were forgotten, although they still counted, because MaxSources were known
	Refused   uint64 // events that were not counted, because nothing could be forgotten for their source
	Reclaimed uint64 // records that time had made meaningless and that were cleared
	Offences  uint64 // offences returned
}

// Detector is the state. Make one with New.
type Detector struct {
	compiled
	hash  hasher
	table table
	slabs slabs
	sides sides
	now   uint32 // the latest second of any event
	grace uint32
	max   int

	forgotten func(harvestwatch.Standing)
	dirty     []uint64              // a bit for each record that changed since Changes
	gone      []harvestwatch.Source // saved sources that were forgotten since Changes
	hand      uint32                // the record that sweep looks at next
	rng       uint64                // for evict
	stats     Stats
	value     []byte // what Changes yields
}

// New makes a detector that knows nothing yet.
func New(set *rules.Set, o Options) *Detector {
	d := &Detector{compiled: compile(set), hash: newHasher(o.Key), slabs: newSlabs(), grace: defaultGrace, max: defaultSources,
		forgotten: o.Forgotten}
	d.table.hash = &d.hash
	d.table.stride = wLists + len(d.counters)
	if o.MaxSources > 0 {
		d.max = min(o.MaxSources, 16000000)
	}
	if o.Grace != 0 {
		d.grace = uint32(max(o.Grace, 0) / time.Second)
	}
	d.rng = binary.LittleEndian.Uint64(o.Key[8:]) | 1
	return d
}

// Now returns the latest time of any event, in whole seconds, and the zero time before the first.
func (d *Detector) Now() time.Time {
	if d.now == 0 {
		return time.Time{}
	}
	return when(d.now)
}

func when(sec uint32) time.Time { return time.Unix(int64(sec), 0).UTC() }

// Stats returns the figures of this moment.
func (d *Detector) Stats() Stats {
	s := d.stats
	s.Sources = d.table.count
	s.Bytes = d.table.bytes() + d.slabs.bytes + d.sides.bytes() + 8*cap(d.dirty) + 8*cap(d.gone)
	return s
}

// Observe takes an event in. The event's bytes are not kept. When the outcome holds an offence, Settle must be called
// with the decision about it before the next event. Events come in the order (Time, input, offset), as far as the
// caller can put them in order: a late one counts at its own time while that is within the window. An event of the
// future moves the clock; who reads logs keeps those back that are ahead of a true clock.
func (d *Detector) Observe(ev *harvestwatch.Event) harvestwatch.Outcome {
	var out harvestwatch.Outcome
	sec := ev.Seconds()
	if sec > math.MaxUint32 || int(ev.Kind) >= harvestwatch.Kinds {
		out.Ignored = true
		return out
	}
	t := uint32(max(sec, 0)) // 0 is before every window
	if t > d.now {
		d.now = t
	}
	d.sweep()
	src, ok := harvestwatch.SourceOf(ev.Addr)
	if !ok {
		out.Ignored = true
		return out
	}
	id := d.lookup(src)
	if id != 0 {
		d.blocked(id, ev, t, &out)
	}
	p := &d.plans[ev.Kind]
	switch {
	case ev.Kind == harvestwatch.Delivered:
		d.takeDelivery(ev, src, id, t, &out)
	case ev.Kind == harvestwatch.AuthOK && d.authKeep > 0:
		d.takeSuccess(src, id, t, &out)
	case len(p.counters) == 0 || !eligible(ev):
		out.Ignored = true
	default:
		d.count(ev, src, id, t, &out)
	}
	return out
}

// eligible says whether an event of a kind that rules count is evidence. A refused recipient is, if the refusal is for
// good: 4xx says nothing of the recipient, bounces (the null sender) come from real servers, and who has authenticated
// (the event names a user) has an old address book.
func eligible(ev *harvestwatch.Event) bool {
	return ev.Kind != harvestwatch.RcptUnknown || !ev.Null && len(ev.User) == 0 && (ev.Code >= 500 || ev.Code == 0)
}

// lookup returns the number of a source's record, or 0. A record that time has made meaningless is emptied first, so
// that nobody can see whether it was cleared yet.
func (d *Detector) lookup(src harvestwatch.Source) uint32 {
	id := d.table.find(src)
	if id != 0 {
		if r := d.table.rec(id); d.dead(r) && (r[wLast] != 0 || r.side() != 0) {
			d.empty(r)
			d.touch(id)
		}
	}
	return id
}

// touch notes that a record changed.
func (d *Detector) touch(id uint32) {
	for int(id>>6) >= len(d.dirty) {
		d.dirty = append(d.dirty, 0)
	}
	d.dirty[id>>6] |= 1 << (id & 63)
}

// record returns the record of a source, made if there is none, and 0 if there is no room or no source.
func (d *Detector) record(src harvestwatch.Source, id uint32) uint32 {
	if id == 0 && src == 0 {
		return 0 // no source
	}
	if id == 0 {
		d.sweep() // one step for the event, one for the record: so garbage stays a fraction
		if d.table.count >= d.max && !d.evict() {
			d.stats.Refused++
			return 0
		}
		id = d.table.insert(src)
	}
	d.touch(id)
	return id
}

// sideOf returns the side record of a record, made if there is none.
func (d *Detector) sideOf(r record) *side {
	i := r.side()
	if i == 0 {
		i = d.sides.alloc()
		r[wSide] |= i
	}
	return d.sides.at(i)
}

// blocked says whether the event falls into the latest block of its source, or would-be block. A delivery is judged
// by when the message was accepted: one that came in before the block was not in its way.
func (d *Detector) blocked(id uint32, ev *harvestwatch.Event, t uint32, out *harvestwatch.Outcome) {
	i := d.table.rec(id).side()
	if i == 0 {
		return
	}
	s := d.sides.at(i)
	if ev.Kind == harvestwatch.Delivered && ev.Began > 0 {
		began := ev.Began / int64(time.Second)
		if began > math.MaxUint32 {
			return
		}
		t = uint32(began)
	}
	out.Blocked = t > s.from && t < s.until
	out.Grace = out.Blocked && t-s.from <= d.grace
}

// takeDelivery counts what speaks for a source: the recipient, and that its offences are forgotten.
func (d *Detector) takeDelivery(ev *harvestwatch.Event, src harvestwatch.Source, id, t uint32, out *harvestwatch.Outcome) {
	cutoff := before(d.now, d.good.longest)
	if t <= cutoff {
		d.late(out)
		return
	}
	if id = d.record(src, id); id == 0 {
		return
	}
	r := d.table.rec(id)
	r[wLast] = max(r[wLast], t)
	s := d.sideOf(r)
	s.good = d.slabs.put(s.good, &d.good, entry{t, d.hash.recipient(ev.Recipient), ev.Ref}, cutoff)
	s.offences = 0
	s.delivered = true
}

func (d *Detector) takeSuccess(src harvestwatch.Source, id, t uint32, out *harvestwatch.Outcome) {
	if t <= before(d.now, d.authKeep) {
		d.late(out)
		return
	}
	if id = d.record(src, id); id == 0 {
		return
	}
	r := d.table.rec(id)
	r[wLast] = max(r[wLast], t)
	s := d.sideOf(r)
	s.authOK = max(s.authOK, t)
}

func (d *Detector) late(out *harvestwatch.Outcome) {
	out.Late = true
	d.stats.Late++
}

// count takes in what speaks against a source, and evaluates the rules that count it.
func (d *Detector) count(ev *harvestwatch.Event, src harvestwatch.Source, id, t uint32, out *harvestwatch.Outcome) {
	p := &d.plans[ev.Kind]
	if !d.inTime(p, t) {
		d.late(out)
		return
	}
	if id != 0 {
		if i := d.table.rec(id).side(); i != 0 && t < d.sides.at(i).hold {
			return
		}
	}
	if id = d.record(src, id); id == 0 {
		return
	}
	r := d.table.rec(id)
	r[wLast] = max(r[wLast], t)
	for _, n := range p.counters {
		c := &d.counters[n]
		cutoff := c.cutoff(d.now, c.longest)
		if t <= cutoff {
			continue
		}
		h := &r[wLists+int(n)]
		*h = d.slabs.put(*h, c, entry{t, d.what(c, ev), ev.Ref}, cutoff)
	}
	for _, n := range p.rules {
		if d.evaluate(int(n), r, ev, out) {
			return
		}
	}
}

// inTime says whether a time is within the longest window of a counter.
func (d *Detector) inTime(p *plan, t uint32) bool {
	for _, n := range p.counters {
		if c := &d.counters[n]; t > c.cutoff(d.now, c.longest) {
			return true
		}
	}
	return false
}

// what returns the value that makes events of a counter distinct, or the weight of an event in a bucket. An event that
// names no recipient is one by itself: nobody knows that it was the same as another.
func (d *Detector) what(c *counter, ev *harvestwatch.Event) uint32 {
	switch {
	case c.bucket > 0:
		return 1
	case c.mode == rules.Recipient && len(ev.Recipient) == 0:
		return d.hash.line(ev)
	case c.mode == rules.Recipient:
		return d.hash.recipient(ev.Recipient)
	case c.mode == rules.UserMinute:
		return d.hash.user(ev.User)
	}
	return 0
}
