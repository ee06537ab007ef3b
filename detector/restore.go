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

// Restore takes in a value that Changes yielded for a key of a space, in place of what is known under it. After all
// values, in any order, the detector behaves as the one that was saved. The value is not kept. A value of a space that
// this program doesn't know is left alone. On an error, which wraps ErrDamaged, ErrVersion or ErrKey, or an error of
// package ledger, the detector is as it was.
func (d *Detector) Restore(space uint8, key uint64, value []byte) error {
	var err error
	switch {
	case space == spaceSources && key == 0:
		err = d.restoreBody(value, kindGlobal, d.restoreGlobal)
	case space == spaceSources:
		err = d.restoreBody(value, kindSource, func(r *reader) error { return d.restoreSource(harvestwatch.Source(key), r) })
	case int(space) < numKeys:
		err = d.restoreBody(value, kindKey, func(r *reader) error { return d.restoreKey(rules.Key(space), key, r) })
	case space == spaceDictionary:
		err = d.restoreBody(value, kindPage, func(r *reader) error { return d.dict.restore(key, r) })
	case space == spaceRecipients:
		err = d.recipients.Restore(key, value)
	case space == spaceHours:
		err = d.hours.Restore(key, value)
	}
	if err != nil {
		return fmt.Errorf("restore the state of %s: %w", name(space, key), err)
	}
	return nil
}

func name(space uint8, key uint64) string {
	switch {
	case space == spaceSources && key == 0:
		return "the detector"
	case space == spaceSources:
		return harvestwatch.Source(key).String()
	case int(space) < numKeys:
		return fmt.Sprintf("%s %016x", rules.Key(space), key)
	case space == spaceDictionary:
		return fmt.Sprintf("page %d of the dictionary", key)
	}
	return "the ledger of deliveries"
}

// restoreBody checks a value's frame and reads what is in it.
func (d *Detector) restoreBody(value []byte, kind byte, read func(*reader) error) error {
	body, err := open(value, kind)
	if err != nil {
		return err
	}
	return read(&reader{b: body})
}

// open checks a value's frame and returns what is in it.
func open(value []byte, kind byte) ([]byte, error) {
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
	if body[1] != kind {
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
	key, now, toldAt, flags := r.u32(), r.u32(), r.u32(), r.u8()
	var s Stats
	var rng uint64
	for _, x := range []*uint64{&rng, &s.Late, &s.Evicted, &s.Refused, &s.KeysLost, &s.Reclaimed, &s.Offences} {
		*x = r.u64()
	}
	if !r.ok() || rng == 0 {
		return ErrDamaged
	}
	if key != d.keyCheck() {
		return ErrKey
	}
	d.now, d.toldAt, d.suspended, d.told, d.rng, d.stats = now, toldAt, flags&isSuspended != 0, flags&isTold != 0, rng, s
	return nil
}

// saved is a source's state between reading and taking in.
type saved struct {
	flags               byte
	last, mail          uint32
	suspect             byte
	rule, by            uint32
	near                nearest
	side                side
	good, served, quiet []entry
	lists               []savedList
}

type savedList struct {
	id   uint32
	list []entry
}

// lists reads lists, each with what it counts.
func (r *reader) lists() []savedList {
	var out []savedList
	for range r.u8() {
		out = append(out, savedList{r.u32(), r.list()})
		if r.bad {
			break
		}
	}
	return out
}

func (d *Detector) restoreSource(src harvestwatch.Source, r *reader) error {
	var v saved
	v.flags, v.last, v.mail, v.suspect = r.u8(), r.u32(), r.u32(), r.u8()
	if v.flags&hasStanding != 0 {
		v.rule = r.u32()
		v.near = nearest{0, int(r.u16()), int(r.u16()), int(r.u16()), int(r.u16())}
	}
	if v.flags&hasSide != 0 {
		s := &v.side
		for _, x := range []*uint32{&s.from, &s.until, &s.hold, &s.probation, &s.authOK, &s.mails[0], &s.mails[1], &s.mails[2], &s.earlier, &s.message,
			&s.mass, &s.cost, &s.costUntil, &s.shared, &v.by} {
			*x = r.u32()
		}
		s.offences, s.delivered = uint16(r.u16()), r.u8() == 1
		v.good, v.served, v.quiet = r.list(), r.list(), r.list()
	}
	v.lists = r.lists()
	if !r.ok() || v.flags&^(hasStanding|hasSide) != 0 || v.suspect > 127 {
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
	r[wSide] |= flagSaved | uint32(v.suspect)<<suspectShift
	r[wLast], r[wMail] = v.last, v.mail
	if n := d.ruleByID(v.rule); v.flags&hasStanding != 0 && n >= 0 {
		v.near.rule = n
		r.setNearest(v.near)
	}
	if v.flags&hasSide != 0 {
		s := d.sideOf(r)
		*s = v.side
		s.by = uint8(d.ruleByID(v.by) + 1)
		s.good = d.slabs.keep(v.good, rules.MaxGood)
		s.served = d.slabs.keep(v.served, servedKept)
		s.quiet = d.keepQuiet(v.quiet)
		if s.cost > 0 {
			d.budget.Add(s.costUntil, s.cost)
		}
	}
	for _, l := range v.lists {
		d.takeList(r, l)
	}
	r[wUntil] = d.askedUntil(r)
}

// takeList puts a list of a source where it belongs, if anything still counts such a thing.
func (d *Detector) takeList(r record, l savedList) {
	if len(l.list) == 0 {
		return
	}
	if l.id == exemptID {
		for i := range l.list {
			l.list[i].hash %= uint32(reasons)
		}
		if block := d.extraOf(r); block[len(block)-1] == 0 {
			block[len(block)-1] = d.slabs.keep(l.list, exemptKept)
		}
		return
	}
	for _, n := range d.ofSource {
		if c := &d.counters[n]; c.id == l.id {
			if h := d.place(r, c); *h == 0 {
				*h = d.slabs.keep(l.list, c.limit+c.users)
			}
		}
	}
}

// keepQuiet puts a list of rules that rest into a block, those that the set still has.
func (d *Detector) keepQuiet(list []entry) uint32 {
	kept := list[:0]
	for _, e := range list {
		if n := d.ruleByID(e.hash); n >= 0 && len(kept) < d.quiet.limit {
			mark := uint32(n) + 1 + min(e.ref, 2)*guardMark
			kept = append(kept, entry{e.sec, mark, 0})
		}
	}
	return d.slabs.keep(kept, d.quiet.limit)
}

func (d *Detector) restoreKey(k rules.Key, key uint64, r *reader) error {
	var words [8]uint32
	for i := range words {
		words[i] = r.u32()
	}
	quiet := r.list()
	pending := uint32(0)
	for range r.u8() {
		if n := d.ruleByID(r.u32()); n >= 0 && d.rules[n].blocks {
			pending |= 1 << n
		}
	}
	lists := r.lists()
	if !r.ok() || key == 0 || k == rules.BySource {
		return ErrDamaged
	}
	s := &d.spaces[k]
	if id := s.find(harvestwatch.Source(key)); id != 0 {
		d.removeKey(k, id)
	}
	into := d.keyRecord(k, key, true)
	if into == nil {
		return nil
	}
	id := s.find(harvestwatch.Source(key))
	s.dirty[id>>6] &^= 1 << (id & 63)
	into[kFlags] = flagSaved
	for i, at := range [8]int{kLast, kDelivered, kCredited, kFrom, kUntil, kHold, kProbation, kOffences} {
		into[at] = words[i]
	}
	into[kQuiet], into[kPending] = d.keepQuiet(quiet), pending
	if pending != 0 {
		d.pending++
	}
	if k == rules.ByPrefix {
		d.prefixUntil = max(d.prefixUntil, into[kHold], into[kUntil])
	}
	for _, l := range lists {
		for _, n := range d.perKey[k] {
			if c := &d.counters[n]; c.id == l.id && into[c.slot] == 0 {
				into[c.slot] = d.slabs.keep(l.list, c.limit+c.users)
			}
		}
	}
	return nil
}

func (w *dictionary) restore(page uint64, r *reader) error {
	if page >= wordPages {
		return ErrDamaged
	}
	first := int(page) * wordPage
	list := make([]word, min(wordPage, wordSets*wordWays-first))
	for i := range list {
		x := &list[i]
		x.hash, x.day = r.u32(), r.u32()
		for j := range x.counts {
			x.counts[j] = uint16(r.u16())
		}
		if x.hash != 0 && int(uint64(x.hash)*wordSets>>32) != (first+i)/wordWays {
			r.bad = true
		}
	}
	if !r.ok() {
		return ErrDamaged
	}
	w.make()
	for i := range list {
		was := &w.words[first+i]
		if was.hash != 0 {
			w.used--
		}
		if *was = list[i]; was.hash != 0 {
			w.used++
			w.heat(was)
		}
	}
	w.dirty[page/64] &^= 1 << (page % 64)
	return nil
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
