package report

import (
	"bytes"
	"hash/maphash"

	"github.com/harvestwatch/harvestwatch"
)

// maxText is how many bytes of a text are kept to be shown. Texts that differ later only are still told apart.
const maxText = 64

// texts gives texts numbers, from 1, and keeps the beginning of each. It holds no pointers but those to its four slices:
// about 24 bytes and the text for each. Texts are told apart by a seeded hash of 64 bits.
type texts struct {
	seed   maphash.Seed
	index  []uint32 // numbers, by hash, with open addressing; a power of four long, and less than three quarters full
	hashes []uint64 // by number less 1
	ends   []uint32 // where the text ends in kept; it begins where the one before ends
	kept   []byte
}

// number returns the number of a text, 0 for the empty one.
func (t *texts) number(text []byte) uint32 {
	if len(text) == 0 {
		return 0
	}
	return t.place(maphash.Bytes(t.seed, text), text)
}

// place returns the number of the text with that hash.
func (t *texts) place(hash uint64, text []byte) uint32 {
	if 4*len(t.hashes) >= 3*len(t.index) {
		t.grow()
	}
	mask := uint64(len(t.index) - 1)
	i := hash & mask
	for ; t.index[i] != 0; i = (i + 1) & mask {
		if n := t.index[i]; t.hashes[n-1] == hash {
			return n
		}
	}
	t.hashes = append(t.hashes, hash)
	t.kept = append(t.kept, text[:min(len(text), maxText)]...)
	t.ends = append(t.ends, uint32(len(t.kept)))
	t.index[i] = uint32(len(t.hashes))
	return t.index[i]
}

func (t *texts) grow() {
	t.index = make([]uint32, max(1024, 4*len(t.index)))
	mask := uint64(len(t.index) - 1)
	for n, hash := range t.hashes {
		i := hash & mask
		for t.index[i] != 0 {
			i = (i + 1) & mask
		}
		t.index[i] = uint32(n + 1)
	}
}

// clear forgets all texts, and keeps the room.
func (t *texts) clear() {
	clear(t.index)
	t.hashes, t.ends, t.kept = t.hashes[:0], t.ends[:0], t.kept[:0]
}

// text returns the beginning of the text with that number; it must not be changed.
func (t *texts) text(n uint32) []byte {
	from := uint32(0)
	if n > 1 {
		from = t.ends[n-2]
	}
	return t.kept[from:t.ends[n-1]]
}

// hash returns the hash of a text of t, whose number need not exist.
func (t *texts) hash(text []byte) uint64 { return maphash.Bytes(t.seed, text) }

// appendHelo appends a HELO name in its normal form: lower case, each run of digits as one 0, no dot at its end. Of an
// address, which every client has its own of, and of a name without a letter nothing is appended.
func appendHelo(to, name []byte) []byte {
	if len(name) == 0 || name[0] == '[' {
		return to
	}
	from, letters, digit := len(to), false, false
	to = append(to, name...)
	form := to[from:]
	n := 0
	for _, b := range form {
		switch {
		case b-'0' < 10:
			if digit {
				continue
			}
			digit, b = true, '0'
		case b == ':':
			return to[:from]
		default:
			if b-'A' < 26 {
				b += 'a' - 'A'
			}
			letters, digit = letters || b-'a' < 26 || b >= 0x80, false
		}
		form[n] = b
		n++
	}
	if !letters {
		return to[:from]
	}
	return trimDot(to[:from+n], from)
}

// appendDomain appends the domain of an address in lower case, without a dot at its end; nothing where it has none.
func appendDomain(to, address []byte) []byte {
	at := bytes.LastIndexByte(address, '@')
	if at < 0 {
		return to
	}
	from := len(to)
	return trimDot(appendLower(to, address[at+1:]), from)
}

// appendRecipient appends an address in lower case, without the tag that a plus sign begins.
func appendRecipient(to, address []byte) []byte {
	at := bytes.LastIndexByte(address, '@')
	if plus := bytes.IndexByte(address[:max(at, 0)], '+'); plus > 0 {
		return appendLower(appendLower(to, address[:plus]), address[at:])
	}
	return appendLower(to, address)
}

func appendLower(to, text []byte) []byte {
	from := len(to)
	to = append(to, text...)
	for i, b := range to[from:] {
		if b-'A' < 26 {
			to[from+i] = b + 'a' - 'A'
		}
	}
	return to
}

func trimDot(to []byte, from int) []byte {
	if len(to) > from && to[len(to)-1] == '.' {
		return to[:len(to)-1]
	}
	return to
}

// senderDomain appends the domain of an event's sender; nothing for the null sender and where the log names none.
func senderDomain(to []byte, ev *harvestwatch.Event) []byte {
	if ev.Null {
		return to
	}
	return appendDomain(to, ev.Sender)
}

// seenSet remembers hashes in 256 KiB, however many: a Bloom filter with four bits for each. What was added is always
// found; of what was not, one in 30,000 is found with 50,000 added, one in a hundred with 200,000.
type seenSet struct {
	bits []uint64
	set  int // bits that are set
}

const seenBits = 1 << 21

func (s *seenSet) add(hash uint64) {
	if s.bits == nil {
		s.bits = make([]uint64, seenBits/64)
	}
	for range 4 {
		w, bit := hash%seenBits/64, uint64(1)<<(hash%64)
		if s.bits[w]&bit == 0 {
			s.bits[w] |= bit
			s.set++
		}
		hash = again(hash)
	}
}

func (s *seenSet) has(hash uint64) bool {
	if s.bits == nil {
		return false
	}
	for range 4 {
		if s.bits[hash%seenBits/64]&(1<<(hash%64)) == 0 {
			return false
		}
		hash = again(hash)
	}
	return true
}

// full reports that half of the bits are set: one in sixteen that were never added are found, and soon more.
func (s *seenSet) full() bool { return s.set > seenBits/2 }

// again returns another hash that follows from the first (the finalizer of splitmix64).
func again(h uint64) uint64 {
	h += 0x9e3779b97f4a7c15
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
