package main

import (
	"math"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/internal/pipeline"
	"github.com/harvestwatch/harvestwatch/parsers/memory"
)

// ready returns the next run of one input's events that no other input's event can belong before; nil where nobody has
// one, or where one must be waited for, for at most so long.
func (l *live) ready() (*pipeline.Batch, time.Duration) {
	first := l.first()
	if first == nil {
		return nil, 0
	}
	if first.next == len(first.queue) {
		return first.batch(), 0 // it said nothing of clients, or nothing more
	}
	until, wait := l.until(first)
	from := first.next
	for first.next < len(first.queue) && until.reaches(first) {
		first.clock = first.time()
		first.next++
	}
	if first.next == from {
		return nil, wait
	}
	b := first.batch()
	b.Events = first.queue[from:first.next]
	return b, 0
}

// first returns the input whose turn it is, nil where nobody has anything.
func (l *live) first() (first *liveInput) {
	for _, in := range l.d.inputs {
		switch {
		case in.next == len(in.queue) && in.done != nil:
			return in
		case in.next == len(in.queue):
		case first == nil || in.time() < first.time():
			first = in
		}
	}
	return first
}

// time is the place of the input's next event in the order of all: its own time, or that of a later one before it.
func (in *liveInput) time() int64 { return max(in.clock, in.queue[in.next].Time) }

// bound is up to which time, in the order of all, an input's events may be observed.
type bound struct {
	time   int64
	stream int // the input that the time comes from: of equal times those of the inputs before it go first
}

// reaches reports whether an input's next event lies within the bound.
func (b bound) reaches(in *liveInput) bool {
	t := in.time()
	return t < b.time || t == b.time && in.stream < b.stream
}

// until returns up to where an input's events may be observed. wait is how long that is for want of another input's
// events; 0 where nobody is waited for.
func (l *live) until(first *liveInput) (b bound, wait time.Duration) {
	b.time = math.MaxInt64
	now := l.d.p.now()
	for _, in := range l.d.inputs {
		at := bound{stream: in.stream}
		left := time.Duration(0)
		switch {
		case in == first:
			continue
		case in.next < len(in.queue):
			at.time = in.time()
		case in.behind && now.Sub(in.heard) < waitFor:
			at.time, at.stream, left = in.clock, -1, waitFor-now.Sub(in.heard)
		default:
			in.behind = false
			continue
		}
		if at.time < b.time || at.time == b.time && at.stream < b.stream {
			b, wait = at, left
		}
	}
	return b, wait
}

// batch returns a batch of the input, which gives its lines back when nothing of them is left to be observed. What was
// left from before the start borrows from nobody.
func (in *liveInput) batch() *pipeline.Batch {
	var free func()
	if in.next == len(in.queue) {
		free, in.done = in.done, nil
	}
	b := pipeline.NewBatch(free)
	b.Stream = in.stream
	b.End = harvestwatch.Pos{Input: in.lines.Pos.Input, Offset: in.lines.Pos.Offset + int64(len(in.lines.Data))}
	return b
}

// more reports whether there is something to be observed at once.
func (l *live) more() bool {
	first := l.first()
	if first == nil {
		return false
	}
	if first.next == len(first.queue) {
		return true
	}
	until, _ := l.until(first)
	return until.reaches(first)
}

// queueKey begins the key under which the store keeps events that were parsed and not observed, with the timeline; the
// input's path follows. No key of the timeline begins so.
const queueKey = 'q'

// left encodes the events that were parsed and not observed yet.
func (in *liveInput) left() []byte {
	var b []byte
	for i := range in.queue[in.next:] {
		b = pipeline.AppendEvent(b, &in.queue[in.next+i])
	}
	return b
}

// restoreQueue takes back what left encoded; false for foreign bytes.
func (in *liveInput) restoreQueue(value []byte) bool {
	r := memory.NewReader(value)
	for r.Rest() > 0 {
		in.queue = append(in.queue, pipeline.ReadEvent(r))
	}
	in.kept = len(in.queue)
	if !r.Done() {
		in.queue = nil
	}
	return r.Done()
}
