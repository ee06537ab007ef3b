package pipeline

import (
	"context"
	"sync"

	"github.com/harvestwatch/harvestwatch"
)

// Reader gives the lines of one stream in order: one log, its rotated files before it.
type Reader interface {
	// Next returns the next run of lines, or io.EOF. What it returns belongs to the caller until Release.
	Next() (*harvestwatch.Lines, error)
	// Release takes lines back for reuse. It may be called from any goroutine.
	Release(l *harvestwatch.Lines)
}

// Parser turns lines into events. Lex is pure and may run on several cores at once; Fold is called in the order of
// the lines, one call after the other.
type Parser interface {
	Lex(l *harvestwatch.Lines)
	Fold(l *harvestwatch.Lines, emit func(*harvestwatch.Event), unparsed func(harvestwatch.Pos, []byte)) harvestwatch.Counts
}

// ParseOptions says how Parse works.
type ParseOptions struct {
	Workers  int                                           // goroutines that lex, at least 1
	Stream   int                                           // number of the stream, put into each batch
	Refs     *Refs                                         // numbers the evidence; nil leaves Event.Ref zero
	Counted  func(input int32, counts harvestwatch.Counts) // told what came of each run of lines; may be nil
	Unparsed func(pos harvestwatch.Pos, line []byte)       // told each line that nobody understood; may be nil
}

// ahead is how many runs of lines are folded before somebody asks for them.
const ahead = 2

type task struct {
	lines *harvestwatch.Lines
	err   error
	lexed chan struct{}
}

// Parsed is a stream being parsed. Lines are folded in a goroutine of its own; where ParseOptions.Unparsed is to be told
// of lines, in that of Next's caller. Until Close has reported true, its parser is to be touched within With only.
type Parsed struct {
	reader Reader
	parser Parser
	opts   ParseOptions
	tasks  chan *task      // in the order of the input
	folded chan folded     // the same, folded; nil where Next folds
	outer  context.Context // of Parse's caller
	stop   context.CancelFunc
	done   sync.WaitGroup
	spare  chan []harvestwatch.Event // of released batches
	mu     sync.Mutex                // held while lines are folded
}

// folded is a batch that lacks what only Next's caller may add, or the error that ended the reading.
type folded struct {
	batch *Batch
	input int32 // of its lines
	err   error
}

// Parse starts to read and to lex, a bounded number of runs ahead, until ctx ends. Close must be called.
func Parse(ctx context.Context, r Reader, p Parser, o ParseOptions) *Parsed {
	outer := ctx
	ctx, stop := context.WithCancel(ctx)
	ps := &Parsed{reader: r, parser: p, opts: o, tasks: make(chan *task, o.Workers+1), outer: outer, stop: stop,
		spare: make(chan []harvestwatch.Event, ahead+2)}
	work := make(chan *task, o.Workers+1)
	for range o.Workers {
		ps.done.Go(func() {
			for t := range work {
				p.Lex(t.lines)
				close(t.lexed)
			}
		})
	}
	ps.done.Go(func() {
		defer close(ps.tasks)
		defer close(work)
		ps.read(ctx, work)
	})
	if o.Unparsed == nil {
		ps.folded = make(chan folded, ahead)
		ps.done.Go(func() {
			defer close(ps.folded)
			ps.foldAhead(ctx)
		})
	}
	return ps
}

// read hands each run of lines to the lexers and, in order, to Next.
func (ps *Parsed) read(ctx context.Context, work chan<- *task) {
	for {
		l, err := ps.reader.Next()
		t := &task{lines: l, err: err, lexed: make(chan struct{})}
		select {
		case ps.tasks <- t:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
		work <- t
	}
}

// foldAhead folds what was lexed, a bounded number of runs ahead of who calls Next.
func (ps *Parsed) foldAhead(ctx context.Context) {
	for t := range ps.tasks {
		select {
		case ps.folded <- ps.fold(t):
		case <-ctx.Done():
			return
		}
	}
}

// Next returns the events of the next run of lines. It implements Source. Batches may be released by any goroutine.
func (ps *Parsed) Next(ctx context.Context) (*Batch, error) {
	var f folded
	ok := false
	if ps.folded == nil {
		var t *task
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case t, ok = <-ps.tasks:
		}
		if ok {
			f = ps.fold(t)
		}
	} else {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case f, ok = <-ps.folded:
		}
	}
	switch {
	case !ok:
		return nil, context.Canceled
	case f.err != nil:
		return nil, f.err
	}
	ps.number(&f)
	return f.batch, nil
}

// number does what must happen in the order in which batches are asked for: streams share references and counts.
func (ps *Parsed) number(f *folded) {
	if ps.opts.Refs != nil {
		for i := range f.batch.Events {
			ev := &f.batch.Events[i]
			ev.Ref = ps.opts.Refs.Ref(ev.Pos.Input, ev.Pos.Offset)
		}
	}
	if ps.opts.Counted != nil {
		ps.opts.Counted(f.input, f.batch.Counts)
	}
}

func (ps *Parsed) fold(t *task) folded {
	if t.err != nil {
		return folded{err: t.err}
	}
	<-t.lexed
	l := t.lines
	var list []harvestwatch.Event
	select {
	case list = <-ps.spare:
		list = list[:0]
	default:
	}
	b := NewBatch(nil)
	ps.With(func() {
		b.Counts = ps.parser.Fold(l, func(ev *harvestwatch.Event) { list = append(list, *ev) }, ps.opts.Unparsed)
	})
	b.free = func() {
		select {
		case ps.spare <- list:
		default:
		}
		ps.reader.Release(l)
	}
	b.Events, b.Stream = list, ps.opts.Stream
	b.End = harvestwatch.Pos{Input: l.Pos.Input, Offset: l.Pos.Offset + int64(len(l.Data))}
	if l.Pos.Line > 0 {
		b.End.Line = l.Pos.Line + b.Counts.Lines
	}
	return folded{batch: b, input: l.Pos.Input}
}

// With runs f while no lines are folded, so that f may ask the parser what it knows so far, which may be more than Next
// gave. It waits for one run of lines at most, never for the reader, and may be called from any goroutine, also before and
// after Close; not by f, nor by what ParseOptions.Unparsed is told with.
func (ps *Parsed) With(f func()) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	f()
}

// Close ends the reading and waits for the goroutines; it reports true when they have ended. Where the context of Parse
// has ended it does not wait: the reader may hang in a read that nothing ends, and still use what it reads from.
func (ps *Parsed) Close() bool {
	ps.stop()
	if ps.outer.Err() != nil {
		return false
	}
	for range ps.tasks { // unblocks the reader; what it read is garbage now
	}
	ps.done.Wait()
	return true
}
