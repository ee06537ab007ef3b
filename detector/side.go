package detector

// side is what few sources have: deliveries, offences, a block, a success. It holds no pointer.
type side struct {
	good      uint32 // list of deliveries: recipients
	quiet     uint32 // list of rules that are not evaluated, and until when
	from      uint32 // the second in which the latest block or would-be block began; 0: there was none
	until     uint32 // when it ends or ended
	hold      uint32 // events before this second are the same offence, or under the block: they are not counted
	probation uint32 // until then the source is on probation
	authOK    uint32 // the latest success; 0: none
	offences  uint16 // at the latest block's beginning, that one included
	delivered bool   // it delivered a message, once
	next      uint32 // in a free one: the next free one
}

const (
	day             = 24 * 3600
	probationFor    = day      // after a block's end
	forgiveEach     = 7 * day  // one offence is forgotten for so much time without another after the block's end
	forgiveAll      = 30 * day // then all are
	keepDeliverer   = 30 * day // so long a source that delivered keeps its standing
	sideShift       = 10
	sideBytes       = 36
	maxOffenceCount = 1<<16 - 1
)

// remembered returns how many offences count against the source.
func (s *side) remembered(now uint32) int {
	if now < s.until {
		return int(s.offences)
	}
	clean := now - s.until
	if clean >= forgiveAll {
		return 0
	}
	return max(int(s.offences)-int(clean/forgiveEach), 0)
}

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
