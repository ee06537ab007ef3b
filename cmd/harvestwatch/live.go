package main

import (
	"context"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/internal/pipeline"
	"github.com/harvestwatch/harvestwatch/internal/tailer"
	"github.com/harvestwatch/harvestwatch/parsers"
)

// liveInput is a log that the daemon follows. Everything but cfg belongs to the loop's goroutine.
type liveInput struct {
	cfg     InputConfig
	stream  int            // its number among the daemon's inputs
	format  string         // "" until it is known
	parser  parsers.Parser // nil until the format is known
	cursor  mark           // what the next commit remembers
	recent  recent         // the latest lines, where they stand in no file
	counts  harvestwatch.Counts
	last    time.Time // event time of the last event
	problem problem   // what hinders following, "" for nothing; safe for concurrent use
}

// live is the daemon's source of events: what the followed logs deliver, in the order in which it arrives, a chunk a
// batch. Between batches it runs what commands ask for, so that they see and change the state without locks.
type live struct {
	d        *daemon
	arrivals chan arrival
	asks     chan func()
	events   []harvestwatch.Event
}

// Next implements pipeline.Source.
func (l *live) Next(ctx context.Context) (*pipeline.Batch, error) {
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case f := <-l.asks:
			f()
		case a := <-l.arrivals:
			return l.batch(ctx, a), nil
		}
	}
}

// batch parses lines in the loop's goroutine: what a live log brings at a time is little.
func (l *live) batch(ctx context.Context, a arrival) *pipeline.Batch {
	in, lines := a.input, a.lines
	b := pipeline.NewBatch(a.free)
	b.Stream = in.stream
	in.cursor = a.next
	if a.file == (tailer.FileID{}) {
		in.recent.add(lines.Pos.Offset, lines.Data)
	}
	if in.parser == nil && !l.recognise(ctx, in, lines.Data) {
		b.Counts = harvestwatch.Counts{Lines: int64(a.count), Unparsed: int64(a.count)}
		in.counts.Add(b.Counts)
		return b
	}
	lines.Pos.Input = l.d.files.number(in.cfg.Path, a.file)
	in.parser.Lex(&lines)
	l.events = l.events[:0]
	b.Counts = in.parser.Fold(&lines, func(ev *harvestwatch.Event) {
		ev.Ref = l.d.files.refs.Ref(ev.Pos.Input, ev.Pos.Offset)
		l.events = append(l.events, *ev)
	}, nil)
	b.Events = l.events
	b.End = harvestwatch.Pos{Input: lines.Pos.Input, Offset: lines.Pos.Offset + int64(len(lines.Data))}
	in.counts.Add(b.Counts)
	if n := len(b.Events); n > 0 {
		in.last = b.Events[n-1].When()
	}
	return b
}

// recognise finds the format of an input from its lines and opens the parser.
func (l *live) recognise(ctx context.Context, in *liveInput, data []byte) bool {
	if in.format == "" {
		in.format, _ = parsers.Sniff(data)
	}
	if in.format == "" {
		return false
	}
	if err := l.d.openParser(ctx, in); err != nil {
		l.d.log.Error("a log can't be read", "log", in.cfg.Path, "error", err)
		in.problem.set(err.Error())
		return false
	}
	return true
}

// files numbers the generations of the followed logs, so that evidence can be found again.
type files struct {
	refs    pipeline.Refs
	byInput []generation
}

// generation is one file that a log's name has stood for.
type generation struct {
	path string
	id   tailer.FileID
}

// number returns the number of a generation, a new one for a new generation. A file that has grown since it was last
// seen is still the same: only the part of its head that is hashed was shorter then.
func (f *files) number(path string, id tailer.FileID) int32 {
	for n := len(f.byInput) - 1; n >= 0; n-- {
		g := &f.byInput[n]
		if g.path != path || g.id.Dev != id.Dev || g.id.Inode != id.Inode {
			continue
		}
		if id.HeadLen > g.id.HeadLen || id.HeadLen == g.id.HeadLen && id.Head == g.id.Head {
			g.id = id
			return int32(n)
		}
		break
	}
	f.byInput = append(f.byInput, generation{path, id})
	return int32(len(f.byInput) - 1)
}

// window returns the generation that a reference points into and where the stretch begins that it names.
func (f *files) window(ref uint32) (gen generation, offset int64, ok bool) {
	n, offset, ok := f.refs.Place(ref)
	if !ok || int(n) >= len(f.byInput) {
		return generation{}, 0, false
	}
	return f.byInput[n], offset, true
}
