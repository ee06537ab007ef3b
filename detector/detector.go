// Package detector turns events into offences: for each source it counts, over exact sliding windows, what the rules
// hold against it beside what speaks for it, and the same for prefixes, HELO names, sender domains and users. It is a
// state machine: the same events in the same order give the same offences, whatever their batches and however often the
// state was saved and restored in between. Its only clock is the events' own time, in whole seconds. It does not decide
// what follows from an offence (rules.Judge does, and Settle tells the detector), it blocks nothing, does no I/O and
// starts no goroutine: a Detector belongs to one.
//
// A rule is looked at when an event that it counts comes in, never at an innocent one: where a threshold falls by time
// alone, because a delivery leaves its window, the offence is told at the next event that the rule counts. What a guard
// held back is an offence too, with the guard's name in it: told once for each rule, source and window, it changes
// nothing about when a rule fires.
package detector

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/detector/ledger"
	"github.com/harvestwatch/harvestwatch/rules"
)

// Options are what a Detector is made with, besides the rules.
type Options struct {
	Key        [16]byte // of the hashes; secret, and the same for as long as saved state is used. Constant in tests
	MaxSources int      // how many sources are known at a time; 0: 2,000,000; at most 16,000,000
	MaxKeys    int      // how many prefixes, HELO names, sender domains and users each; 0: 200,000; at most 16,000,000
	// Forgotten is told of a source's standing when time has made all else of it meaningless and its record is cleared;
	// it must not call the detector. nil tells nobody. A scan, which speaks of all sources at its end, listens.
	Forgotten   func(harvestwatch.Standing)
	Grace       time.Duration // so long after an offence events can have been under way; 0: 60 s; negative: none; whole seconds
	FormerUsers [][]byte      // recipients that once existed: asking for them is no guess. They are not kept
}

const (
	defaultSources = 2000000
	defaultKeys    = 200000
	defaultGrace   = 60
)

// Stats says how much a Detector holds and what it left out.
type Stats struct {
	Sources    int    // records in use, those included that time has made meaningless and nobody has cleared yet
	Keys       int    // prefixes, HELO names, sender domains and users, as Sources
	Aggregates int    // records of IPv6 prefixes that had too many sources to tell them apart, among Sources
	Dictionary int    // recipients that blocked sources had tried, at most 200,000
	Bytes      int    // allocated for records, index, lists and ledgers; never given back
	Late       uint64 // events that were too old for every window
	Evicted    uint64 // sources that were forgotten, although they still counted, because MaxSources were known
	Refused    uint64 // events that were not counted, because nothing could be forgotten for their source
	KeysLost   uint64 // keys that were forgotten, although they still counted, or never known, because MaxKeys were known
	Reclaimed  uint64 // records that time had made meaningless and that were cleared
	Offences   uint64 // offences returned, those that a guard held back included
}

// Detector is the state. Make one with New.
type Detector struct {
	compiled
	hash   hasher
	table  table
	slabs  slabs
	sides  sides
	words  words
	spaces [numKeys]space // by kind of key; that of BySource is not used
	dict   dictionary

	recipients *ledger.Recipients
	hours      ledger.Hours
	budget     ledger.Budget

	now         uint32 // the latest second of any event
	grace       uint32
	max         int
	suspended   bool   // good mail stays away: no new blocks
	told        bool   // and that was told
	toldAt      uint32 // when it was last told that good mail seems to stay away; 0: never
	prefixUntil uint32 // no block of a prefix, nor its hold, ends later
	pending     int    // prefixes with an offence that is not told yet
	asked       asked
	aggregates  int // records of prefixes in the table of sources

	forgotten func(harvestwatch.Standing)
	dirty     []uint64              // a bit for each record that changed since Changes
	gone      []harvestwatch.Source // saved sources that were forgotten since Changes
	hand      uint32                // the record that sweep looks at next
	round     int                   // how often it has been through all of them
	ahead     uint32                // what was read only so that the memory is at hand when it is asked for
	turn      int                   // which table sweep looks at next
	rng       uint64                // for evict
	stats     Stats
	value     []byte // what Changes yields
}

// asked is what the latest offence was about, for Settle.
type asked struct {
	rule int
	src  harvestwatch.Source
	keys [rules.MaxKeys]uint64
}

// New makes a detector that knows nothing yet.
func New(set *rules.Set, o Options) *Detector {
	d := &Detector{compiled: compile(set), hash: newHasher(o.Key), slabs: newSlabs(), grace: defaultGrace, max: defaultSources,
		recipients: ledger.NewRecipients(0), forgotten: o.Forgotten}
	d.table.hash = &d.hash
	d.table.stride = wLists + inlineMax
	d.words.stride = d.extraWords
	if o.MaxSources > 0 {
		d.max = min(o.MaxSources, 16000000)
	}
	if o.Grace != 0 {
		d.grace = uint32(max(o.Grace, 0) / time.Second)
	}
	for k := range d.spaces {
		s := &d.spaces[k]
		s.hash, s.stride, s.max = &d.hash, kLists+len(d.perKey[k]), defaultKeys
		s.direct = rules.Key(k) != rules.ByPrefix // the others are hashes of text
		if o.MaxKeys > 0 {
			s.max = min(o.MaxKeys, 16000000)
		}
	}
	if d.asks != nil {
		d.dict.hot = d.asks.Sources
	}
	d.rng = binary.LittleEndian.Uint64(o.Key[8:]) | 1
	for _, user := range o.FormerUsers {
		sum, _ := d.hash.address(user)
		d.recipients.Import(sum)
	}
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
	s.Sources, s.Aggregates, s.Dictionary = d.table.count, d.aggregates, d.dict.used
	s.Bytes = d.table.bytes() + d.slabs.bytes + d.sides.bytes() + d.words.bytes() + 8*cap(d.dirty) + 8*cap(d.gone) +
		wordBytes*cap(d.dict.words) + d.recipients.Bytes()
	for k := range d.spaces {
		sp := &d.spaces[k]
		s.Keys += sp.count
		s.Bytes += sp.bytes() + 8*cap(sp.dirty) + 8*cap(sp.gone)
	}
	return s
}

// Observe takes an event in. The event's bytes are not kept. When the outcome holds an offence, Settle must be called
// with the decision about it before the next event. Events come in the order (Time, input, offset), as far as the
// caller can put them in order: a late one counts at its own time while that is within the window. An event of the
// future moves the clock; who reads logs keeps those back that are ahead of a true clock.
//
// An offence of a prefix that Settle brought about, because so many of its sources are blocked, is told with the next
// event from that prefix that brings no offence of its own, were it an event inside a block.
func (d *Detector) Observe(ev *harvestwatch.Event) harvestwatch.Outcome {
	var out harvestwatch.Outcome
	sec := ev.Seconds()
	if sec > math.MaxUint32 || int(ev.Kind) >= harvestwatch.Kinds {
		out.Ignored = true
		return out
	}
	x := sight{ev: ev, t: uint32(max(sec, 0))} // 0 is before every window
	if x.t > d.now {
		d.advance(x.t, &out)
	}
	src, ok := harvestwatch.SourceOf(ev.Addr)
	if ok {
		x.src, x.sum = src, d.hash.source(src)
		d.ahead = d.table.peek(x.sum)
	}
	d.pace()
	d.noteRecipient(&x)
	if ev.Kind == harvestwatch.RcptUnknown && len(ev.Recipient) > 0 {
		d.recipient(&x)
	}
	if !ok || isAggregate(src) {
		out.Ignored = true
		return out
	}
	if src > math.MaxUint32 {
		x.v6 = 1
	}
	if x.id = d.lookupAt(src, x.sum); x.id != 0 || x.t < d.prefixUntil {
		d.fetch(x.id, ev.Kind)
		d.blocked(&x, &out)
	}
	d.take(&x, &out)
	if d.pending > 0 && (out.Offence == nil || out.Offence.Guard != "") {
		d.tellPrefix(&x, &out)
	}
	out.Ignored = out.Ignored && out.Offence == nil
	return out
}

// noteRecipient tells the ledger of recipients of a delivery, at the second at which the server accepted the message: it
// may deliver from its queue while the directory is away. What a user of the site sent, who had logged in, goes out: it
// says nothing of the site's own recipients, and the hours and the credit leave it out too.
func (d *Detector) noteRecipient(x *sight) {
	ev := x.ev
	if ev.Kind != harvestwatch.Delivered || len(ev.Recipient) == 0 || len(ev.User) > 0 {
		return
	}
	sec := x.t
	if ev.Began > 0 {
		sec = uint32(min(ev.Began/int64(time.Second), int64(x.t)))
	}
	sum, _ := d.recipient(x)
	d.recipients.Deliver(sum, sec)
}

// take counts the event for and against its source.
func (d *Detector) take(x *sight, out *harvestwatch.Outcome) {
	p := &d.plans[x.ev.Kind]
	switch {
	case x.ev.Kind == harvestwatch.Delivered:
		d.takeDelivery(x, out)
	case x.ev.Kind == harvestwatch.AuthOK && d.authKeep > 0:
		d.takeSuccess(x, out)
	default:
		d.noteMail(x)
		d.count(x, p, out)
		return
	}
	if len(p.counters)+len(p.keyed) > 0 && !out.Late { // as the other share of a rule, or as what one of the user's own counts
		var own harvestwatch.Outcome
		d.count(x, p, &own)
		out.Offence, out.Suspect = own.Offence, own.Suspect
		if own.Notice != nil {
			out.Notice = own.Notice
		}
	}
}

// advance moves the clock.
func (d *Detector) advance(t uint32, out *harvestwatch.Outcome) {
	minute := d.now / 60
	d.now = t
	if t/60 != minute {
		d.checkMail(out)
	}
}

// fetch reads the beginning of the list that an event of the kind is about to be looked for in.
func (d *Detector) fetch(id uint32, kind harvestwatch.Kind) {
	p := &d.plans[kind]
	if id == 0 || len(p.counters) == 0 {
		return
	}
	if c := &d.counters[p.counters[0]]; c.inline {
		if h := d.table.rec(id)[c.slot]; h != 0 {
			d.ahead = d.slabs.at(h)[0].sec
		}
	}
}

// lookup returns the number of a source's record, or 0. A record that time has made meaningless is emptied first, so
// that nobody can see whether it was cleared yet.
func (d *Detector) lookup(src harvestwatch.Source) uint32 { return d.lookupAt(src, d.hash.source(src)) }

// lookupAt is lookup for who has the source's hash already.
func (d *Detector) lookupAt(src harvestwatch.Source, sum uint64) uint32 {
	id := d.table.findAt(src, sum)
	if id == 0 {
		return 0
	}
	if r := d.table.rec(id); (r[wLast] != 0 || r.side() != 0) && d.dead(r) {
		if src > math.MaxUint32 { // whether it may come back is to be asked anew
			d.remove(id)
			return 0
		}
		d.empty(r)
		d.touch(id)
	}
	return id
}

// touch notes that a record changed.
func (d *Detector) touch(id uint32) { d.dirty = mark(d.dirty, id) }

func mark(bits []uint64, id uint32) []uint64 {
	for int(id>>6) >= len(bits) {
		bits = append(bits, 0)
	}
	bits[id>>6] |= 1 << (id & 63)
	return bits
}

// record returns the record of a source, made if there is none, and 0 if there is no room or no source.
func (d *Detector) record(src harvestwatch.Source, id uint32) uint32 {
	if id == 0 && src == 0 {
		return 0 // no source
	}
	if id == 0 {
		d.sweep() // two steps for each record, besides those for events: so garbage stays a fraction
		d.sweep()
		if d.table.count >= d.max && !d.evict() {
			d.stats.Refused++
			return 0
		}
		id = d.table.insert(src)
		if isAggregate(src) {
			d.aggregates++
		}
	}
	d.touch(id)
	return id
}

// admit finds the record that counts an event: the source's, or its parent prefix's where that has too many sources. It
// reports false when there is no room.
func (d *Detector) admit(x *sight) bool {
	key := x.src
	if x.v6 == 1 {
		if key = d.track(x); key != x.src {
			x.aggregate = true
			x.id = d.lookup(key)
		}
	}
	if x.id = d.record(key, x.id); x.id == 0 {
		return false
	}
	x.r = d.table.rec(x.id)
	x.r[wLast] = max(x.r[wLast], x.t)
	return true
}

// blocked says whether the event falls into the latest block of its source, or would-be block, or of its prefix. A
// delivery is judged by when the message was accepted: one that came in before the block was not in its way.
func (d *Detector) blocked(x *sight, out *harvestwatch.Outcome) {
	t := x.t
	if x.ev.Kind == harvestwatch.Delivered && x.ev.Began > 0 {
		began := x.ev.Began / int64(time.Second)
		if began > math.MaxUint32 {
			return
		}
		t = uint32(began)
	}
	inside := func(from, until uint32) {
		if t > from && t < until {
			out.Grace = t-from <= d.grace && (out.Grace || !out.Blocked)
			out.Blocked = true
		}
	}
	if x.id != 0 {
		if s := d.sideAt(d.table.rec(x.id)); s != nil {
			inside(s.from, s.until)
			x.hold = s.hold
		}
	}
	if t < d.prefixUntil || x.t < d.prefixUntil {
		if r := d.prefixOf(x.src); r != nil {
			inside(r[kFrom], r[kUntil])
			x.hold = max(x.hold, r[kHold])
		}
	}
}

// takeDelivery counts what speaks for a source: the recipient, the message, and that its offences are forgotten.
func (d *Detector) takeDelivery(x *sight, out *harvestwatch.Outcome) {
	cutoff := before(d.now, max(d.good.longest, keepDeliverer))
	if x.t <= cutoff {
		d.late(out)
		return
	}
	if !d.admit(x) {
		return
	}
	x.r[wMail] = max(x.r[wMail], x.t)
	s := d.sideOf(x.r)
	if keep := before(d.now, d.good.longest); x.t > keep {
		_, mark := d.recipient(x)
		s.good, _ = d.slabs.put(s.good, &d.good, entry{x.t, mark, x.ev.Ref}, keep)
	}
	s.offences = 0
	s.delivered = true
	if creditable(x.ev) && s.earn(x.t, d.now, d.hash.message(x.ev)) {
		d.hours.Deliver(x.t)
	}
	d.noteKeys(x, s.credited(d.now))
}

func (d *Detector) takeSuccess(x *sight, out *harvestwatch.Outcome) {
	if x.t <= before(d.now, d.authKeep) {
		d.late(out)
		return
	}
	if !d.admit(x) {
		return
	}
	s := d.sideOf(x.r)
	s.authOK = max(s.authOK, x.t)
}

// noteMail remembers that the source gave a MAIL command, as far as the event shows it.
func (d *Detector) noteMail(x *sight) {
	switch x.ev.Kind {
	case harvestwatch.RcptUnknown, harvestwatch.RcptRelayDenied, harvestwatch.RcptRefused, harvestwatch.RcptOK, harvestwatch.Accepted, harvestwatch.SpamRefused:
		if d.mailKeep > 0 && x.t > before(d.now, d.mailKeep) && d.admit(x) {
			x.r[wMail] = max(x.r[wMail], x.t)
		}
	}
}

func (d *Detector) late(out *harvestwatch.Outcome) {
	out.Late = true
	d.stats.Late++
}
