package detector

import (
	"math"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/rules"
)

// Settle tells what was decided about an offence. After a block or a would-be block the source's events are left out
// until its end, its windows begin anew, and its next offence counts higher; where the block is that of a prefix, this
// holds for the prefix. After anything else, and for a rule on trial, only the rule rests, for this source or, where it
// adds up by a key, for the key, until the decision's Until or for its window where that is not set; a rule on trial must
// not shield a source from a rule in force. An offence that a guard held back is only not told again for its window.
//
// A block or would-be block with a rule's index below 0 is one that no rule found, of a list or by hand: no offence is
// counted.
func (d *Detector) Settle(dec *harvestwatch.Decision) {
	o := &dec.Offence
	if o.RuleIndex >= len(d.rules) {
		return
	}
	if o.RuleIndex < 0 {
		if dec.Action == harvestwatch.ActBlock || dec.Action == harvestwatch.ActObserve {
			d.blockByHand(dec)
		}
		return
	}
	ru := &d.rules[o.RuleIndex]
	trial := dec.Action == harvestwatch.ActObserve && ru.trial
	switch {
	case o.Guard != "":
		d.rest(dec, toldMark(o.RuleIndex, o.Guard))
	case trial || dec.Action != harvestwatch.ActBlock && dec.Action != harvestwatch.ActObserve:
		d.rest(dec, o.RuleIndex+1)
	case ru.ofPrefix():
		if r := d.prefixRecord(o.Source); r != nil {
			d.blockPrefix(r, dec, uint16(min(max(o.Level, 1), maxOffenceCount)))
		}
	default:
		d.block(dec)
	}
}

// rest sets the mark of a quiet rule, for the source or for the keys that the rule adds up by.
func (d *Detector) rest(dec *harvestwatch.Decision, mark int) {
	o := &dec.Offence
	fired, until := clamp(o.Fired), clamp(dec.Until)
	if until <= fired {
		until = clamp(o.Fired.Add(o.Window))
	}
	if until <= d.now {
		return
	}
	ru := &d.rules[o.RuleIndex]
	e := entry{until, uint32(mark), 0}
	asked := d.asked
	if asked.rule != o.RuleIndex || asked.src != o.Source {
		asked.keys = [rules.MaxKeys]uint64{}
	}
	if !ru.bySource() {
		d.restKeys(ru, o, asked.keys, e)
		return
	}
	src := o.Source
	if o.Guard == rules.GuardIPv6 {
		if src = aggregate48(src); o.Prefix.Bits() == 32 {
			src = aggregate32(src)
		}
	}
	id := d.record(src, d.lookup(src))
	if id == 0 {
		return
	}
	s := d.sideOf(d.table.rec(id))
	s.quiet, _ = d.slabs.put(s.quiet, &d.quiet, e, d.now)
}

// block notes a block or would-be block of a source.
func (d *Detector) block(dec *harvestwatch.Decision) {
	o := &dec.Offence
	id := d.record(o.Source, d.lookup(o.Source))
	if id == 0 {
		return
	}
	r := d.table.rec(id)
	s := d.sideOf(r)
	fired, until := clamp(o.Fired), max(clamp(dec.Until), clamp(o.Fired))
	d.teach(r, s, fired)
	d.begin(s, fired, until)
	s.probation = plus(until, probationFor)
	s.offences = uint16(min(max(o.Level, 1), maxOffenceCount))
	s.by = uint8(o.RuleIndex + 1)
	d.clearLists(r)
	ref := uint32(0)
	if n := len(o.Evidence); n > 0 {
		ref = o.Evidence[n-1]
	}
	d.countBlock(o.Source, fired, ref)
}

// begin notes a block's times and its price.
func (d *Detector) begin(s *side, fired, until uint32) {
	since := max(fired, s.until)
	if until > since {
		s.served, _ = d.slabs.put(s.served, &d.served, entry{until, since, 0}, before(d.now, day))
	}
	s.from, s.until = fired, until
	s.hold = max(until, plus(fired, d.grace+1))
	d.charge(s, until)
}

// blockByHand notes a block or would-be block that no rule found.
func (d *Detector) blockByHand(dec *harvestwatch.Decision) {
	o := &dec.Offence
	if p := o.Prefix; p.IsValid() && p.Bits() < o.Source.Prefix().Bits() {
		if src, ok := harvestwatch.SourceOf(p.Addr()); ok && p == prefixAround(harvestwatch.Source(prefixKey(src))) {
			if r := d.prefixRecord(src); r != nil {
				d.blockPrefix(r, dec, uint16(r[kOffences]))
			}
		}
		return
	}
	id := d.record(o.Source, d.lookup(o.Source))
	if id == 0 {
		return
	}
	r := d.table.rec(id)
	fired := clamp(o.Fired)
	s := d.sideOf(r)
	d.begin(s, fired, max(clamp(dec.Until), fired))
	s.by = 0
	d.clearLists(r)
}

// Release ends a source's block because an administrator said so: its windows begin anew at that time, its offences
// are forgotten, and it is not on probation. For a source without a block, what happened before that time is forgotten.
func (d *Detector) Release(src harvestwatch.Source, at time.Time) {
	id := d.record(src, d.lookup(src))
	if id == 0 {
		return
	}
	r := d.table.rec(id)
	d.clearLists(r)
	s := d.sideOf(r)
	t := clamp(at)
	if s.until > t {
		list := d.slabs.live(s.served, t)
		for i := range list {
			list[i].sec = max(t, list[i].hash)
		}
		s.until = max(t, s.from)
		d.refund(s)
	}
	s.hold, s.probation, s.offences = t, 0, 0
}

// ReleasePrefix ends the block of an IPv4 /24 or IPv6 /48, as Release does for a source. Blocks of single sources in it
// stay. It does nothing for another prefix.
func (d *Detector) ReleasePrefix(src harvestwatch.Source, at time.Time) {
	r := d.prefixOf(src)
	if r == nil {
		return
	}
	t := clamp(at)
	if r[kUntil] > t {
		r[kUntil] = max(t, r[kFrom])
	}
	r[kHold], r[kProbation], r[kOffences] = t, 0, 0
	d.clearKey(rules.ByPrefix, r)
}

// clamp returns a time in seconds since 1970, within what the detector can count.
func clamp(t time.Time) uint32 { return uint32(min(max(t.Unix(), 0), math.MaxUint32)) }

// plus adds without going past the end of time.
func plus(t, d uint32) uint32 { return uint32(min(uint64(t)+uint64(d), math.MaxUint32)) }
