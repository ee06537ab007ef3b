package detector

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"

	"github.com/harvestwatch/harvestwatch/rules"
)

// Saved state, version 2. All numbers are little-endian.
//
//	value   = version byte, kind byte, body, CRC-32 (IEEE) of all before it
//	global  = key check u32, now u32, told u32, flags byte, chance u64, late, evicted, refused, keys lost, reclaimed, offences u64
//	source  = flags byte, last u32, mail u32, suspect byte, [standing], [side], lists byte, list…
//	standing = rule u32, count u16, threshold, deliveries, base u16
//	side    = from, until, hold, probation, authOK u32, mails 3 u32, earlier, message, mass, cost, cost's end, shared, by u32,
//	          offences u16, delivered byte, deliveries, served, rules that rest
//	key     = last, delivered, credited, from, until, hold, probation, offences u32, rules that rest, pending byte, rule u32…,
//	          lists byte, list…
//	page    = (hash, day u32, 8 counts u16)…
//	list    = counter u32, entries;  entries = number u16, (second, hash, ref u32)…
//
// Counters and rules are named by a hash of what they count and of their name, so that what is known outlives a change
// of the rules as far as it still means something.
const (
	stateVersion = 2
	kindGlobal   = 'G'
	kindSource   = 'S'
	kindKey      = 'K'
	kindPage     = 'D'

	hasStanding = 1
	hasSide     = 2

	isSuspended = 1
	isTold      = 2
)

// The spaces of saved state. Those from 1 to 4 are the kinds of key: prefix, HELO name, sender domain, user.
const (
	spaceSources    uint8 = 0 // by source; key 0 is what belongs to none
	spaceDictionary uint8 = 5 // by page
	spaceRecipients uint8 = 6 // as the ledger of recipients has it
	spaceHours      uint8 = 7 // as the ledger of hours has it
)

// Changes yields what changed since the last call, in a form that Restore takes: each value in its space, under its key.
// Space 0 holds the sources, each under its number, and under key 0, yielded with every call, what belongs to none; the
// other spaces are for Restore alone to know, and are below 16. A nil value means that what the key stood for is
// forgotten. A value holds until yield returns. A key may be yielded twice, forgotten and then known anew: the later
// holds.
func (d *Detector) Changes(yield func(space uint8, key uint64, value []byte)) {
	for _, src := range d.gone {
		yield(spaceSources, uint64(src), nil)
	}
	d.gone = d.gone[:0]
	eachBit(d.dirty, func(id uint32) {
		r := d.table.rec(id)
		r[wSide] |= flagSaved
		d.value = seal(d.encode(begin(d.value, kindSource), r))
		yield(spaceSources, uint64(r.key()), d.value)
	})
	for k := range d.spaces {
		d.keyChanges(rules.Key(k), yield)
	}
	eachBit(d.dict.dirty, func(page uint32) {
		d.value = seal(d.dict.encode(begin(d.value, kindPage), int(page)))
		yield(spaceDictionary, uint64(page), d.value)
	})
	d.recipients.Changes(func(key uint64, value []byte) { yield(spaceRecipients, key, value) })
	d.hours.Changes(func(key uint64, value []byte) { yield(spaceHours, key, value) })
	d.value = seal(d.encodeGlobal(begin(d.value, kindGlobal)))
	yield(spaceSources, 0, d.value)
}

func (d *Detector) keyChanges(k rules.Key, yield func(uint8, uint64, []byte)) {
	s := &d.spaces[k]
	for _, key := range s.gone {
		yield(uint8(k), key, nil)
	}
	s.gone = s.gone[:0]
	eachBit(s.dirty, func(id uint32) {
		r := s.rec(id)
		r[kFlags] |= flagSaved
		d.value = seal(d.encodeKey(begin(d.value, kindKey), k, r))
		yield(uint8(k), uint64(r.key()), d.value)
	})
}

// eachBit calls f for each bit that is set, and clears them.
func eachBit(list []uint64, f func(n uint32)) {
	for i, w := range list {
		for ; w != 0; w &= w - 1 {
			f(uint32(i)<<6 + uint32(bits.TrailingZeros64(w)))
		}
		list[i] = 0
	}
}

func begin(b []byte, kind byte) []byte { return append(b[:0], stateVersion, kind) }

func seal(b []byte) []byte { return put32(b, crc32.ChecksumIEEE(b)) }

func put32(b []byte, list ...uint32) []byte {
	for _, x := range list {
		b = binary.LittleEndian.AppendUint32(b, x)
	}
	return b
}

func put16(b []byte, list ...uint32) []byte {
	for _, x := range list {
		b = binary.LittleEndian.AppendUint16(b, uint16(x))
	}
	return b
}

func put64(b []byte, list ...uint64) []byte {
	for _, x := range list {
		b = binary.LittleEndian.AppendUint64(b, x)
	}
	return b
}

// keyCheck tells one key from another without telling the key.
func (d *Detector) keyCheck() uint32 {
	return uint32(d.hash.sum([]byte("harvestwatch detector state")))
}

func (d *Detector) encodeGlobal(b []byte) []byte {
	flags := byte(0)
	if d.suspended {
		flags |= isSuspended
	}
	if d.told {
		flags |= isTold
	}
	b = append(put32(b, d.keyCheck(), d.now, d.toldAt), flags)
	s := &d.stats
	return put64(b, d.rng, s.Late, s.Evicted, s.Refused, s.KeysLost, s.Reclaimed, s.Offences)
}

func (d *Detector) encode(b []byte, r record) []byte {
	flags := byte(0)
	near := r.nearest()
	if near.rule >= 0 {
		flags |= hasStanding
	}
	if r.side() != 0 {
		flags |= hasSide
	}
	b = append(put32(append(b, flags), r[wLast], r[wMail]), byte(r[wSide]&suspectMask>>suspectShift))
	if flags&hasStanding != 0 {
		b = put32(b, d.rules[near.rule].id)
		b = put16(b, uint32(near.got), uint32(near.need), uint32(near.good), uint32(near.base))
	}
	s := d.sideAt(r)
	if s != nil {
		b = d.encodeSide(b, s)
	}
	at := len(b)
	b = append(b, 0)
	for _, n := range d.ofSource {
		c := &d.counters[n]
		b = d.encodeList(b, at, c.id, d.slabs.live(d.handle(r, c), c.cutoff(d.now, c.longest)))
	}
	return d.encodeList(b, at, exemptID, d.slabs.live(d.exemptOf(s), before(d.now, d.exempt.longest)))
}

// exemptID names the list of exempt events.
const exemptID = 1

// encodeList appends a list that is not empty, and counts it in the byte at a place.
func (d *Detector) encodeList(b []byte, at int, id uint32, list []entry) []byte {
	if len(list) == 0 {
		return b
	}
	b = putList(put32(b, id), list)
	b[at]++
	return b
}

func (d *Detector) encodeSide(b []byte, s *side) []byte {
	by := uint32(0)
	if s.by > 0 {
		by = d.rules[s.by-1].id
	}
	b = put32(b, s.from, s.until, s.hold, s.probation, s.authOK, s.mails[0], s.mails[1], s.mails[2], s.earlier, s.message, s.mass, s.cost, s.costUntil,
		s.shared, by)
	b = put16(b, uint32(s.offences))
	delivered := byte(0)
	if s.delivered {
		delivered = 1
	}
	b = append(b, delivered)
	b = putList(b, d.slabs.live(s.good, before(d.now, d.good.longest)))
	b = putList(b, d.slabs.live(s.served, before(d.now, day)))
	return d.encodeQuiet(b, s.quiet)
}

// encodeQuiet appends rules that rest. The reference of an entry says whether it only keeps an offence from being told.
func (d *Detector) encodeQuiet(b []byte, h uint32) []byte {
	quiet := d.slabs.live(h, d.now)
	b = put16(b, uint32(len(quiet)))
	for _, e := range quiet {
		rule := e.hash - 1
		told := rule / guardMark
		b = put32(b, e.sec, d.rules[rule%guardMark].id, told)
	}
	return b
}

func (d *Detector) encodeKey(b []byte, k rules.Key, r record) []byte {
	b = put32(b, r[kLast], r[kDelivered], r[kCredited], r[kFrom], r[kUntil], r[kHold], r[kProbation], r[kOffences])
	b = d.encodeQuiet(b, r[kQuiet])
	at := len(b)
	b = append(b, 0)
	bitsOf(r[kPending], func(n int) bool {
		b = put32(b, d.rules[n].id)
		b[at]++
		return true
	})
	at = len(b)
	b = append(b, 0)
	for _, n := range d.perKey[k] {
		c := &d.counters[n]
		b = d.encodeList(b, at, c.id, d.slabs.live(r[c.slot], c.cutoff(d.now, c.longest)))
	}
	return b
}

func (w *dictionary) encode(b []byte, page int) []byte {
	for _, x := range w.words[page*wordPage : min((page+1)*wordPage, len(w.words))] {
		b = put32(b, x.hash, x.day)
		for _, n := range x.counts {
			b = put16(b, uint32(n))
		}
	}
	return b
}

func putList(b []byte, list []entry) []byte {
	b = put16(b, uint32(len(list)))
	for _, e := range list {
		b = put32(b, e.sec, e.hash, e.ref)
	}
	return b
}
