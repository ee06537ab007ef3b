package pipeline

// Segment is a stretch of 64 MiB of one input.
type Segment struct {
	Input int32 // the input, as its owner numbers them
	Index int64 // which stretch: it begins at byte Index * SegmentBytes
}

// Sizes of the parts of an evidence reference: the upper 12 bits name a segment, the lower 20 a stretch of 64 bytes
// in it. The shortest line that can be evidence is longer, so a reference names one or two lines.
const (
	SegmentBytes = 1 << segmentShift
	RefBytes     = 1 << refShift // the stretch that a reference names, in bytes

	segmentShift = 26
	refShift     = 6
	segments     = 1 << (32 - (segmentShift - refShift))
)

// Refs gives the places of evidence numbers of 32 bits, so that the detector can keep one for each event that it
// counts. 4,096 segments are told apart, 256 GiB of logs; then the oldest number is given again, and what it meant
// is forgotten. The zero Refs is ready for use. Not safe for concurrent use.
type Refs struct {
	numbers map[Segment]uint32
	segs    []Segment // by number modulo segments
	next    uint32    // the number of the next new segment, counting on for ever
	last    Segment   // the segment of the last call, and its number
	lastNum uint32
	fresh   []uint32 // numbers given since the last call of Fresh
}

// Ref returns the reference of the line that begins at that byte of that input.
func (r *Refs) Ref(input int32, offset int64) uint32 {
	seg := Segment{input, offset >> segmentShift}
	if r.segs == nil || seg != r.last {
		r.last, r.lastNum = seg, r.number(seg)
	}
	return r.lastNum<<(segmentShift-refShift) | uint32(offset&(SegmentBytes-1)>>refShift)
}

func (r *Refs) number(seg Segment) uint32 {
	if n, ok := r.numbers[seg]; ok {
		return n
	}
	n := r.next % segments
	r.Set(n, seg)
	r.next++
	r.fresh = append(r.fresh, n)
	return n
}

// Set restores what a number means, as Fresh told it. Numbers given later continue after the highest that was set.
func (r *Refs) Set(n uint32, seg Segment) {
	if r.numbers == nil {
		r.numbers, r.segs = map[Segment]uint32{}, make([]Segment, segments)
		for i := range r.segs {
			r.segs[i].Input = -1
		}
	}
	n %= segments
	if old := r.segs[n]; old.Input >= 0 {
		delete(r.numbers, old)
	}
	r.segs[n], r.numbers[seg] = seg, n
}

// Continue makes the next new segment take the number after n: what was given last before a restart.
func (r *Refs) Continue(n uint32) { r.next = n + 1 }

// Fresh yields the numbers given since its last call, with what they mean: what must be kept to understand
// references after a restart.
func (r *Refs) Fresh(yield func(n uint32, seg Segment)) {
	for _, n := range r.fresh {
		yield(n, r.segs[n])
	}
	r.fresh = r.fresh[:0]
}

// Place returns the input and the byte at which the stretch of RefBytes begins that ref names: the line begins within
// it. It reports false when the number means nothing any more.
func (r *Refs) Place(ref uint32) (input int32, offset int64, ok bool) {
	if r.segs == nil {
		return 0, 0, false
	}
	seg := r.segs[ref>>(segmentShift-refShift)]
	offset = seg.Index<<segmentShift | int64(ref&(1<<(segmentShift-refShift)-1))<<refShift
	return seg.Input, offset, seg.Input >= 0
}
