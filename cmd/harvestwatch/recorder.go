package main

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/internal/pipeline"
	"github.com/harvestwatch/harvestwatch/internal/tailer"
	"github.com/harvestwatch/harvestwatch/store"
)

// recorder is the daemon's sink: it gathers what follows from a batch and commits it in one transaction, the cursor
// included. It belongs to the loop's goroutine.
type recorder struct {
	d          *daemon
	records    []store.Record
	observed   int // events since the last commit
	deliveries map[countKey]int
	totals     map[totalKey]int64
	grace      int64 // events of blocked sources that came so soon that they were under way
	leaked     int64 // events of blocked sources after that: enforcement does not work
}

type countKey struct {
	source harvestwatch.Source
	day    int64
}

type totalKey struct {
	kind harvestwatch.Kind
	day  int64
}

func newRecorder(d *daemon) *recorder {
	j := &recorder{d: d, deliveries: map[countKey]int{}, totals: map[totalKey]int64{}}
	d.live.commit = j.commit
	return j
}

// Event implements pipeline.Sink.
func (j *recorder) Event(ev *harvestwatch.Event, out *harvestwatch.Outcome) {
	j.observed++
	if out.Future {
		j.d.stats.future++
		return
	}
	if out.Void {
		return
	}
	if out.Late {
		j.d.stats.late++
	}
	day := ev.Seconds() / 86400
	j.totals[totalKey{ev.Kind, day}]++
	if ev.Kind == harvestwatch.Delivered {
		if src, ok := harvestwatch.SourceOf(ev.Addr); ok {
			j.deliveries[countKey{src, day}]++
		}
		return // accepted before the block, most likely
	}
	if out.Blocked && j.d.enforcing() && j.d.p.now().Sub(ev.When()) < fresh {
		j.leak(ev, out)
	}
}

// fresh is how old an event may be to say anything of the firewall's present state: older ones are read when the daemon
// catches up with a log.
const fresh = 5 * time.Minute

// leak tells, once in a while, that a blocked source still gets through.
func (j *recorder) leak(ev *harvestwatch.Event, out *harvestwatch.Outcome) {
	if out.Grace {
		j.grace++
		return
	}
	j.leaked++
	if j.leaked&(j.leaked-1) == 0 { // the 1st, 2nd, 4th, 8th …
		j.d.log.Warn("a blocked source still reaches the server: is the log's host the one that blocks?",
			"source", ev.Addr.String(), "kind", ev.Kind.String(), "events so far", j.leaked)
	}
}

// Decision implements pipeline.Sink.
func (j *recorder) Decision(dec *harvestwatch.Decision) {
	r := store.Record{Decision: *dec, Evidence: j.d.evidence(&dec.Offence)}
	if dec.Action == harvestwatch.ActBlock {
		from := dec.Offence.Fired
		if now := j.d.p.now(); from.After(now) { // the log's clock runs ahead: the block holds at once all the same
			from = now
		}
		r.Block = &harvestwatch.Block{Prefix: dec.Offence.Source.Prefix(), From: from, Until: dec.Until,
			Rule: dec.Offence.Rule, Level: dec.Offence.Level, Reason: dec.Reason}
	}
	j.records = append(j.records, r)
	j.d.stats.decisions++
	j.d.log.Info("decision", "source", dec.Offence.Source.String(), "action", dec.Action.String(), "rule", dec.Offence.Rule,
		"guard", dec.Guard, "until", dec.Until.UTC().Format(time.RFC3339), "reason", dec.Reason)
}

// commitEvery is how many events may be observed before they are committed, while more are at hand.
const commitEvery = 2000

// Commit implements pipeline.Sink. While more is at hand, as when the daemon catches up, several batches are one
// transaction; nothing is waited for without a commit.
func (j *recorder) Commit(ctx context.Context, _ *pipeline.Batch) error {
	if j.observed < commitEvery && len(j.records) == 0 && j.d.live.more() {
		return nil
	}
	return j.commit(ctx)
}

// commit makes all that was observed final: one transaction, then a poke.
func (j *recorder) commit(ctx context.Context) error {
	batch := &store.Batch{Now: j.d.p.now(), Decisions: j.records}
	for _, in := range j.d.inputs {
		in.remember(batch)
	}
	j.d.timeline.Changes(func(key, value []byte) {
		batch.Parser = append(batch.Parser, store.State{Input: timelineInput, Key: clone(key), Value: clone(value)})
	})
	batch.Windows = j.d.changedWindows()
	for key, n := range j.deliveries {
		batch.Deliveries = append(batch.Deliveries, store.Count{Source: key.source, Day: store.Day(key.day), N: int64(n)})
	}
	for key, n := range j.totals {
		batch.Totals = append(batch.Totals, store.DayTotal{Day: store.Day(key.day), Kind: key.kind.String(), N: n})
	}
	j.d.files.refs.Fresh(func(n uint32, seg pipeline.Segment) {
		gen := j.d.files.byInput[seg.Input]
		batch.Segments = append(batch.Segments, store.Segment{Seg: n, Path: gen.path, File: encodeFile(gen.id),
			Start: seg.Index * pipeline.SegmentBytes})
	})
	// A kill signal must not tear a commit, so it runs to its end whatever ctx says.
	if err := j.d.st.Commit(context.WithoutCancel(ctx), batch); err != nil {
		return fmt.Errorf("%w: the daemon ends, so that nothing is counted twice; start it again when that is mended", err)
	}
	for i := range batch.Decisions {
		if block := batch.Decisions[i].Block; block != nil {
			j.d.want.add(*block)
			j.d.poke()
		}
	}
	j.records, j.observed = j.records[:0], 0
	clear(j.deliveries)
	clear(j.totals)
	return nil
}

// remember adds to a commit how far the input was parsed, and what of that was not observed yet.
func (in *liveInput) remember(batch *store.Batch) {
	if left := len(in.queue) - in.next; in.fresh || left != in.kept {
		if left > 0 || in.kept > 0 {
			batch.Parser = append(batch.Parser, store.State{Input: timelineInput, Key: append([]byte{queueKey}, in.cfg.Path...), Value: in.left()})
		}
		in.kept = left
	}
	if !in.fresh {
		return
	}
	in.fresh = false
	batch.Cursors = append(batch.Cursors, in.stored())
	if in.parser != nil {
		in.parser.Changes(func(key, value []byte) {
			batch.Parser = append(batch.Parser, store.State{Input: in.cfg.Path, Key: clone(key), Value: clone(value)})
		})
	}
}

// changedWindows returns what the detector remembers anew since the last commit.
func (d *daemon) changedWindows() []store.Window {
	var list []store.Window
	d.det.Changes(func(src harvestwatch.Source, value []byte) {
		list = append(list, store.Window{Source: src, Value: clone(value)})
	})
	return list
}

// clone copies bytes that are only borrowed; nil stays nil and empty stays empty, which the store tells apart.
func clone(b []byte) []byte {
	if b == nil {
		return nil
	}
	return append(make([]byte, 0, len(b)), b...)
}

// evidence reads the raw lines of an offence from the logs, which may have been rotated since. What can't be had any
// more is left out.
func (d *daemon) evidence(o *harvestwatch.Offence) []store.Line {
	var list []store.Line
	for _, ref := range o.Evidence[max(0, len(o.Evidence)-store.MaxEvidence):] {
		gen, offset, ok := d.files.window(ref)
		if !ok {
			continue
		}
		window, err := d.readAgain(gen, max(0, offset-1))
		if err != nil {
			d.log.Debug("evidence is gone", "log", gen.path, "offset", offset, "error", err)
			continue
		}
		parser := d.sample(gen.path)
		if parser == nil {
			continue
		}
		line, at, ok := pick(parser, window, offset == 0, o.Source)
		if !ok {
			continue
		}
		name := cmp.Or(gen.name, gen.path)
		if n := len(list); n > 0 && list[n-1].Offset == offset+at && list[n-1].Path == name {
			continue
		}
		list = append(list, store.Line{Path: name, Offset: offset + at, Time: lineTime(parser, line), Text: string(line)})
	}
	return list
}

// readAgain reads what evidence stands in.
func (d *daemon) readAgain(gen generation, offset int64) ([]byte, error) {
	if gen.id != (tailer.FileID{}) {
		return tailer.ReadAt(gen.path, gen.id, offset, windowBytes)
	}
	for _, in := range d.inputs {
		if in.cfg.Path == gen.path {
			if b := in.recent.window(offset, windowBytes); b != nil {
				return b, nil
			}
		}
	}
	return nil, tailer.ErrGone
}

var _ pipeline.Sink = (*recorder)(nil)
