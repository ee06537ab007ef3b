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
	limit, wait := l.limit(first)
	from := first.next
	for first.next < len(first.queue) && (first.time() < limit || first.time() == limit && wait == 0) {
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

// limit returns up to which time an input's events may be observed. wait is how long that is for want of another input's
// events, which then can still be of the limit's own time; 0 where they are known.
func (l *live) limit(first *liveInput) (limit int64, wait time.Duration) {
	limit = math.MaxInt64
	now := l.d.p.now()
	for _, in := range l.d.inputs {
		switch {
		case in == first:
		case in.next < len(in.queue):
			if t := in.time(); t < limit {
				limit, wait = t, 0
			}
		case in.behind && now.Sub(in.heard) < waitFor:
			if in.clock < limit {
				limit, wait = in.clock, waitFor-now.Sub(in.heard)
			}
		case in.behind:
			in.behind = false
		}
	}
	return limit, wait
}

// batch returns a batch of the input, which gives its lines back when nothing of them is left to be observed.
func (in *liveInput) batch() *pipeline.Batch {
	free := func() {}
	if in.next == len(in.queue) {
		free, in.done = in.done, nil
	}
	if free == nil { // what was left from before the start
		free = func() {}
	}
	b := pipeline.NewBatch(free)
	b.Stream = in.stream
	b.End = harvestwatch.Pos{Input: in.lines.Pos.Input, Offset: in.lines.Pos.Offset + int64(len(in.lines.Data))}
	return b
}

// more reports whether there is something to be observed at once.
func (l *live) more() bool {
	for _, in := range l.d.inputs {
		if in.next < len(in.queue) || in.done != nil {
			limit, wait := int64(math.MaxInt64), time.Duration(0)
			first := l.first()
			if first.next < len(first.queue) {
				limit, wait = l.limit(first)
			}
			return first.next == len(first.queue) || first.time() < limit || first.time() == limit && wait == 0
		}
	}
	return false
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
