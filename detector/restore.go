package detector

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/rules"
)

// Errors of Restore.
var (
	ErrDamaged = errors.New("the saved state is damaged: start without it, the logs of the last day bring it back")
	ErrVersion = errors.New("the saved state has a version that this program does not know: use the program that wrote it, or start without the state")
	ErrKey     = errors.New("the saved state was made with another key: give the key that is stored with it, or start without the state")
)

// Restore takes in a value that Changes yielded for a source, in place of what is known of that source. After all
// values, in any order, the detector behaves as the one that was saved. The value is not kept. On an error, which wraps
// ErrDamaged, ErrVersion or ErrKey, the detector is as it was.
func (d *Detector) Restore(src harvestwatch.Source, value []byte) error {
	body, err := open(src, value)
	if err == nil {
		if src == 0 {
			err = d.restoreGlobal(&reader{b: body})
		} else {
			err = d.restoreSource(src, &reader{b: body})
		}
	}
	if err != nil {
		return fmt.Errorf("restore the state of %s: %w", name(src), err)
	}
	return nil
}

func name(src harvestwatch.Source) string {
	if src == 0 {
		return "the detector"
	}
	return src.String()
}

// open checks a value's frame and returns what is in it.
func open(src harvestwatch.Source, value []byte) ([]byte, error) {
	if len(value) < 6 {
		return nil, ErrDamaged
	}
	body, sum := value[:len(value)-4], binary.LittleEndian.Uint32(value[len(value)-4:])
	if crc32.ChecksumIEEE(body) != sum {
		return nil, ErrDamaged
	}
	if body[0] != stateVersion {
		return nil, ErrVersion
	}
	if (src == 0) != (body[1] == kindGlobal) || src != 0 && body[1] != kindSource {
		return nil, ErrDamaged
	}
	return body[2:], nil
}

// reader reads numbers until there are no more; then it returns zeros and remembers that.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if len(r.b) < n {
		r.bad = true
		return make([]byte, n)
	}
	p := r.b[:n]
	r.b = r.b[n:]
	return p
}

func (r *reader) u8() byte    { return r.take(1)[0] }
func (r *reader) u16() uint32 { return uint32(binary.LittleEndian.Uint16(r.take(2))) }
func (r *reader) u32() uint32 { return binary.LittleEndian.Uint32(r.take(4)) }
func (r *reader) u64() uint64 { return binary.LittleEndian.Uint64(r.take(8)) }

// list reads entries. They must be in their order and have a time.
func (r *reader) list() []entry {
	n := int(r.u16())
	if n > chunkEntries || len(r.b) < n*entryBytes {
		r.bad = true
		return nil
	}
	list := make([]entry, n)
	for i := range list {
		list[i] = entry{r.u32(), r.u32(), r.u32()}
		if list[i].sec == 0 || i > 0 && list[i].sec > list[i-1].sec {
			r.bad = true
		}
	}
	return list
}

// ok says whether everything was read, and nothing is left.
func (r *reader) ok() bool { return !r.bad && len(r.b) == 0 }

func (d *Detector) restoreGlobal(r *reader) error {
	key, now := r.u32(), r.u32()
	var s Stats
	for _, x := range []*uint64{&s.Late, &s.Evicted, &s.Refused, &s.Reclaimed, &s.Offences} {
		*x = r.u64()
	}
	if !r.ok() {
		return ErrDamaged
	}
	if key != d.keyCheck() {
		return ErrKey
	}
	d.now, d.stats = now, s
	return nil
}

// saved is a source's state between reading and taking in.
type saved struct {
	flags       byte
	last        uint32
	rule        uint32
	near        [3]uint32
	side        side
	good, quiet []entry
	lists       []savedList
}

type savedList struct {
	id   uint32
	list []entry
}

func (d *Detector) restoreSource(src harvestwatch.Source, r *reader) error {
	var v saved
	v.flags, v.last = r.u8(), r.u32()
	if v.flags&hasStanding != 0 {
		v.rule = r.u32()
		v.near = [3]uint32{r.u16(), r.u16(), r.u16()}
	}
	if v.flags&hasSide != 0 {
		v.side = side{from: r.u32(), until: r.u32(), hold: r.u32(), probation: r.u32(), authOK: r.u32(), offences: uint16(r.u16()), delivered: r.u8() == 1}
		v.good, v.quiet = r.list(), r.list()
	}
	for range r.u8() {
		v.lists = append(v.lists, savedList{r.u32(), r.list()})
		if r.bad {
			break
		}
	}
	if !r.ok() || v.flags&^(hasStanding|hasSide) != 0 {
		return ErrDamaged
	}
	d.takeIn(src, &v)
	return nil
}

// takeIn puts a source's state in place of what is known of it.
func (d *Detector) takeIn(src harvestwatch.Source, v *saved) {
	id := d.record(src, d.table.find(src))
	if id == 0 {
		return
	}
	d.dirty[id>>6] &^= 1 << (id & 63)
	r := d.table.rec(id)
	d.empty(r)
	r[wSide] |= flagSaved
	r[wLast] = v.last
	if n := d.ruleByID(v.rule); v.flags&hasStanding != 0 && n >= 0 {
		r[wNear] = v.near[0] | v.near[1]<<16
		r[wNearRule] = min(v.near[2], rules.MaxGood) | uint32(n+1)<<16
	}
	if v.flags&hasSide != 0 {
		s := d.sideOf(r)
		*s = v.side
		s.good = d.slabs.keep(v.good, rules.MaxGood)
		quiet := v.quiet[:0]
		for _, e := range v.quiet {
			if n := d.ruleByID(e.hash); n >= 0 && len(quiet) < rules.MaxRules {
				quiet = append(quiet, entry{e.sec, uint32(n) + 1, e.ref})
			}
		}
		s.quiet = d.slabs.keep(quiet, rules.MaxRules)
	}
	for _, l := range v.lists {
		for i := range d.counters {
			if c := &d.counters[i]; c.id == l.id && r[wLists+i] == 0 {
				r[wLists+i] = d.slabs.keep(l.list, c.limit+c.users)
			}
		}
	}
}

// ruleByID returns the index of the rule with that name hash, or -1.
func (d *Detector) ruleByID(id uint32) int {
	for i := range d.rules {
		if d.rules[i].id == id {
			return i
		}
	}
	return -1
}

// keep puts a list into a block: at most limit entries of it, the latest.
func (s *slabs) keep(list []entry, limit int) uint32 {
	list = list[:min(len(list), limit)]
	if len(list) == 0 {
		return 0
	}
	k := 0
	for classSizes[k] < len(list) {
		k++
	}
	h := s.alloc(k)
	copy(s.at(h), list)
	return h
}
