package ledger

import "math/bits"

// spread is the odd number that a hash is multiplied by to become its key, and unspread its inverse modulo 2^64: keys
// lie evenly even where hashes don't, and no hash is lost.
const (
	spread   = 0x9e3779b97f4a7c15
	unspread = 0xf1de83e19937733d
)

// keyOf returns the key of a hash. Key 0 is a free slot, so that the hashes 0 and 1 are one.
func keyOf(hash uint64) uint64 {
	if hash == 0 {
		hash = 1
	}
	return hash * spread
}

func hashOf(key uint64) uint64 { return key * unspread }

// slot holds a recipient.
type slot struct {
	key     uint64 // 0: free
	last    uint32 // the second of the latest delivery; 0: none
	counted uint32 // the second of the latest refusal that counted for an outage; 0: none
}

const (
	imported = 1 << iota // a former user, from a list
	changed              // Changes has to tell
	saved                // Changes has told, or it was restored
)

const (
	slotBytes = 17  // a slot and its flags
	fewest    = 48  // slots of a set's first table
	tail      = 128 // slots behind the last home
)

// set is an open addressing table whose slots are in the order of their keys (Amble and Knuth, 1974): a key lies at its
// home or as near behind it as the smaller keys leave room. So neighbours by slot are neighbours by key, and a walk
// gives the same keys whatever the order in which they came in. It holds no pointer.
type set struct {
	slots []slot
	flags []uint8
	homes int // where keys may begin; the slots behind are for those that the last homes have no room for
	count int
	limit int
}

func (s *set) home(key uint64) int {
	n, _ := bits.Mul64(key, uint64(s.homes))
	return int(n)
}

// find returns where a key is, or where it belongs.
func (s *set) find(key uint64) (i int, ok bool) {
	if s.homes == 0 {
		return 0, false
	}
	for i = s.home(key); i < len(s.slots); i++ {
		if k := s.slots[i].key; k == 0 || k >= key {
			return i, k == key
		}
	}
	return i, false
}

// insert makes a slot for a key that isn't there, and returns it. There must be room.
func (s *set) insert(key uint64) int {
	if s.count*4 >= s.homes*3 {
		s.grow()
	}
	i, _ := s.find(key)
	free := i
	for free < len(s.slots) && s.slots[free].key != 0 {
		free++
	}
	if free == len(s.slots) {
		s.slots, s.flags = append(s.slots, slot{}), append(s.flags, 0)
	}
	copy(s.slots[i+1:free+1], s.slots[i:free])
	copy(s.flags[i+1:free+1], s.flags[i:free])
	s.slots[i], s.flags[i] = slot{key: key}, 0
	s.count++
	return i
}

// grow doubles the table, but makes it no larger than the limit needs.
func (s *set) grow() {
	homes := min(max(2*s.homes, fewest), s.limit+s.limit/3+2)
	if homes <= s.homes {
		return
	}
	slots, flags := s.slots, s.flags
	s.homes = homes
	s.slots, s.flags = make([]slot, homes+tail), make([]uint8, homes+tail)
	at := 0
	for i := range slots {
		if slots[i].key == 0 {
			continue
		}
		if at = max(at, s.home(slots[i].key)); at == len(s.slots) {
			s.slots, s.flags = append(s.slots, slot{}), append(s.flags, 0)
		}
		s.slots[at], s.flags[at] = slots[i], flags[i]
		at++
	}
}

// remove frees a slot and moves those behind it towards their homes.
func (s *set) remove(i int) {
	for next := i + 1; next < len(s.slots) && s.slots[next].key != 0 && s.home(s.slots[next].key) < next; next++ {
		s.slots[i], s.flags[i] = s.slots[next], s.flags[next]
		i = next
	}
	s.slots[i], s.flags[i] = slot{}, 0
	s.count--
}

// stale looks at the next keys after one, the first after the last, and returns the slot of the one that is not
// imported and whose latest delivery is the oldest and at a second up to the given one; of equals the nearest.
func (s *set) stale(key uint64, upTo uint32) (best int, ok bool) {
	i, _ := s.find(key)
	for seen, steps := 0, 0; seen < sample && steps < len(s.slots); i, steps = i+1, steps+1 {
		if i >= len(s.slots) {
			i = 0
		}
		if s.slots[i].key == 0 {
			continue
		}
		seen++
		if s.flags[i]&imported != 0 || s.slots[i].last > upTo {
			continue
		}
		if !ok || s.slots[i].last < s.slots[best].last {
			best, ok = i, true
		}
	}
	return best, ok
}

func (s *set) bytes() int { return cap(s.slots)*(slotBytes-1) + cap(s.flags) }
