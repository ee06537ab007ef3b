package detector

import (
	"math"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/rules"
)

// dead says whether time has made a record meaningless: no window, block, offence or memory holds anything of it. For
// lists this is a question of each one's own window.
func (d *Detector) dead(r record) bool {
	last := r[wLast]
	if last > before(d.now, d.shortest) || r[wMail] > before(d.now, d.mailKeep) && d.mailKeep > 0 {
		return false
	}
	s := d.sideAt(r)
	if last > before(d.now, d.longest) && d.now <= r[wUntil] {
		return false
	}
	if s == nil {
		return true
	}
	switch {
	case d.now < s.probation, s.remembered(d.now) > 0,
		max(s.until, s.hold) > before(d.now, max(d.longest, day)), // late events and deliveries ask for the past
		s.authOK > before(d.now, d.authKeep) && d.authKeep > 0,
		s.delivered && last > before(d.now, keepDeliverer), s.credited(d.now),
		s.shared > 0 && s.shared > before(d.now, 7*day),
		len(d.slabs.live(s.good, before(d.now, d.good.longest))) > 0,
		len(d.slabs.live(s.quiet, d.now)) > 0:
		return false
	}
	return true
}

// until returns the latest second at which the counter's longest window asks for an entry of a second.
func (c *counter) until(sec uint32) uint32 {
	if c.bucket == 0 {
		return plus(sec, c.longest-1)
	}
	return uint32(min((uint64(sec/c.bucket)+uint64(c.longest/c.bucket))*uint64(c.bucket)-1, math.MaxUint32))
}

// askedUntil returns until when the lists of a source hold anything that a window asks for, by looking at all of them.
func (d *Detector) askedUntil(r record) uint32 {
	until := uint32(0)
	see := func(h uint32, c *counter) {
		if h != 0 {
			until = max(until, c.until(d.slabs.at(h)[0].sec))
		}
	}
	s := d.sideAt(r)
	for _, n := range d.ofSource {
		if c := &d.counters[n]; c.inline || s != nil && s.extra != 0 {
			see(d.handle(r, c), c)
		}
	}
	see(d.exemptOf(s), &d.exempt)
	return until
}

// empty gives back all that a record holds but its place in the table.
func (d *Detector) empty(r record) {
	if d.forgotten != nil {
		if last := (harvestwatch.Standing{Source: r.key()}); d.standing(r, &last) {
			d.forgotten(last)
		}
	}
	d.clearLists(r)
	if i := r.side(); i != 0 {
		s := d.sides.at(i)
		d.slabs.release(s.good)
		d.slabs.release(s.quiet)
		d.slabs.release(s.served)
		d.refund(s)
		d.sides.release(i)
	}
	r[wLast], r[wNear], r[wNearRule], r[wMail], r[wUntil] = 0, 0, 0, 0, 0
	r[wSide] &= flagSaved
}

// remove forgets a source.
func (d *Detector) remove(id uint32) {
	r := d.table.rec(id)
	d.empty(r)
	if r[wSide]&flagSaved != 0 {
		d.gone = append(d.gone, r.key())
	}
	if isAggregate(r.key()) {
		d.aggregates--
	}
	if int(id>>6) < len(d.dirty) {
		d.dirty[id>>6] &^= 1 << (id & 63)
	}
	d.table.delete(id)
}

// pace makes a step of the sweep with one event in four: each looks at lists all over the memory.
func (d *Detector) pace() {
	if d.turn++; d.turn%4 == 0 {
		d.sweepKeys(rules.Key(1 + d.turn/4%(numKeys-1)))
		d.sweep()
	}
}

// sweep looks at one record and clears it if it is dead. Called for every new record, and for some events, it keeps the
// dead a fraction of the living.
func (d *Detector) sweep() {
	if d.table.high == 0 {
		return
	}
	if d.hand++; d.hand > d.table.high {
		d.hand = 1
		d.round++
	}
	r := d.table.rec(d.hand)
	if r.key() == 0 {
		return
	}
	if d.dead(r) {
		d.remove(d.hand)
		d.stats.Reclaimed++
		return
	}
	if d.round%trimEach == 0 {
		d.trim(r)
	}
}

// trimEach is in how many rounds of the sweep the records that are not dead are looked at for lists that are: that reads
// lists all over the memory.
const trimEach = 4

// evictSample is how many records are compared to find one to forget.
const evictSample = 16

// chance returns a number from 1 to n.
func (d *Detector) chance(n uint32) uint32 {
	d.rng ^= d.rng << 13
	d.rng ^= d.rng >> 7
	d.rng ^= d.rng << 17
	return uint32(d.rng>>32)%n + 1
}

// worth is how much would be lost with a source, the first that differs counting.
type worth struct{ probation, offences, count, last int }

func (a worth) less(b worth) bool {
	switch {
	case a.probation != b.probation:
		return a.probation < b.probation
	case a.offences != b.offences:
		return a.offences < b.offences
	case a.count != b.count:
		return a.count < b.count
	}
	return a.last < b.last
}

// evict forgets the least telling of a sample of sources: never one that is blocked or has credit. It reports false when
// the sample holds no other. Which source it is depends on chance; below MaxSources nothing ever does.
func (d *Detector) evict() bool {
	best, least := uint32(0), worth{}
	for range evictSample {
		id := d.chance(d.table.high)
		r := d.table.rec(id)
		if r.key() == 0 || d.protected(r) {
			continue
		}
		if w := d.worthOf(r); best == 0 || w.less(least) {
			best, least = id, w
		}
	}
	if best == 0 {
		return false
	}
	if d.dead(d.table.rec(best)) {
		d.stats.Reclaimed++
	} else {
		d.stats.Evicted++
	}
	d.remove(best)
	return true
}

func (d *Detector) protected(r record) bool {
	s := d.sideAt(r)
	if s == nil {
		return false
	}
	return d.now < max(s.until, s.hold) || s.credited(d.now) || len(d.slabs.live(s.good, before(d.now, d.good.longest))) > 0
}

// worthOf returns what is counted against a source, and what else would be lost with it.
func (d *Detector) worthOf(r record) worth {
	w := worth{last: int(r[wLast])}
	s := d.sideAt(r)
	for _, n := range d.ofSource {
		c := &d.counters[n]
		if !c.inline && (s == nil || s.extra == 0) {
			continue
		}
		w.count += c.total(d.live(r, c, c.longest))
	}
	if s != nil {
		if w.offences = s.remembered(d.now); d.now < s.probation {
			w.probation = 1
		}
		if s.authOK > 0 {
			w.count += evictSample
		}
	}
	return w
}
