package detector

import "github.com/harvestwatch/harvestwatch"

// dead says whether time has made a record meaningless: no window, block, offence or memory holds anything of it.
func (d *Detector) dead(r record) bool {
	if r[wLast] > before(d.now, d.longest) {
		return false
	}
	i := r.side()
	if i == 0 {
		return true
	}
	s := d.sides.at(i)
	switch {
	case d.now < s.probation, s.remembered(d.now) > 0,
		max(s.until, s.hold) > before(d.now, max(d.longest, day)), // late events and deliveries ask for the past
		s.authOK > before(d.now, d.authKeep),
		s.delivered && r[wLast] > before(d.now, keepDeliverer),
		len(d.slabs.live(s.good, before(d.now, d.good.longest))) > 0,
		len(d.slabs.live(s.quiet, d.now)) > 0:
		return false
	}
	return true
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
		d.sides.release(i)
	}
	r[wLast], r[wNear], r[wNearRule] = 0, 0, 0
	r[wSide] &= flagSaved
}

// remove forgets a source.
func (d *Detector) remove(id uint32) {
	r := d.table.rec(id)
	d.empty(r)
	if r[wSide]&flagSaved != 0 {
		d.gone = append(d.gone, r.key())
	}
	if int(id>>6) < len(d.dirty) {
		d.dirty[id>>6] &^= 1 << (id & 63)
	}
	d.table.delete(id)
}

// sweep looks at one record and clears it if it is dead. Called for every event and every new record, it keeps the
// dead a fraction of the living.
func (d *Detector) sweep() {
	if d.table.high == 0 {
		return
	}
	if d.hand++; d.hand > d.table.high {
		d.hand = 1
	}
	if r := d.table.rec(d.hand); r.key() != 0 && d.dead(r) {
		d.remove(d.hand)
		d.stats.Reclaimed++
	}
}

// evictSample is how many records are compared to find one to forget.
const evictSample = 16

// evict forgets the least telling of a sample of sources: never one that is blocked, on probation, has offences or
// credit. It reports false when the sample holds no other. Which source it is depends on chance; below MaxSources
// nothing ever does.
func (d *Detector) evict() bool {
	best, bestCount, bestLast := uint32(0), 0, uint32(0)
	for range evictSample {
		d.rng ^= d.rng << 13
		d.rng ^= d.rng >> 7
		d.rng ^= d.rng << 17
		id := uint32(d.rng>>32)%d.table.high + 1
		r := d.table.rec(id)
		if r.key() == 0 || d.protected(r) {
			continue
		}
		n := d.weight(r)
		if best == 0 || n < bestCount || n == bestCount && r[wLast] < bestLast {
			best, bestCount, bestLast = id, n, r[wLast]
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
	i := r.side()
	if i == 0 {
		return false
	}
	s := d.sides.at(i)
	return d.now < max(s.until, s.hold, s.probation) || s.remembered(d.now) > 0 || len(d.slabs.live(s.good, before(d.now, d.good.longest))) > 0
}

// weight returns what is counted against a source, and what else would be lost with it.
func (d *Detector) weight(r record) int {
	n := 0
	for i := range d.counters {
		c := &d.counters[i]
		n += c.total(d.slabs.live(r[wLists+i], c.cutoff(d.now, c.longest)))
	}
	if i := r.side(); i != 0 && d.sides.at(i).authOK > 0 {
		n += evictSample
	}
	return n
}
