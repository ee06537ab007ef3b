package main

import (
	"context"
	"errors"
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
	cursor  mark           // how far it was parsed: what the next commit remembers, with what of it wasn't observed yet
	recent  recent         // the latest lines, where they stand in no file
	counts  harvestwatch.Counts
	last    time.Time // event time of the last event
	problem problem   // what hinders following, "" for nothing; safe for concurrent use

	queue  []harvestwatch.Event // parsed events, in order; of one arrival, or from before the start
	next   int                  // index of the first that was not observed
	clock  int64                // latest time observed
	lines  harvestwatch.Lines   // of the arrival that the queue borrows from
	done   func()               // lets the follower go on; nil where the queue borrows from nobody
	behind bool                 // it has old events still to come, as far as is known
	heard  time.Time            // when it last delivered
	slow   time.Time            // since when it lags, zero while it doesn't
	slowAt time.Time            // its event time then
	fresh  bool                 // it was parsed further since the last commit
	kept   int                  // how many events that were not observed the last commit remembers
}

// errEnded says that something was not done because the daemon's loop has ended.
var errEnded = errors.New("the daemon is ending, so it was not done: its log says why; start it again")

// live is the daemon's source of events. What a log brings is observed at once, unless another one lags behind: then, as
// after a start, the logs are brought into the order of time, as a scan does. Between batches it runs what commands ask
// for, so that they see and change the state without locks.
type live struct {
	d        *daemon
	arrivals chan arrival
	asks     chan func()
	ended    chan struct{}                   // closed when the loop has ended: nothing is taken any more
	commit   func(ctx context.Context) error // commits what was observed
}

const (
	// lag is how old the latest event of an input may be before it is taken to be behind.
	lag = 2 * time.Minute
	// grace is how long an input that lags may take to show that it catches up: by telling what happened in at least twice
	// the time that it takes. One whose server's clock is slow never does, and nobody waits for it for ever.
	grace = 10 * time.Second
	// waitFor is how long others wait for an input that is behind and delivers nothing.
	waitFor = time.Second
)

// Next implements pipeline.Source.
func (l *live) Next(ctx context.Context) (*pipeline.Batch, error) {
	for {
		select { // now, while no event is on its way from a queue to the detector: a commit would lose it
		case f := <-l.asks:
			if err := l.run(ctx, f); err != nil {
				return nil, err
			}
		default:
		}
		b, wait := l.ready()
		if b != nil {
			return b, nil
		}
		if err := l.listen(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// listen takes what comes next: an arrival, or what a command asks for; nothing after wait, unless that is 0.
func (l *live) listen(ctx context.Context, wait time.Duration) error {
	var late <-chan time.Time
	if wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		late = t.C
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case f := <-l.asks:
		return l.run(ctx, f)
	case a := <-l.arrivals:
		l.take(ctx, a)
	case <-late:
	}
	return nil
}

// run runs what a command asks for, when all that was observed is committed. Where that fails the loop ends, which whoever
// asked is told by do.
func (l *live) run(ctx context.Context, f func()) error {
	if err := l.commit(ctx); err != nil {
		return err
	}
	f()
	return nil
}

// take parses an arrival in the loop's goroutine: what a live log brings at a time is little.
func (l *live) take(ctx context.Context, a arrival) {
	in := a.input
	in.cursor, in.fresh, in.heard = a.next, true, l.d.p.now()
	in.lines, in.queue, in.next = a.lines, append(in.queue[:0], in.queue[in.next:]...), 0 // what is left is from before the start
	in.done = func() { a.free(); close(a.taken) }
	if a.file == (tailer.FileID{}) {
		in.recent.add(in.lines.Pos.Offset, in.lines.Data)
	}
	if in.parser == nil && !l.recognise(ctx, in, in.lines.Data) {
		in.counts.Add(harvestwatch.Counts{Lines: int64(a.count), Unparsed: int64(a.count)})
		return
	}
	in.lines.Pos.Input = l.d.files.number(in.cfg.Path, a.path, a.file)
	in.parser.Lex(&in.lines)
	in.counts.Add(in.parser.Fold(&in.lines, func(ev *harvestwatch.Event) {
		ev.Ref = l.d.files.refs.Ref(ev.Pos.Input, ev.Pos.Offset)
		in.queue = append(in.queue, *ev)
	}, nil))
	if n := len(in.queue); n > 0 {
		in.last = in.queue[n-1].When()
		in.behind = in.catchesUp()
	}
}

// catchesUp reports whether the input, which has just delivered, lags and makes up for it.
func (in *liveInput) catchesUp() bool {
	if in.heard.Sub(in.last) <= lag {
		in.slow = time.Time{}
		return false
	}
	if in.slow.IsZero() {
		in.slow, in.slowAt = in.heard, in.last
	}
	took := in.heard.Sub(in.slow)
	return took < grace || in.last.Sub(in.slowAt) >= 2*took
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
	path string // the log's, or the pattern of the series
	name string // the file's own; "" where that isn't known any more
	id   tailer.FileID
}

// number returns the number of a generation, a new one for a new generation. A file that has grown since it was last
// seen is still the same: only the part of its head that is hashed was shorter then.
func (f *files) number(path, name string, id tailer.FileID) int32 {
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
	f.byInput = append(f.byInput, generation{path, name, id})
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
