package pipeline

import (
	"context"
	"errors"
	"io"

	"github.com/harvestwatch/harvestwatch"
)

// Stream is a source that begins at a known time, for Merge.
type Stream struct {
	Starts int64         // no event lies before it, in nanoseconds since 1970; one that does is told a little late
	Open   func() Source // called once, when the merge has come to Starts: what is read later need not be open yet
}

// Merge gives the events of several streams in the order of their times; equal times in the order of the streams. A
// stream's own order is never changed: an event that was logged late takes the place of the latest one before it, and
// the detector's windows sort it out. So the same logs always give the same order, however their lines were read.
func Merge(streams ...Stream) Source {
	if len(streams) == 1 {
		return streams[0].Open()
	}
	m := &merged{}
	for i := range streams {
		m.heads = append(m.heads, &head{stream: &streams[i], latest: streams[i].Starts})
	}
	return m
}

// head is a stream and the part of its current batch that was not handed out yet.
type head struct {
	stream *Stream
	source Source // nil until the stream is opened
	batch  *Batch
	next   int   // index of the first event of batch that was not handed out
	latest int64 // latest time handed out: the stream's clock
	done   bool
}

type merged struct {
	heads []*head
}

// Next hands out the longest run of one stream's events that no other stream's event belongs into.
func (m *merged) Next(ctx context.Context) (*Batch, error) {
	for {
		first, limit, bounded, inclusive := m.order()
		if first == nil {
			return nil, io.EOF
		}
		if first.batch != nil {
			return first.cut(limit, bounded, inclusive), nil
		}
		if empty, err := first.fill(ctx); err != nil || empty != nil {
			return empty, err
		}
	}
}

// order returns the stream whose turn it is, and up to which time: bounded says whether there is another one, and
// inclusive whether it comes later in the order of the streams, so that events of that very time still go first.
func (m *merged) order() (first *head, limit int64, bounded, inclusive bool) {
	for _, h := range m.heads {
		if h.done {
			continue
		}
		switch t := h.time(); {
		case first == nil:
			first = h
		case t < first.time():
			limit, bounded, inclusive = first.time(), true, false
			first = h
		case !bounded || t < limit:
			limit, bounded, inclusive = t, true, true
		}
	}
	return first, limit, bounded, inclusive
}

// time is the place in the merged order of the stream's next event, or the earliest that it can have.
func (h *head) time() int64 {
	if h.batch == nil {
		return h.latest
	}
	return max(h.latest, h.batch.Events[h.next].Time)
}

// fill gets the stream's next batch. One without events is handed out as it is, so that its counts and its end reach
// the sink.
func (h *head) fill(ctx context.Context) (*Batch, error) {
	if h.source == nil {
		h.source = h.stream.Open()
	}
	b, err := h.source.Next(ctx)
	if errors.Is(err, io.EOF) {
		h.done = true
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if len(b.Events) == 0 {
		return b, nil
	}
	h.batch, h.next = b, 0
	return nil, nil
}

// cut hands out the events up to the limit. The last part of a batch carries its counts, its end and its buffers.
func (h *head) cut(limit int64, bounded, inclusive bool) *Batch {
	whole, from := h.batch, h.next
	for h.next < len(whole.Events) {
		if t := h.time(); bounded && (t > limit || t == limit && !inclusive) {
			break
		}
		h.latest = h.time()
		h.next++
	}
	part := NewBatch(nil)
	if h.next == len(whole.Events) {
		part = NewBatch(whole.Release)
		part.Counts, part.End = whole.Counts, whole.End
		h.batch = nil
	}
	part.Events, part.Stream = whole.Events[from:h.next], whole.Stream
	return part
}

var _ Source = (*merged)(nil)

// Slice is a source of events that are in memory already, in one batch.
func Slice(events []harvestwatch.Event) Source { return &slice{events: events} }

type slice struct {
	events []harvestwatch.Event
	given  bool
}

// Next implements Source.
func (s *slice) Next(context.Context) (*Batch, error) {
	if s.given {
		return nil, io.EOF
	}
	s.given = true
	b := NewBatch(nil)
	b.Events = s.events
	return b, nil
}
