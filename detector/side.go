package detector

// side is what fewer sources have: deliveries, offences, a block, a success, and through extra the lists that do not lie
// in the record. It holds no pointer.
type side struct {
	good      uint32    // list of deliveries: recipients
	quiet     uint32    // list of rules that are not evaluated, and until when
	served    uint32    // list of blocks and would-be blocks of the last day: their ends, and in hash their beginnings
	extra     uint32    // the block of words that holds further lists
	from      uint32    // the second in which the latest block or would-be block began; 0: there was none
	until     uint32    // when it ends or ended
	hold      uint32    // events before this second are the same offence, or under the block: they are not counted
	probation uint32    // until then the source is on probation
	authOK    uint32    // the latest success; 0: none
	mails     [3]uint32 // seconds of the latest good messages, the latest first; 0: none
	earlier   uint32    // the latest good message of an earlier day than that of the latest; 0: none
	message   uint32    // a hash of the latest good message, so that its recipients are one message
	mass      uint32    // good messages, in thousandths, each halved for 30 days since; as of mails[0]
	cost      uint32    // what the latest block takes of the collateral budget
	costUntil uint32    // and until when
	shared    uint32    // when its recipients were last entered in the dictionary; 0: never
	offences  uint16    // at the latest block's beginning, that one included
	by        uint8     // the rule of the latest block, its index plus 1; 0: none
	delivered bool      // it delivered a message, once
	next      uint32    // in a free one: the next free one
}

const (
	day             = 24 * 3600
	probationFor    = day      // after a block's end
	forgiveEach     = 7 * day  // one offence is forgotten for so much time without another after the block's end
	forgiveAll      = 30 * day // then all are
	keepDeliverer   = 30 * day // so long a source that delivered keeps its standing, and its credit
	sideShift       = 10
	sideBytes       = 80
	maxOffenceCount = 1<<16 - 1
)

// remembered returns how many offences count against the source.
func (s *side) remembered(now uint32) int { return remembered(now, s.until, int(s.offences)) }

func remembered(now, until uint32, offences int) int {
	if now < until {
		return offences
	}
	clean := now - until
	if clean >= forgiveAll {
		return 0
	}
	return max(offences-int(clean/forgiveEach), 0)
}

// blank says whether a side record holds nothing.
func (s *side) blank() bool { return *s == side{} }

// sides owns the side records; numbers begin at 1.
type sides struct {
	chunks [][]side
	high   uint32
	free   uint32
}

func (s *sides) at(i uint32) *side { return &s.chunks[i>>sideShift][i&(1<<sideShift-1)] }

func (s *sides) alloc() uint32 {
	if i := s.free; i != 0 {
		s.free = s.at(i).next
		*s.at(i) = side{}
		return i
	}
	s.high++
	if int(s.high>>sideShift) == len(s.chunks) {
		s.chunks = append(s.chunks, make([]side, 1<<sideShift))
	}
	return s.high
}

func (s *sides) release(i uint32) {
	*s.at(i) = side{next: s.free}
	s.free = i
}

func (s *sides) bytes() int { return len(s.chunks) * sideBytes << sideShift }

// words owns blocks of equally many words, all lists' handles; numbers begin at 1. A block that is given back must be
// zero but for its first word, which then holds the next free one's number.
type words struct {
	stride int
	chunks [][]uint32
	high   uint32
	free   uint32
}

const wordShift = 10

func (w *words) at(i uint32) []uint32 {
	off := int(i&(1<<wordShift-1)) * w.stride
	return w.chunks[i>>wordShift][off : off+w.stride : off+w.stride]
}

func (w *words) alloc() uint32 {
	if i := w.free; i != 0 {
		w.free = w.at(i)[0]
		w.at(i)[0] = 0
		return i
	}
	w.high++
	if int(w.high>>wordShift) == len(w.chunks) {
		w.chunks = append(w.chunks, make([]uint32, w.stride<<wordShift))
	}
	return w.high
}

func (w *words) release(i uint32) {
	block := w.at(i)
	clear(block)
	block[0] = w.free
	w.free = i
}

func (w *words) bytes() int { return len(w.chunks) * w.stride * 4 << wordShift }
