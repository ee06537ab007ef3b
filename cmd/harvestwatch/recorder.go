package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/detector"
	"github.com/harvestwatch/harvestwatch/internal/pipeline"
	"github.com/harvestwatch/harvestwatch/internal/tailer"
	"github.com/harvestwatch/harvestwatch/store"
)

// recorder is the daemon's sink: it gathers what follows from a batch and commits it in one transaction, the cursor
// included. It belongs to the loop's goroutine.
type recorder struct {
	d          *daemon
	records    []store.Record
	notices    []noted
	observed   int // events since the last commit
	deliveries map[countKey]int
	totals     map[totalKey]int64
	grace      int64 // events of blocked sources that came so soon that they were under way
	leaked     int64 // events of blocked sources after that: enforcement does not work
}

// noted is a notice with the number of records before it.
type noted struct {
	notice *harvestwatch.Notice
	after  int
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
	if out.Suspect {
		j.d.suspect(ev)
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
		r.Block = &harvestwatch.Block{Prefix: dec.Offence.Target(), From: from, Until: dec.Until,
			Rule: dec.Offence.Rule, Level: dec.Offence.Level, Reason: dec.Reason}
	}
	j.records = append(j.records, r)
	j.askName(dec)
	j.d.stats.decisions++
	j.d.log.Info("decision", "source", dec.Offence.Source.String(), "action", dec.Action.String(), "rule", dec.Offence.Rule,
		"guard", dec.Guard, "until", dec.Until.UTC().Format(time.RFC3339), "reason", dec.Reason)
}

// askName has the DNS asked about a client that was blocked, or would have been, while his name was not known: it never was,
// or what was known of him has expired. What is learned then may let him go.
func (j *recorder) askName(dec *harvestwatch.Decision) {
	o := &dec.Offence
	blocks := dec.Action == harvestwatch.ActBlock || dec.Action == harvestwatch.ActObserve
	if j.d.asker != nil && j.d.cfg.DNS.Names && blocks && o.Name == "" && j.d.p.now().Sub(o.Fired) < fresh {
		j.d.asker.Ask(o.Addr)
	}
}

// Notice implements pipeline.Sink.
func (j *recorder) Notice(n *harvestwatch.Notice) {
	j.d.notices = append(j.d.notices[max(0, len(j.d.notices)-keepNotices+1):], n)
	j.notices = append(j.notices, noted{n, len(j.records)})
	j.d.log.Warn("a guard of the whole site spoke up", "guard", n.Guard, "until", n.Until.UTC().Format(time.RFC3339),
		"blocks taken back", len(n.Release), "reason", n.Reason)
}

// notice adds what a guard said to a commit, and takes back the blocks that it names, as far as they were decided before.
func (j *recorder) notice(batch *store.Batch, n *harvestwatch.Notice, after int) {
	batch.Audit = append(batch.Audit, store.Audit{Time: batch.Now, Who: guardName, What: n.Guard, Text: n.Reason})
	for _, src := range n.Release {
		batch.Ends = append(batch.Ends, store.End{Prefix: src.Prefix(), At: batch.Now, After: after})
		batch.Audit = append(batch.Audit, store.Audit{Time: batch.Now, Who: guardName, What: auditUnblock, Text: src.Prefix().String()})
	}
}

// keepNotices is how many notices the status shows, and noticesFor for how long after a start those from before it.
const (
	keepNotices = 5
	noticesFor  = 24 * time.Hour
)

// resumeNotices reads what guards said before the daemon was started. How long they hold back stands in their words only.
func (d *daemon) resumeNotices(ctx context.Context) error {
	audit, err := d.st.AuditSince(ctx, d.p.now().Add(-noticesFor), 0)
	if err != nil {
		return err
	}
	for _, a := range audit { // the newest first
		own := a.What == auditUnblock || a.What == auditSpare || a.What == auditBlock || a.What == auditEnforce
		if a.Who == guardName && !own && len(d.notices) < keepNotices {
			d.notices = append(d.notices, &harvestwatch.Notice{Guard: a.What, At: a.Time, Reason: a.Text})
		}
	}
	slices.Reverse(d.notices)
	return nil
}

// guardName is who the audit says did what a guard did.
const guardName = "harvestwatch"

// commitEvery is how many events may be observed before they are committed, while more are at hand.
const commitEvery = 2000

// Commit implements pipeline.Sink. While more is at hand, as when the daemon catches up, several batches are one
// transaction; nothing is waited for without a commit.
func (j *recorder) Commit(ctx context.Context, _ *pipeline.Batch) error {
	if j.observed < commitEvery && len(j.records) == 0 && len(j.notices) == 0 && j.d.live.more() {
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
	j.d.changes(batch)
	for _, n := range j.notices {
		j.notice(batch, n.notice, n.after)
	}
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
	if len(batch.Ends) > 0 {
		j.d.want.forget()
		j.d.poke()
	}
	j.records, j.notices, j.observed = j.records[:0], j.notices[:0], 0
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

// changes adds to a commit what the detector remembers anew since the last one.
func (d *daemon) changes(batch *store.Batch) {
	batch.Windows, batch.Memory = append(batch.Windows, d.owed.Windows...), append(batch.Memory, d.owed.Memory...)
	d.owed = store.Batch{}
	d.det.Changes(func(space uint8, key uint64, value []byte) {
		if space == 0 {
			batch.Windows = append(batch.Windows, store.Window{Source: harvestwatch.Source(key), Value: clone(value)})
			return
		}
		batch.Memory = append(batch.Memory, store.Memory{Space: space, Key: key, Value: clone(value)})
	})
}

// loadDetector gives a detector back what was committed of it.
func loadDetector(ctx context.Context, st *store.Reader, det *detector.Detector) error {
	if err := st.LoadMemory(ctx, det.Restore); err != nil {
		return err
	}
	return st.LoadWindows(ctx, func(src harvestwatch.Source, value []byte) error { return det.Restore(0, uint64(src), value) })
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
	meant := whoseLines(o.Source, o.Prefix, o.Key != "")
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
		line, at, ok := pick(parser, window, offset == 0, meant)
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
