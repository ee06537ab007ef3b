package detector

import (
	"math"
	"net/netip"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/rules"
)

// Whoever has an IPv6 prefix can send from as many /64 as he likes. So a /48 has so many of them that are told apart
// within a day, and a /32 so many /48; what comes from others counts for the prefix as a whole, for the report only.
const (
	maxPer48     = 256
	maxPer32     = 4096
	memberWindow = day
	refreshEach  = 3600 // a source's place among them is renewed by its first event of each hour
)

// The numbers of the counters of members.
const (
	membersOf48 = iota
	membersOf32
)

// prefixKey returns the key of the /24 or /48 around a source.
func prefixKey(src harvestwatch.Source) uint64 {
	if src <= math.MaxUint32 {
		return uint64(src) &^ 0xff
	}
	return uint64(src) &^ 0xffff
}

// wideKey returns the key of the /32 around an IPv6 source: an odd number, which no /48 has.
func wideKey(src harvestwatch.Source) uint64 { return uint64(src)&^0xffffffff | 1 }

// An aggregate stands in the table of sources under its own number with another beginning: what lies in 2000::/3 begins
// with the bits 001, nothing may be sent from c000::/3 and a000::/3.
const (
	globalBits      = 1
	aggregateBits48 = 6
	aggregateBits32 = 5
)

func aggregate48(src harvestwatch.Source) harvestwatch.Source {
	return src&(1<<61-1)&^0xffff | aggregateBits48<<61
}

func aggregate32(src harvestwatch.Source) harvestwatch.Source {
	return src&(1<<61-1)&^0xffffffff | aggregateBits32<<61
}

func isAggregate(src harvestwatch.Source) bool {
	return src>>61 == aggregateBits48 || src>>61 == aggregateBits32
}

// prefixAround returns the prefix that a key or an aggregate stands for.
func prefixAround(key harvestwatch.Source) netip.Prefix {
	length := 48
	switch {
	case key <= math.MaxUint32:
		return netip.PrefixFrom(key.Prefix().Addr(), 24).Masked()
	case key>>61 == aggregateBits32:
		length = 32
	}
	if isAggregate(key) {
		key = key&(1<<61-1) | globalBits<<61
	}
	p, _ := key.Prefix().Addr().Prefix(length)
	return p
}

// track returns under which key an IPv6 event counts: its source, or the parent that has too many sources to tell a new
// one apart.
func (d *Detector) track(x *sight) harvestwatch.Source {
	if x.src>>61 != globalBits {
		return x.src
	}
	if x.id != 0 {
		if last := d.table.rec(x.id)[wLast]; x.t > last && x.t/refreshEach != last/refreshEach {
			d.member(x)
		}
		return x.src
	}
	cut := before(d.now, memberWindow)
	of48, of32 := &d.counters[membersOf48], &d.counters[membersOf32]
	inside := []entry(nil)
	if r := d.keyRecord(rules.ByPrefix, prefixKey(x.src), false); r != nil {
		inside = d.slabs.live(r[of48.slot], cut)
	}
	if len(inside) == 0 {
		if r := d.keyRecord(rules.ByPrefix, wideKey(x.src), false); r != nil && len(d.slabs.live(r[of32.slot], cut)) >= maxPer32 {
			return aggregate32(x.src)
		}
	}
	if len(inside) >= maxPer48 && of48.find(inside, entry{hash: memberOf48(x.src)}) < 0 {
		return aggregate48(x.src)
	}
	d.member(x)
	return x.src
}

func memberOf48(src harvestwatch.Source) uint32 { return uint32(src)&0xffff | 1<<16 }
func memberOf32(src harvestwatch.Source) uint32 { return uint32(src)>>16 | 1<<16 }

// member enters a source among those of its prefix, and the prefix among those of its own.
func (d *Detector) member(x *sight) {
	cut := before(d.now, memberWindow)
	if x.t <= cut {
		return
	}
	r := d.keyRecord(rules.ByPrefix, prefixKey(x.src), true)
	if r == nil {
		return
	}
	of48, of32 := &d.counters[membersOf48], &d.counters[membersOf32]
	latest := uint32(0)
	if inside := d.slabs.live(r[of48.slot], cut); len(inside) > 0 {
		latest = inside[0].sec
	}
	r[of48.slot], _ = d.slabs.put(r[of48.slot], of48, entry{x.t, memberOf48(x.src), x.ev.Ref}, cut)
	if x.t <= latest || x.t/refreshEach == latest/refreshEach {
		return
	}
	if r = d.keyRecord(rules.ByPrefix, wideKey(x.src), true); r != nil {
		r[of32.slot], _ = d.slabs.put(r[of32.slot], of32, entry{x.t, memberOf32(x.src), x.ev.Ref}, cut)
	}
}

// prefixOf returns the record of the prefix around a source, or nil.
func (d *Detector) prefixOf(src harvestwatch.Source) record {
	return d.keyRecord(rules.ByPrefix, prefixKey(src), false)
}

// prefixRecord returns the record of the prefix around a source, made if there is none; nil where there is no room.
func (d *Detector) prefixRecord(src harvestwatch.Source) record {
	if prefixKey(src) == 0 {
		return nil
	}
	return d.keyRecord(rules.ByPrefix, prefixKey(src), true)
}

// blockPrefix notes a block or would-be block of a prefix: what comes from it is left out until the end.
func (d *Detector) blockPrefix(r record, dec *harvestwatch.Decision, offences uint16) {
	fired := clamp(dec.Offence.Fired)
	until := max(clamp(dec.Until), fired)
	r[kFrom], r[kUntil] = fired, until
	r[kHold] = max(until, plus(fired, d.grace+1))
	if dec.Offence.RuleIndex >= 0 {
		r[kProbation] = plus(until, probationFor)
	}
	r[kOffences] = uint32(offences)
	d.prefixUntil = max(d.prefixUntil, r[kHold])
	d.clearKey(rules.ByPrefix, r)
}

// ofPrefix makes an offence that of a prefix.
func (d *Detector) ofPrefix(o *harvestwatch.Offence, r record) {
	o.Prefix = prefixAround(r.key())
	o.Level = remembered(d.now, r[kUntil], int(r[kOffences])) + 1
	o.Probation = d.now < r[kProbation]
}

// countBlock counts a blocked source in its prefix, for the rules that count blocked sources, and notes which of them
// have reached their threshold by that.
func (d *Detector) countBlock(src harvestwatch.Source, fired, ref uint32) {
	if len(d.blocksRules) == 0 {
		return
	}
	r := d.prefixRecord(src)
	if r == nil || fired < r[kHold] {
		return
	}
	v6 := 0
	if src > math.MaxUint32 {
		v6 = 1
	}
	for _, n := range d.blocksRules {
		ru := &d.rules[n]
		for i := range ru.conds {
			c := &ru.conds[i]
			ct := &d.counters[c.counted[0]]
			if cut := ct.cutoff(d.now, ct.longest); fired > cut && (i == 0 || c.counted[0] != ru.conds[0].counted[0]) {
				r[ct.slot], _ = d.slabs.put(r[ct.slot], ct, entry{fired, d.hash.client(src), ref}, cut)
			}
			if len(d.slabs.live(r[ct.slot], ct.cutoff(d.now, c.window))) < int(c.base[v6][0][1]) || r[kPending]>>n&1 != 0 {
				continue
			}
			if r[kPending] == 0 {
				d.pending++
			}
			r[kPending] |= 1 << n
		}
	}
}

// tellPrefix looks at the rules whose threshold the prefix of an event reached when its sources were blocked, and puts
// the offence of the first that fires into the outcome.
func (d *Detector) tellPrefix(x *sight, out *harvestwatch.Outcome) {
	key := prefixKey(x.src)
	if key == 0 {
		return
	}
	r := d.keyRecord(rules.ByPrefix, key, false)
	if r == nil || r[kPending] == 0 {
		return
	}
	r = d.keyRecord(rules.ByPrefix, key, true)
	x.recs[rules.ByPrefix], x.held = r, held{}
	if x.r == nil && x.id != 0 {
		x.r = d.table.rec(x.id)
	}
	fired := false
	bitsOf(r[kPending], func(n int) bool {
		r[kPending] &^= 1 << n
		fired = d.evaluatePrefix(n, r, x, out)
		return !fired
	})
	if !fired {
		d.tellHeld(x, out)
	}
	if r[kPending] == 0 {
		d.pending--
	}
}

// evaluatePrefix looks whether a rule that counts blocked sources fires for a prefix.
func (d *Detector) evaluatePrefix(n int, r record, x *sight, out *harvestwatch.Outcome) bool {
	ru := &d.rules[n]
	if d.now < r[kHold] || d.quieted(r[kQuiet], n+1) {
		return false
	}
	for i := range ru.conds {
		c := &ru.conds[i]
		m := d.measureKey(ru, c, rules.ByPrefix, r, nil, x)
		got := len(d.liveKey(r, c.counted[0], c.window))
		if got < m.base {
			continue
		}
		guard := ""
		switch {
		case ru.unless > 0 && r[kDelivered] > before(d.now, ru.unless):
			guard = rules.GuardMail
		case ru.uncredit && r[kCredited] > before(d.now, keepDeliverer):
			guard = rules.GuardCredit
		case ru.share > 0 && !d.shareHolds(ru, got, d.active(x.src, r, c.window)-got):
			guard = rules.GuardShare
		}
		if guard == "" {
			if guard = d.siteGuard(ru, x, nil, 0, &m, out); guard == "" {
				d.fireKeys(n, c, x, got, m, "", out)
				return true
			}
		}
		if x.held.guard == "" && !d.quieted(r[kQuiet], toldMark(n, guard)) {
			x.held = held{rule: n, cond: i, guard: guard, got: got, m: m}
		}
	}
	return false
}

// active returns how many sources of a prefix did something within a window that still means something. It looks all of
// them up.
func (d *Detector) active(src harvestwatch.Source, prefix record, window uint32) int {
	cut, n := before(d.now, window), 0
	seen := func(s harvestwatch.Source) {
		if id := d.table.find(s); id != 0 {
			if r := d.table.rec(id); r[wLast] > cut && !d.dead(r) {
				n++
			}
		}
	}
	net := harvestwatch.Source(prefixKey(src))
	if src <= math.MaxUint32 {
		for i := range harvestwatch.Source(256) {
			seen(net | i)
		}
		return n
	}
	for _, e := range d.slabs.live(prefix[d.counters[membersOf48].slot], before(d.now, memberWindow)) {
		seen(net | harvestwatch.Source(e.hash&0xffff))
	}
	return n
}
