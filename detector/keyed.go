package detector

import (
	"math/bits"
	"strings"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/rules"
)

// A space is what is known of one kind of key: prefixes, HELO names, sender domains or users. A key's record is these
// words, then one list for each counter. A prefix is its own key; other keys are 64-bit hashes of their text.
type space struct {
	table
	max   int
	dirty []uint64 // a bit for each record that changed since Changes
	gone  []uint64 // saved keys that were forgotten since Changes
	hand  uint32
}

const (
	kKeyLow    = iota
	kKeyHigh   //
	kLast      // the latest second of any event; in a free record the next free one
	kFlags     // flagSaved
	kDelivered // the second of the latest delivery under this key; 0: none
	kCredited  // the latest second of an event of a source with credit; 0: none
	kQuiet     // list of rules that are not evaluated, and until when
	kPending   // of a prefix: a bit for each rule with an offence that is to be told
	kFrom      // of a prefix, as of a source: its latest block
	kUntil     //
	kHold      //
	kProbation //
	kOffences  //
	kLists
)

// keyOf returns the key of an event, 0 where it has none.
func (d *Detector) keyOf(k rules.Key, x *sight) uint64 {
	var text []byte
	switch k {
	case rules.ByPrefix:
		return prefixKey(x.src)
	case rules.ByHelo:
		text = d.hash.heloForm(x.ev)
	case rules.BySenderDomain:
		text = d.hash.senderForm(x.ev)
	case rules.ByUser:
		text = d.hash.userForm(x.ev)
	}
	if len(text) == 0 {
		return 0
	}
	return max(d.hash.sum(text), 1)
}

// textOf returns a key's text, from the event.
func (d *Detector) textOf(k rules.Key, x *sight) string {
	switch k {
	case rules.ByPrefix:
		return prefixAround(harvestwatch.Source(prefixKey(x.src))).String()
	case rules.ByHelo:
		return string(d.hash.heloForm(x.ev))
	case rules.BySenderDomain:
		return string(d.hash.senderForm(x.ev))
	}
	return string(d.hash.userForm(x.ev))
}

// recordOf returns the record of the event's key, made if there is none and one is asked for. It is nil where the event
// has no such key, or there is no room.
func (d *Detector) recordOf(k rules.Key, x *sight, create bool) record {
	if x.recs[k] != nil {
		return x.recs[k]
	}
	key := x.keys[k]
	if key == 0 {
		if key = d.keyOf(k, x); key == 0 {
			return nil
		}
	}
	x.recs[k] = d.keyRecord(k, key, create)
	return x.recs[k]
}

// keyRecord returns the record of a key, made if there is none and one is asked for, or nil.
func (d *Detector) keyRecord(k rules.Key, key uint64, create bool) record {
	s := &d.spaces[k]
	id := s.find(harvestwatch.Source(key))
	if id == 0 {
		if !create {
			return nil
		}
		d.sweepKeys(k)
		if s.count >= s.max && !d.evictKey(k) {
			d.stats.KeysLost++
			return nil
		}
		id = s.insert(harvestwatch.Source(key))
	}
	if create {
		s.dirty = mark(s.dirty, id)
		r := s.rec(id)
		r[kLast] = max(r[kLast], d.now)
	}
	return s.rec(id)
}

// noteKeys remembers that a source delivered, or one with credit did anything, under the event's keys.
func (d *Detector) noteKeys(x *sight, credited bool) {
	for k, wanted := range d.keyDelivers {
		if !wanted {
			continue
		}
		if r := d.recordOf(rules.Key(k), x, true); r != nil {
			if x.ev.Kind == harvestwatch.Delivered {
				r[kDelivered] = max(r[kDelivered], x.t)
			}
			if credited {
				r[kCredited] = max(r[kCredited], x.t)
			}
		}
	}
}

// feedKeys counts the event in the lists of its keys.
func (d *Detector) feedKeys(x *sight, p *plan) {
	for _, n := range p.keyed {
		c := &d.counters[n]
		cutoff := c.cutoff(d.now, c.longest)
		if x.t <= cutoff || !c.takes(x, &d.hash) {
			continue
		}
		if r := d.recordOf(c.key, x, true); r != nil {
			r[c.slot], _ = d.slabs.put(r[c.slot], c, entry{x.t, d.valueOf(c, x), x.ev.Ref}, cutoff)
		}
	}
}

// evaluateKeys looks whether a rule's threshold is reached by all the event's keys that it adds up by.
func (d *Detector) evaluateKeys(n int, x *sight, out *harvestwatch.Outcome) bool {
	ru := &d.rules[n]
	for _, k := range ru.keys {
		r := d.recordOf(k, x, false)
		if r == nil || d.quieted(r[kQuiet], n+1) {
			return false
		}
	}
	for i := range ru.conds {
		c := &ru.conds[i]
		m, got, guard := d.measureKeys(ru, c, x)
		if got < m.base {
			continue
		}
		if guard == "" {
			if guard = d.siteGuard(ru, x, x.side, 0, &m, out); guard == "" {
				d.fireKeys(n, c, x, got, m, "", out)
				return true
			}
		}
		if x.held.guard == "" && !d.quieted(x.recs[ru.keys[0]][kQuiet], toldMark(n, guard)) {
			x.held = held{rule: n, cond: i, guard: guard, got: got, m: m}
		}
	}
	return false
}

// measureKeys works out what the keys of a rule amount to. got is that of the first key; it is 0 when a key is below the
// base. guard names what holds the rule back otherwise.
func (d *Detector) measureKeys(ru *rule, c *condition, x *sight) (first measure, got int, guard string) {
	guard = d.rests(ru, x)
	for i, k := range ru.keys {
		r := x.recs[k]
		list := d.liveKey(r, c.counted[i], c.window)
		n := d.counters[c.counted[i]].total(list)
		if n < int(min(c.base[0][0][1], c.base[1][0][1])) {
			return measure{base: 1}, 0, ""
		}
		m := d.measureKey(ru, c, k, r, x.side, x)
		if n < m.base || c.sources[i] >= 0 && len(d.liveKey(r, c.sources[i], c.window)) < c.least {
			return m, 0, ""
		}
		if i == 0 {
			first, got = m, n
		}
		if guard != "" {
			continue
		}
		switch {
		case ru.unless > 0 && r[kDelivered] > before(d.now, ru.unless):
			guard = rules.GuardMail
		case ru.uncredit && r[kCredited] > before(d.now, keepDeliverer):
			guard = rules.GuardCredit
		case n < m.raw:
			guard = rules.GuardSuccess
		case n < m.bar && m.stand == withCredit:
			guard = rules.GuardCredit
		case n < m.bar:
			guard = rules.GuardCorroborate
		case n < m.need:
			guard = rules.GuardDeliveries
		case !usersAmong(ru, &m, list):
			guard = rules.GuardSuccess
		case !d.shareHolds(ru, n, d.otherOfKey(c, r, i)):
			guard = rules.GuardShare
		}
	}
	return first, got, guard
}

// otherOfKey returns the other share of a key.
func (d *Detector) otherOfKey(c *condition, r record, i int) int {
	if c.against[i] < 0 {
		return 0
	}
	return d.counters[c.against[i]].total(d.liveKey(r, c.against[i], c.window))
}

// liveKey returns what a key's counter holds for a window.
func (d *Detector) liveKey(r record, n int, window uint32) []entry {
	ct := &d.counters[n]
	return d.slabs.liveOf(r[ct.slot], ct, d.cutoff(ct, window))
}

// measureKey works out a condition's thresholds for a key: what speaks for the source raises them, but neither a block
// list's entry nor the source's probation lowers what the key is asked for. A prefix has a probation of its own.
func (d *Detector) measureKey(ru *rule, c *condition, k rules.Key, r record, s *side, x *sight) measure {
	var m measure
	v6, probation, after := 0, 0, 0
	if k == rules.ByPrefix {
		v6 = x.v6
		if d.now < r[kProbation] {
			probation = 1
		}
	}
	if ru.verified && !ru.blocks && d.fitting(x) {
		m.stand = withName
	}
	if s != nil && !ru.blocks {
		if m.after = d.succeeded(ru, s); m.after {
			after = 1
		}
		if x.credited {
			m.stand = withCredit
		}
		m.good = len(d.slabs.live(s.good, before(d.now, c.good)))
	}
	m.base = int(c.base[v6][0][probation])
	m.raw = int(c.need[v6][after][plain][probation])
	m.bar = int(c.need[v6][after][m.stand][probation])
	m.need = m.bar + ru.credit(m.good)
	return m
}

// fireKeys puts an offence of a rule with keys into the outcome.
func (d *Detector) fireKeys(n int, c *condition, x *sight, got int, m measure, guard string, out *harvestwatch.Outcome) {
	ru := &d.rules[n]
	o := d.offence(n, c, x, d.liveKey(x.recs[ru.keys[0]], c.counted[0], c.window))
	o.Count, o.Threshold, o.Base, o.Deliveries, o.Guard = got, m.need, m.base, m.good, guard
	d.asked = asked{rule: n, src: x.src}
	var keys, texts [rules.MaxKeys]string
	for i, k := range ru.keys {
		keys[i], texts[i] = k.String(), d.textOf(k, x)
		d.asked.keys[i] = uint64(x.recs[k].key())
		if k == rules.ByPrefix {
			d.ofPrefix(o, x.recs[k])
		}
	}
	o.Key = strings.Join(keys[:len(ru.keys)], " and ")
	o.Group = strings.Join(texts[:len(ru.keys)], " ")
	out.Offence = o
}

// restKeys sets the mark of a quiet rule for the keys of the latest offence. Where that is not known any more, because a
// restart came between the offence and its decision, a prefix is still known by the source.
func (d *Detector) restKeys(ru *rule, o *harvestwatch.Offence, keys [rules.MaxKeys]uint64, e entry) {
	for i, k := range ru.keys {
		if keys[i] == 0 && k == rules.ByPrefix {
			keys[i] = prefixKey(o.Source)
		}
		if keys[i] == 0 {
			continue
		}
		if r := d.keyRecord(k, keys[i], true); r != nil {
			r[kQuiet], _ = d.slabs.put(r[kQuiet], &d.quiet, e, d.now)
		}
	}
}

// clearKey forgets what was counted for a key.
func (d *Detector) clearKey(k rules.Key, r record) {
	for _, n := range d.perKey[k] {
		if c := &d.counters[n]; c.sums != sumMembers {
			d.slabs.release(r[c.slot])
			r[c.slot] = 0
		}
	}
}

// deadKey says whether time has made the record of a key meaningless.
func (d *Detector) deadKey(k rules.Key, r record) bool {
	if r[kLast] > before(d.now, 60) || r[kPending] != 0 || max(r[kDelivered], r[kCredited]) > before(d.now, d.keyKeep) && d.keyKeep > 0 {
		return false
	}
	if k == rules.ByPrefix && (d.now < r[kProbation] || max(r[kUntil], r[kHold]) > before(d.now, max(d.longest, day)) ||
		remembered(d.now, r[kUntil], int(r[kOffences])) > 0) {
		return false
	}
	if r[kQuiet] != 0 && d.slabs.at(r[kQuiet])[0].sec > d.now {
		return false
	}
	for _, n := range d.perKey[k] {
		c := &d.counters[n]
		if h := r[c.slot]; h != 0 && d.slabs.at(h)[0].sec > c.cutoff(d.now, c.longest) {
			return false
		}
	}
	return true
}

// removeKey forgets a key.
func (d *Detector) removeKey(k rules.Key, id uint32) {
	s := &d.spaces[k]
	r := s.rec(id)
	for i := kLists; i < len(r); i++ {
		d.slabs.release(r[i])
	}
	d.slabs.release(r[kQuiet])
	if r[kPending] != 0 {
		d.pending--
	}
	if r[kFlags]&flagSaved != 0 {
		s.gone = append(s.gone, uint64(r.key()))
	}
	if int(id>>6) < len(s.dirty) {
		s.dirty[id>>6] &^= 1 << (id & 63)
	}
	s.delete(id)
}

// sweepKeys looks at one key of a kind and forgets it if time has made it meaningless.
func (d *Detector) sweepKeys(k rules.Key) {
	s := &d.spaces[k]
	if s.high == 0 {
		return
	}
	if s.hand++; s.hand > s.high {
		s.hand = 1
	}
	if r := s.rec(s.hand); r.key() != 0 && d.deadKey(k, r) {
		d.removeKey(k, s.hand)
		d.stats.Reclaimed++
	}
}

// evictKey forgets the least counted of a sample of keys: never one that is blocked, that a delivery or credit speaks
// for, or for which some rule has reached its threshold. It reports false when the sample holds no other.
func (d *Detector) evictKey(k rules.Key) bool {
	s := &d.spaces[k]
	best, bestCount, bestLast := uint32(0), 0, uint32(0)
	for range evictSample {
		id := d.chance(s.high)
		r := s.rec(id)
		if r.key() == 0 {
			continue
		}
		if d.deadKey(k, r) {
			d.removeKey(k, id)
			d.stats.Reclaimed++
			return true
		}
		n, kept := d.keyWeight(k, r)
		if !kept && (best == 0 || n < bestCount || n == bestCount && r[kLast] < bestLast) {
			best, bestCount, bestLast = id, n, r[kLast]
		}
	}
	if best == 0 {
		return false
	}
	d.stats.KeysLost++
	d.removeKey(k, best)
	return true
}

// keyWeight returns what is counted for a key, and whether it must be kept.
func (d *Detector) keyWeight(k rules.Key, r record) (n int, kept bool) {
	if r[kPending] != 0 || d.now < max(r[kUntil], r[kHold], r[kProbation]) || max(r[kDelivered], r[kCredited]) > before(d.now, d.keyKeep) && d.keyKeep > 0 {
		return 0, true
	}
	for _, at := range d.perKey[k] {
		c := &d.counters[at]
		n += c.total(d.slabs.live(r[c.slot], c.cutoff(d.now, c.longest)))
	}
	for i := range d.rules {
		ru := &d.rules[i]
		if n == 0 {
			break
		}
		for j, of := range ru.keys {
			if of != k {
				continue
			}
			for m := range ru.conds {
				c := &ru.conds[m]
				ct := &d.counters[c.counted[j]]
				if ct.total(d.slabs.live(r[ct.slot], d.cutoff(ct, c.window))) >= int(c.base[0][0][0]) {
					return n, true
				}
			}
		}
	}
	return n, false
}

// bitsOf calls f for each bit of a word.
func bitsOf(w uint32, f func(n int) bool) {
	for ; w != 0; w &= w - 1 {
		if !f(bits.TrailingZeros32(w)) {
			return
		}
	}
}
