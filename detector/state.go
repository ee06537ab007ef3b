package detector

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/harvestwatch/harvestwatch"
)

// Saved state, version 1. All numbers are little-endian.
//
//	value   = version byte, kind byte, body, CRC-32 (IEEE) of all before it
//	global  = key check u32, now u32, late, evicted, refused, reclaimed, offences u64
//	source  = flags byte, last u32, [standing], [side], lists byte, list…
//	standing = rule u32, count u16, threshold u16, deliveries u16
//	side    = from, until, hold, probation, authOK u32, offences u16, delivered byte, deliveries, rules that rest
//	list    = counter u32, entries;  entries = number u16, (second, hash, ref u32)…
//
// Counters and rules are named by a hash of what they count and of their name, so that what is known outlives a change
// of the rules as far as it still means something.
const (
	stateVersion = 1
	kindGlobal   = 'G'
	kindSource   = 'S'

	hasStanding = 1
	hasSide     = 2
)

// Changes yields, for each source whose state changed since the last call, the state in a form that Restore takes. A
// nil value means that the source is forgotten. The zero Source, yielded last, stands for what belongs to no source. A
// value holds until yield returns. A source may be yielded twice, forgotten and then known anew: the later holds.
func (d *Detector) Changes(yield func(src harvestwatch.Source, value []byte)) {
	for _, src := range d.gone {
		yield(src, nil)
	}
	d.gone = d.gone[:0]
	for i, w := range d.dirty {
		for bit := uint32(0); w != 0; bit, w = bit+1, w>>1 {
			if w&1 == 0 {
				continue
			}
			r := d.table.rec(uint32(i)<<6 + bit)
			r[wSide] |= flagSaved
			d.value = seal(d.encode(begin(d.value, kindSource), r))
			yield(r.key(), d.value)
		}
		d.dirty[i] = 0
	}
	d.value = seal(d.encodeGlobal(begin(d.value, kindGlobal)))
	yield(0, d.value)
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

// keyCheck tells one key from another without telling the key.
func (d *Detector) keyCheck() uint32 {
	return uint32(d.hash.sum([]byte("harvestwatch detector state")))
}

func (d *Detector) encodeGlobal(b []byte) []byte {
	b = put32(b, d.keyCheck(), d.now)
	s := &d.stats
	for _, x := range []uint64{s.Late, s.Evicted, s.Refused, s.Reclaimed, s.Offences} {
		b = binary.LittleEndian.AppendUint64(b, x)
	}
	return b
}

func (d *Detector) encode(b []byte, r record) []byte {
	flags := byte(0)
	if r[wNearRule]>>16 != 0 {
		flags |= hasStanding
	}
	if r.side() != 0 {
		flags |= hasSide
	}
	b = put32(append(b, flags), r[wLast])
	if flags&hasStanding != 0 {
		b = put32(b, d.rules[r[wNearRule]>>16-1].id)
		b = put16(b, r[wNear]&0xffff, r[wNear]>>16, r[wNearRule]&0xffff)
	}
	if flags&hasSide != 0 {
		b = d.encodeSide(b, d.sides.at(r.side()))
	}
	at := len(b)
	b = append(b, 0)
	for i := range d.counters {
		c := &d.counters[i]
		if list := d.slabs.live(r[wLists+i], c.cutoff(d.now, c.longest)); len(list) > 0 {
			b = putList(put32(b, c.id), list)
			b[at]++
		}
	}
	return b
}

func (d *Detector) encodeSide(b []byte, s *side) []byte {
	b = put32(b, s.from, s.until, s.hold, s.probation, s.authOK)
	b = put16(b, uint32(s.offences))
	delivered := byte(0)
	if s.delivered {
		delivered = 1
	}
	b = append(b, delivered)
	b = putList(b, d.slabs.live(s.good, before(d.now, d.good.longest)))
	quiet := d.slabs.live(s.quiet, d.now)
	b = put16(b, uint32(len(quiet)))
	for _, e := range quiet {
		b = put32(b, e.sec, d.rules[e.hash-1].id, e.ref)
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
