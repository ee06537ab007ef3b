package detector

import "github.com/harvestwatch/harvestwatch/rules"

// entry is one counted thing: 12 bytes without a pointer.
type entry struct {
	sec  uint32 // when, seconds since 1970; 0: the place is empty
	hash uint32 // what: of a recipient, of a line that names none, of a user (0: none named); in buckets, how many
	ref  uint32 // the evidence (Event.Ref) of the latest event that the entry stands for
}

// A list holds entries, the latest first. It lies in a block of one of these sizes; the places after its end are empty
// or hold entries too old for every window.
var classSizes = [...]int{1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144}

// chunkEntries is how many entries are allocated at a time; the largest list is as long.
const chunkEntries = 4096

// A handle names a block: its class in the upper 5 bits, its number from 1 in the lower 27. 0 is no block.
const handleBits = 27

// slabs owns the blocks of all lists. Blocks that are given back are used again; memory is not returned.
type slabs struct {
	classes [len(classSizes)]class
	bytes   int // allocated
}

type class struct {
	chunks [][]entry
	shift  uint   // a chunk holds 1<<shift blocks
	used   uint32 // blocks ever handed out
	free   uint32 // number of the first block given back; each holds the next one's number
}

func newSlabs() slabs {
	var s slabs
	for i := range s.classes {
		for classSizes[i]<<(s.classes[i].shift+1) <= chunkEntries {
			s.classes[i].shift++
		}
	}
	return s
}

// at returns the block of a handle.
func (s *slabs) at(h uint32) []entry {
	k := h >> handleBits
	c := &s.classes[k]
	i := h&(1<<handleBits-1) - 1
	size := classSizes[k]
	off := int(i&(1<<c.shift-1)) * size
	return c.chunks[i>>c.shift][off : off+size : off+size]
}

// alloc returns an empty block of the class.
func (s *slabs) alloc(k int) uint32 {
	c := &s.classes[k]
	if c.free != 0 {
		h := uint32(k)<<handleBits | c.free
		block := s.at(h)
		c.free = block[0].hash
		block[0] = entry{}
		return h
	}
	if int(c.used)>>c.shift == len(c.chunks) {
		c.chunks = append(c.chunks, make([]entry, classSizes[k]<<c.shift))
		s.bytes += entryBytes * classSizes[k] << c.shift
	}
	c.used++
	return uint32(k)<<handleBits | c.used
}

// release gives a block back; 0 is none.
func (s *slabs) release(h uint32) {
	if h == 0 {
		return
	}
	block := s.at(h)
	clear(block)
	c := &s.classes[h>>handleBits]
	block[0].hash = c.free
	c.free = h & (1<<handleBits - 1)
}

// live returns the entries of a list that are later than the cutoff. No handle is an empty list.
func (s *slabs) live(h, cutoff uint32) []entry {
	if h == 0 {
		return nil
	}
	list := s.at(h)
	return list[:after(list, cutoff)]
}

// liveOf is live for a counter's list.
func (s *slabs) liveOf(h uint32, c *counter, cutoff uint32) []entry {
	if h == 0 {
		return nil
	}
	list := c.held(s.at(h))
	return list[:after(list, cutoff)]
}

// held returns the places of a counter's list that can hold entries.
func (c *counter) held(list []entry) []entry {
	if c.users == 0 && c.limit < len(list) {
		return list[:c.limit]
	}
	return list
}

// after returns how many entries are later than the cutoff: they come first.
func after(list []entry, cutoff uint32) int {
	n := len(list)
	if n == 0 || list[0].sec <= cutoff {
		return 0
	}
	if list[n-1].sec > cutoff {
		return n
	}
	last := 0 // one that is later; it is less than n before the first that isn't
	for n > 1 {
		half := n >> 1
		if list[last+half].sec > cutoff {
			last += half
		}
		n -= half
	}
	return last + 1
}

// put counts an entry in a list and returns the list's handle, which changes when the list grows, and whether the entry
// only repeated what the list held. What is not later than the cutoff is forgotten. The entry itself must be later.
func (s *slabs) put(h uint32, c *counter, e entry, cutoff uint32) (handle uint32, repeated bool) {
	if h == 0 {
		h = s.alloc(0)
		s.at(h)[0] = e
		return h, false
	}
	list := s.at(h)
	n := after(c.held(list), cutoff)
	if i := c.find(list[:n], e); i >= 0 {
		c.repeat(list, i, e)
		return h, true
	}
	at := after(list[:n], e.sec)
	if n == c.limit && c.users == 0 {
		if at == n {
			return h, false
		}
		n--
	}
	if n == len(list) {
		h, list = s.grow(h, list)
	}
	copy(list[at+1:n+1], list[at:n])
	list[at] = e
	if n++; c.users > 0 && n > c.limit+c.users {
		i := c.victim(list[:n])
		copy(list[i:n], list[i+1:n])
		list[n-1] = entry{}
	}
	return h, false
}

// drop takes the entry with a hash out of a list, and returns the list's handle: 0 when nothing later than the cutoff is
// left. ok is false where there is none such.
func (s *slabs) drop(h, hash, cutoff uint32) (handle uint32, ok bool) {
	list := s.live(h, cutoff)
	for i := range list {
		if list[i].hash != hash {
			continue
		}
		if len(list) == 1 {
			s.release(h)
			return 0, true
		}
		copy(list[i:], list[i+1:])
		list[len(list)-1] = entry{}
		return h, true
	}
	return h, false
}

// grow moves a full list into a block of the next class.
func (s *slabs) grow(h uint32, list []entry) (uint32, []entry) {
	bigger := s.alloc(int(h>>handleBits) + 1)
	block := s.at(bigger)
	copy(block, list)
	s.release(h)
	return bigger, block
}

// find returns where in the list an entry stands that e only repeats, or -1.
func (c *counter) find(list []entry, e entry) int {
	switch {
	case c.bucket > 0:
		for i := range list {
			if list[i].sec/c.bucket == e.sec/c.bucket {
				return i
			}
		}
	case c.mode == rules.Each:
	case c.mode != rules.UserMinute:
		for i := range list {
			if list[i].hash == e.hash {
				return i
			}
		}
	default: // all that name no user are one
		for i := range list {
			if list[i].hash == e.hash && list[i].sec/60 == e.sec/60 {
				return i
			}
		}
	}
	return -1
}

// repeat counts e in the entry that stands for it: a bucket counts on, anything else takes the later time.
func (c *counter) repeat(list []entry, i int, e entry) {
	if c.bucket > 0 {
		x := &list[i]
		x.sec, x.ref = min(x.sec, e.sec), e.ref
		if x.hash < 1<<31 {
			x.hash += e.hash
		}
		return
	}
	if e.sec < list[i].sec {
		return
	}
	at := after(list[:i], e.sec)
	copy(list[at+1:i+1], list[at:i])
	list[at] = e
}

// victim returns which entry of an overlong list nobody needs: neither one of the latest, nor the latest of one of the
// users seen last.
func (c *counter) victim(list []entry) int {
	var seen [rules.MaxUsers]uint32
	n := 0
	for i := range list {
		known := list[i].hash == 0 || contains(seen[:n], list[i].hash)
		if !known && n < c.users {
			seen[n] = list[i].hash
			n++
			continue
		}
		if i >= c.limit {
			return i
		}
	}
	return len(list) - 1
}

func contains(list []uint32, x uint32) bool {
	for _, y := range list {
		if x == y {
			return true
		}
	}
	return false
}

// users returns how many distinct named users a list has, at most limit.
func users(list []entry, limit int) int {
	var seen [rules.MaxUsers]uint32
	n := 0
	for i := range list {
		if n < limit && list[i].hash != 0 && !contains(seen[:n], list[i].hash) {
			seen[n] = list[i].hash
			n++
		}
	}
	return n
}

// total returns what the entries of a list amount to.
func (c *counter) total(list []entry) int {
	if c.bucket == 0 {
		return len(list)
	}
	n := 0
	for i := range list {
		n += int(list[i].hash)
	}
	return n
}
