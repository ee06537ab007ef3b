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
// the lines from one goroutine.
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

type task struct {
	lines *harvestwatch.Lines
	err   error
	lexed chan struct{}
}

// Parsed is a stream being parsed. Its Next folds in the caller's goroutine.
type Parsed struct {
	reader Reader
	parser Parser
	opts   ParseOptions
	tasks  chan *task      // in the order of the input
	outer  context.Context // of Parse's caller
	stop   context.CancelFunc
	done   sync.WaitGroup
	spare  [][]harvestwatch.Event // of released batches; belongs to who calls Next and Release
}

// Parse starts to read and to lex, a bounded number of runs ahead, until ctx ends. Close must be called.
func Parse(ctx context.Context, r Reader, p Parser, o ParseOptions) *Parsed {
	outer := ctx
	ctx, stop := context.WithCancel(ctx)
	ps := &Parsed{reader: r, parser: p, opts: o, tasks: make(chan *task, o.Workers+1), outer: outer, stop: stop}
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

// Next folds the next run of lines into a batch of events. It implements Source; batches are released by the goroutine
// that calls it.
func (ps *Parsed) Next(ctx context.Context) (*Batch, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case t, ok := <-ps.tasks:
		if !ok {
			return nil, context.Canceled
		}
		if t.err != nil {
			return nil, t.err
		}
		<-t.lexed
		return ps.fold(t.lines), nil
	}
}

func (ps *Parsed) fold(l *harvestwatch.Lines) *Batch {
	var list []harvestwatch.Event
	if n := len(ps.spare); n > 0 {
		list, ps.spare = ps.spare[n-1][:0], ps.spare[:n-1]
	}
	b := NewBatch(func() {
		ps.spare = append(ps.spare, list)
		ps.reader.Release(l)
	})
	b.Counts = ps.parser.Fold(l, func(ev *harvestwatch.Event) {
		if ps.opts.Refs != nil {
			ev.Ref = ps.opts.Refs.Ref(ev.Pos.Input, ev.Pos.Offset)
		}
		list = append(list, *ev)
	}, ps.opts.Unparsed)
	if ps.opts.Counted != nil {
		ps.opts.Counted(l.Pos.Input, b.Counts)
	}
	b.Events, b.Stream = list, ps.opts.Stream
	b.End = harvestwatch.Pos{Input: l.Pos.Input, Offset: l.Pos.Offset + int64(len(l.Data))}
	if l.Pos.Line > 0 {
		b.End.Line = l.Pos.Line + b.Counts.Lines
	}
	return b
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
