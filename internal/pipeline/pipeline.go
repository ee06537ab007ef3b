// Package pipeline is the one loop of the program: a source of events, the detector, the judge, a sink. The daemon,
// the forensic scan and the tests differ in the source and in the sink that they hand to Run, and in nothing below.
//
// The package knows the nouns of the root package only; parsers, detector, rules and store come in through the small
// interfaces here. Run works in its caller's goroutine. Parse starts goroutines of its own for one stream: one reads
// it, several lex its chunks on several cores, and one folds them in their order, ahead of who asks for the events.
// Parsed.Close ends them.
package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/harvestwatch/harvestwatch"
)

// Source gives batches of events in the order in which they are to be observed.
type Source interface {
	// Next returns the next batch, or io.EOF when there are no more. It blocks until there is one or ctx ends, and
	// then returns the context's error. The batch belongs to the caller until it calls Release.
	Next(ctx context.Context) (*Batch, error)
}

// Batch is a run of events of one stream, with what must be remembered once they have been observed.
type Batch struct {
	Events []harvestwatch.Event // in order
	Counts harvestwatch.Counts  // of the lines that the events came from
	Stream int                  // which stream of the source the lines belong to
	End    harvestwatch.Pos     // the position just behind the batch's last line: where to resume
	free   func()
}

// NewBatch returns a batch whose Release calls free, which may be nil.
func NewBatch(free func()) *Batch { return &Batch{free: free} }

// Release gives the buffers that the events borrow back to their owner. The events must not be used afterwards.
func (b *Batch) Release() {
	if b.free != nil {
		b.free()
	}
}

// Detector turns events into offences. It is used from one goroutine.
type Detector interface {
	Observe(ev *harvestwatch.Event) harvestwatch.Outcome
	Settle(dec *harvestwatch.Decision)
}

// Judge decides what follows from an offence.
type Judge interface {
	Judge(o *harvestwatch.Offence) harvestwatch.Decision
}

// Sink takes what the loop found. All calls come from the loop's goroutine.
type Sink interface {
	// Event is called for every event after the detector has seen it. Neither pointer may be kept.
	Event(ev *harvestwatch.Event, out *harvestwatch.Outcome)
	// Decision is called for every decision, before Event is called for the event that caused it. The decision may be kept.
	Decision(dec *harvestwatch.Decision)
	// Notice is called when a guard of the whole site spoke up, before Event is called for the event at which it did. The
	// notice may be kept.
	Notice(n *harvestwatch.Notice)
	// Commit is called at the end of each batch. What it remembers makes the batch's consequences final, so it must
	// not return before they are. An error ends the loop.
	Commit(ctx context.Context, b *Batch) error
}

// Lane is one detector with its judge and its sink: one opinion of the events. Two rule sets that are to be compared are
// two lanes of one run.
type Lane struct {
	Detector Detector
	Judge    Judge
	Sink     Sink
	// Deny decides about an event of a source that is on the administrator's list of those to be blocked at sight; nil for
	// any other. It is asked for events of sources that are not blocked, and may be nil itself.
	Deny func(ev *harvestwatch.Event) *harvestwatch.Decision
}

// Engine is what Run puts between a source and the lanes.
type Engine struct {
	// Ceiling returns the latest event time, in nanoseconds since 1970, that is believed. An event beyond it (a bad
	// clock, local time taken for UTC) is handed to the sink, but never to the detector, whose clock it would push
	// ahead for good. nil believes all.
	Ceiling func() int64
	// Since and Until bound the events that are looked at, in nanoseconds since 1970; from Since and before Until,
	// 0 for no bound.
	Since, Until int64
	// Timeline brings what several streams tell together; nil where there is nothing to bring together.
	Timeline *Timeline
	// Missing reports that the site certainly has no such recipient, though a server accepted it; nil for servers that
	// are believed. A recipient that was accepted, or delivered to, and is missing is one that was refused.
	Missing func(recipient []byte) bool
	// Annotate adds to an event what others than the log say of the client (Event.Name, Event.Listed); nil for nothing.
	Annotate func(ev *harvestwatch.Event)
}

// Run shows every event of src to every lane, in the order of the lanes, until src ends (it returns nil), ctx ends or an
// error occurs.
func Run(ctx context.Context, src Source, e Engine, lanes ...Lane) error {
	for {
		b, err := src.Next(ctx)
		if errors.Is(err, io.EOF) {
			e.end(lanes)
			return nil
		}
		if err != nil {
			return err
		}
		e.observe(b, lanes)
		err = commit(ctx, b, lanes)
		b.Release()
		if err != nil {
			return fmt.Errorf("commit up to byte %d of stream %d: %w", b.End.Offset, b.Stream, err)
		}
	}
}

func commit(ctx context.Context, b *Batch, lanes []Lane) error {
	for i := range lanes {
		if err := lanes[i].Sink.Commit(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) observe(b *Batch, lanes []Lane) {
	ceiling := int64(0)
	if e.Ceiling != nil {
		ceiling = e.Ceiling()
	}
	tell := func(ev *harvestwatch.Event, twin bool) { e.event(ev, twin, ceiling, lanes) }
	for i := range b.Events {
		if e.Timeline == nil {
			tell(&b.Events[i], false)
		} else {
			e.Timeline.Place(&b.Events[i], b.Stream, tell)
		}
	}
}

// end tells what waited for a line that never came.
func (e *Engine) end(lanes []Lane) {
	if e.Timeline != nil {
		e.Timeline.Rest(func(ev *harvestwatch.Event, _ bool) { e.event(ev, false, 0, lanes) })
	}
}

// event shows an event to the lanes.
func (e *Engine) event(ev *harvestwatch.Event, twin bool, ceiling int64, lanes []Lane) {
	switch {
	case ev.Time < e.Since || e.Until != 0 && ev.Time >= e.Until:
		return
	case ceiling != 0 && ev.Time > ceiling:
		tell(ev, harvestwatch.Outcome{Future: true, Ignored: true}, lanes)
		return
	case twin:
		tell(ev, harvestwatch.Outcome{Void: true, Ignored: true}, lanes)
		return
	case !e.exists(ev):
		return
	}
	if e.Annotate != nil {
		e.Annotate(ev)
	}
	for i := range lanes {
		lanes[i].observe(ev)
	}
}

func tell(ev *harvestwatch.Event, out harvestwatch.Outcome, lanes []Lane) {
	for i := range lanes {
		lanes[i].Sink.Event(ev, &out)
	}
}

// observe shows an event to the detector, and what follows to the sink.
func (l *Lane) observe(ev *harvestwatch.Event) {
	out := l.Detector.Observe(ev)
	if out.Notice != nil {
		l.Sink.Notice(out.Notice)
	}
	switch {
	case out.Offence != nil:
		dec := l.Judge.Judge(out.Offence)
		l.Detector.Settle(&dec)
		l.Sink.Decision(&dec)
	case l.Deny != nil && !out.Blocked:
		if dec := l.Deny(ev); dec != nil {
			l.Detector.Settle(dec)
			l.Sink.Decision(dec)
		}
	}
	l.Sink.Event(ev, &out)
}

// exists turns mail for a recipient that is missing into a refusal. It reports false for a delivery that the log of the
// dialogue tells (it has the reply's code): its acceptance was turned into the refusal already.
func (e *Engine) exists(ev *harvestwatch.Event) bool {
	accepted := ev.Kind == harvestwatch.RcptOK || ev.Kind == harvestwatch.Delivered
	if e.Missing == nil || !accepted || !e.Missing(ev.Recipient) {
		return true
	}
	if ev.Kind == harvestwatch.Delivered && ev.Code != 0 {
		return false
	}
	ev.Kind, ev.Code, ev.Status = harvestwatch.RcptUnknown, 0, harvestwatch.Enhanced{} // no server refused it
	return true
}
