package detector

import "github.com/harvestwatch/harvestwatch"

// A record is what is kept of one source: these words, of which the last are lists of counters. Records lie in chunks
// that never move, and hold no pointer.
type record []uint32

const (
	wKeyLow   = iota // the source; 0: the record is free
	wKeyHigh         //
	wLast            // the latest counted second; in a free record the next free one
	wSide            // the side record's number; above it the day on which it was a suspect, and a flag
	wNear            // standing: what was counted, and in the upper half the threshold
	wNearRule        // standing: deliveries, the rule's index plus 1, and what would be asked of a source that nothing speaks for
	wMail            // the latest second of a MAIL command, as far as known
	wUntil           // the latest second at which a window still asks for an entry of its lists; before the present: none does
	wLists           // handles of lists
)

const (
	flagSaved    = 1 << 31 // Changes has told of this source
	sideMask     = 1<<24 - 1
	suspectShift = 24
	suspectMask  = 127 << suspectShift // the day of the latest suspicion, 1 to 127; 0: none
)

func (r record) key() harvestwatch.Source {
	return harvestwatch.Source(r[wKeyLow]) | harvestwatch.Source(r[wKeyHigh])<<32
}

func (r record) setKey(s harvestwatch.Source) { r[wKeyLow], r[wKeyHigh] = uint32(s), uint32(s>>32) }

func (r record) side() uint32 { return r[wSide] & sideMask }

const (
	recShift   = 12      // a chunk holds 1<<recShift records
	maxRecords = 1 << 24 // a record's number has 24 bits
	entryBytes = 12
)

// table finds records by source. Its index is cut into shards that grow one by one, so that no growth copies more than
// a small part of it. A slot holds a record's number and 8 bits of its source's hash; 0 is empty.
type table struct {
	hash   *hasher
	direct bool       // sources are hashes themselves
	stride int        // words of a record
	recs   [][]uint32 // chunks
	high   uint32     // the highest number ever used; numbers begin at 1
	free   uint32     // the first free record
	count  int        // records in use
	shards [256]shard
}

type shard struct {
	slots []uint32
	used  int
}

// rec returns a record by its number.
func (t *table) rec(id uint32) record {
	off := int(id&(1<<recShift-1)) * t.stride
	return t.recs[id>>recShift][off : off+t.stride : off+t.stride]
}

// bytes returns what is allocated.
func (t *table) bytes() int {
	n := len(t.recs) * t.stride * 4 << recShift
	for i := range t.shards {
		n += 4 * len(t.shards[i].slots)
	}
	return n
}

// place returns the hash by which a source's place is found.
func (t *table) place(src harvestwatch.Source) uint64 {
	if t.direct {
		return uint64(src)
	}
	return t.hash.source(src)
}

// find returns the number of a source's record, or 0.
func (t *table) find(src harvestwatch.Source) uint32 { return t.findAt(src, t.place(src)) }

// findAt is find for who has the hash already.
func (t *table) findAt(src harvestwatch.Source, h uint64) uint32 {
	s := &t.shards[h&255]
	if len(s.slots) == 0 {
		return 0
	}
	mask := uint64(len(s.slots) - 1)
	tag := uint32(h>>8) << 24
	for i := h >> 16 & mask; ; i = (i + 1) & mask {
		slot := s.slots[i]
		if slot == 0 {
			return 0
		}
		if slot&^sideMask == tag && t.rec(slot&sideMask).key() == src {
			return slot & sideMask
		}
	}
}

// peek reads where a search for a hash begins. Whoever reads it early, and does something else before the search, doesn't
// wait for the memory.
func (t *table) peek(h uint64) uint32 {
	s := &t.shards[h&255]
	if len(s.slots) == 0 {
		return 0
	}
	return s.slots[h>>16&uint64(len(s.slots)-1)]
}

// insert makes an empty record for a source that has none.
func (t *table) insert(src harvestwatch.Source) uint32 {
	id := t.free
	if id != 0 {
		t.free = t.rec(id)[wLast]
		clear(t.rec(id))
	} else {
		t.high++
		id = t.high
		if int(id>>recShift) == len(t.recs) {
			t.recs = append(t.recs, make([]uint32, t.stride<<recShift))
		}
	}
	t.rec(id).setKey(src)
	t.count++
	h := t.place(src)
	s := &t.shards[h&255]
	if s.used*5 >= len(s.slots)*4 {
		t.growShard(s)
	}
	s.place(h, id)
	s.used++
	return id
}

func (s *shard) place(h uint64, id uint32) {
	mask := uint64(len(s.slots) - 1)
	i := h >> 16 & mask
	for s.slots[i] != 0 {
		i = (i + 1) & mask
	}
	s.slots[i] = uint32(h>>8)<<24 | id
}

func (t *table) growShard(s *shard) {
	old := s.slots
	s.slots = make([]uint32, max(8, 2*len(old)))
	for _, slot := range old {
		if slot != 0 {
			s.place(t.place(t.rec(slot&sideMask).key()), slot&sideMask)
		}
	}
}

// delete takes a record out of the table. Its lists must have been given back.
func (t *table) delete(id uint32) {
	r := t.rec(id)
	h := t.place(r.key())
	s := &t.shards[h&255]
	mask := uint64(len(s.slots) - 1)
	i := h >> 16 & mask
	for s.slots[i]&sideMask != id {
		i = (i + 1) & mask
	}
	// Whoever stands after the hole and could stand in it moves up, so that searches still end at an empty slot.
	for j := (i + 1) & mask; s.slots[j] != 0; j = (j + 1) & mask {
		home := t.place(t.rec(s.slots[j]&sideMask).key()) >> 16 & mask
		if (j-home)&mask >= (j-i)&mask {
			s.slots[i] = s.slots[j]
			i = j
		}
	}
	s.slots[i] = 0
	s.used--
	t.count--
	clear(r)
	r[wLast] = t.free
	t.free = id
}
