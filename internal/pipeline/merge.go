package pipeline

import (
	"context"
	"errors"
	"io"

	"github.com/harvestwatch/harvestwatch"
)

// Merge gives the events of several streams in the order of their times; equal times in the order of the streams. A
// stream's own order is never changed: an event that was logged late takes the place of the latest one before it, and
// the detector's windows sort it out. So the same logs always give the same order, however their lines were read.
func Merge(sources ...Source) Source {
	if len(sources) == 1 {
		return sources[0]
	}
	m := &merged{}
	for _, s := range sources {
		m.heads = append(m.heads, &head{source: s})
	}
	return m
}

// head is a stream and the part of its current batch that was not handed out yet.
type head struct {
	source Source
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
	var first *head
	limit := int64(0) // the time of the second
	bounded, inclusive := false, false
	for _, h := range m.heads {
		ended, err := h.fill(ctx)
		if err != nil || ended != nil {
			return ended, err
		}
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
	if first == nil {
		return nil, io.EOF
	}
	return first.cut(limit, bounded, inclusive), nil
}

// time is the place in the merged order of the stream's next event.
func (h *head) time() int64 { return max(h.latest, h.batch.Events[h.next].Time) }

// fill sees to it that the stream has an event to hand out, or is done. A batch without events is handed out as it
// is, so that its counts and its end reach the sink.
func (h *head) fill(ctx context.Context) (*Batch, error) {
	if h.done || h.batch != nil {
		return nil, nil
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
