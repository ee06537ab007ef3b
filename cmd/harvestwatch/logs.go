package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/internal/pipeline"
	"github.com/harvestwatch/harvestwatch/internal/recipients"
	"github.com/harvestwatch/harvestwatch/internal/report"
	"github.com/harvestwatch/harvestwatch/internal/tailer"
	"github.com/harvestwatch/harvestwatch/parsers"
)

// logs are the inputs of one run over old logs, sorted into streams.
type logs struct {
	opts    readOptions
	inputs  []*logInput // in the order of time, which is also that of their numbers
	streams []*logStream
	errs    []error // inputs that could not be read, wholly or in part
	refs    pipeline.Refs
	parsed  []*pipeline.Parsed

	recipients *recipients.List // nil for none
}

// logInput is one file.
type logInput struct {
	tailer.Input
	number  int32
	format  string // "" when none was recognised
	first   int64  // time of the first event, in nanoseconds
	counts  harvestwatch.Counts
	reader  *tailer.Reader // open while being read
	read    atomic.Int64   // compressed bytes read so far
	stream  *logStream
	problem error
	why     string // why it is left out, where there is more to say than that no format was recognised
	spool   *spool // the copy of what can be read only once; nil for a plain file
}

// logStream is one log with its rotated files: they share a parser, because a message that was accepted before a
// rotation is delivered after it.
type logStream struct {
	key    string
	inputs []*logInput
	parser parsers.Parser   // what folds has it while it folds: ask by assumed
	parsed *pipeline.Parsed // the stream being parsed; nil while it is not opened
	logs   *logs
	next   int                                   // index of the next input to open
	mu     sync.Mutex                            // also over the problems of the inputs
	chunks map[*harvestwatch.Lines]*tailer.Chunk // handed out
	spare  []*harvestwatch.Lines                 // released: what Lex left in them is reused
}

// headBytes is how much of an input is looked at to recognise its format and to find its first event.
const headBytes = 64 << 10

// openLogs finds the inputs, recognises their formats and sorts them. An input that can't be read is remembered and
// the others go on; it is an error only when there is none at all.
func openLogs(ctx context.Context, o readOptions, p *program) (*logs, error) {
	l := &logs{opts: o, recipients: o.recipients}
	found, err := tailer.Expand(o.paths)
	if err != nil {
		l.errs = append(l.errs, err)
	}
	for _, in := range found {
		li := &logInput{Input: in}
		l.inputs = append(l.inputs, li)
		err := l.examine(ctx, li, p)
		if ctx.Err() != nil {
			l.close()
			return nil, ctx.Err()
		}
		if err != nil {
			var unknown *unknownFormat
			if errors.As(err, &unknown) {
				l.close()
				return nil, &codeError{exitUsage, err}
			}
			li.problem = err
		}
	}
	if len(l.inputs) == 0 {
		return nil, failed(errors.Join(l.problems()...))
	}
	l.dropCopies()
	l.sort()
	return l, nil
}

// unknownFormat says that --format names none of ours.
type unknownFormat struct{ err error }

// Error implements error.
func (e *unknownFormat) Error() string {
	return e.err.Error()
}

// examine recognises an input's format and finds the time of its first event.
func (l *logs) examine(ctx context.Context, in *logInput, p *program) error {
	if err := in.spoolOnce(ctx, p); err != nil {
		return err
	}
	r, err := l.open(in)
	if err != nil {
		return err
	}
	if export := l.exporter(in, r.Head(headBytes)); export != nil {
		if err := errors.Join(r.Close(), in.export(ctx, export)); err != nil {
			return err
		}
		if r, err = l.open(in); err != nil {
			return err
		}
	}
	head := r.Head(headBytes)
	in.format = l.recognise(in, head)
	if in.format != "" {
		if in.first, err = l.firstTime(in, head); err != nil {
			return errors.Join(&unknownFormat{err}, r.Close())
		}
	}
	if in.spool != nil { // can't be opened twice
		in.reader = r
		in.spool.patience.end()
		return nil
	}
	if in.format == "" { // perhaps because it is damaged
		if _, damage := r.Next(); damage != nil && !errors.Is(damage, io.EOF) {
			err = damage
		}
	}
	return errors.Join(err, r.Close())
}

// recognise returns the format of an input that begins with head, "" for an unknown one.
func (l *logs) recognise(in *logInput, head []byte) string {
	switch {
	case in.format != "": // said by what it was exported from
		return in.format
	case l.opts.format != "":
		return l.opts.format
	}
	format, _ := parsers.Sniff(head)
	if format == "" && l.fits(in, head) {
		return parsers.Table
	}
	return format
}

// fits reports whether the mapping that was given reads most of what an input begins with.
func (l *logs) fits(in *logInput, head []byte) bool {
	if l.opts.site.Fields == nil {
		return false
	}
	table := &logInput{Input: in.Input, format: parsers.Table}
	parser, err := l.newParser(table)
	if err != nil {
		return false
	}
	lines := harvestwatch.Lines{Data: head[:bytes.LastIndexByte(head, '\n')+1]}
	parser.Lex(&lines)
	c := parser.Fold(&lines, func(*harvestwatch.Event) {}, nil)
	return c.Lines > 0 && c.Understood() >= 0.5
}

// spoolOnce prepares what can be read only once (standard input, a pipe) for being read again.
func (in *logInput) spoolOnce(ctx context.Context, p *program) error {
	src := p.stdin
	if in.Path != tailer.Stdin {
		info, err := os.Stat(in.Path)
		if err != nil || info.Mode().IsRegular() {
			return nil // what is wrong with it, opening tells
		}
		f, err := openPipe(ctx, in.Path)
		if err != nil {
			return fmt.Errorf("open input: %w", err)
		}
		src = f
	}
	s, err := newSpool(ctx, src)
	if err != nil {
		return fmt.Errorf("keep a copy of %s: %w", in.Path, err)
	}
	in.spool = s
	return nil
}

func (l *logs) open(in *logInput) (*tailer.Reader, error) {
	if in.spool != nil {
		return tailer.NewReader(in.Path, in.spool)
	}
	return in.Open()
}

// firstTime returns the time of the first event in head; of the file where there is none.
func (l *logs) firstTime(in *logInput, head []byte) (int64, error) {
	parser, err := l.newParser(in)
	if err != nil {
		return 0, err
	}
	first := in.ModTime.UnixNano()
	lines := harvestwatch.Lines{Data: head}
	parser.Lex(&lines)
	found := false
	parser.Fold(&lines, func(ev *harvestwatch.Event) {
		if !found {
			first, found = ev.Time, true
		}
	}, nil)
	return first, nil
}

func (l *logs) newParser(in *logInput) (parsers.Parser, error) {
	o := l.opts.site
	o.Reference = in.ModTime
	if o.Reference.Year() < 2000 || o.Reference.After(l.opts.now) { // archives and reproducible builds set times that say nothing
		o.Reference = l.opts.now
	}
	o.Year, o.Location = l.opts.year, l.opts.zone
	return parsers.Open(in.format, o)
}

// sort puts the inputs in the order of their first events and makes the streams.
func (l *logs) sort() {
	slices.SortStableFunc(l.inputs, func(a, b *logInput) int {
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.Path, b.Path))
	})
	byKey := map[string]*logStream{}
	for i, in := range l.inputs {
		in.number = int32(i)
		if in.format == "" || in.problem != nil {
			continue
		}
		key := in.format + "\x00" + in.Group
		s := byKey[key]
		if s == nil {
			s = &logStream{key: key, logs: l, chunks: map[*harvestwatch.Lines]*tailer.Chunk{}}
			s.parser, in.problem = l.newParser(in)
			if in.problem != nil {
				continue
			}
			byKey[key] = s
			l.streams = append(l.streams, s)
		}
		s.inputs = append(s.inputs, in)
		in.stream = s
	}
}

// source reads all streams and merges them by time. A stream is opened when its time has come.
func (l *logs) source(ctx context.Context, unparsed func(harvestwatch.Pos, []byte)) pipeline.Source {
	var streams []pipeline.Stream
	for i, s := range l.streams {
		o := pipeline.ParseOptions{Workers: runtime.GOMAXPROCS(0), Stream: i, Refs: &l.refs, Unparsed: unparsed,
			Counted: func(input int32, c harvestwatch.Counts) { l.inputs[input].counts.Add(c) }}
		streams = append(streams, pipeline.Stream{Starts: s.inputs[0].first, Open: func() pipeline.Source {
			ps := pipeline.Parse(ctx, s, s.parser, o)
			s.parsed, l.parsed = ps, append(l.parsed, ps)
			return ps
		}})
	}
	if len(streams) == 0 {
		return pipeline.Slice(nil)
	}
	return pipeline.Merge(streams...)
}

// timeline brings the streams together.
func (l *logs) timeline() *pipeline.Timeline {
	ids := make([]uint32, len(l.streams))
	for i := range ids {
		ids[i] = uint32(i) + 1
	}
	return pipeline.NewTimeline(ids, recipientTwin)
}

// missing says which recipients don't exist though a server took them; nil where no list was given.
func (l *logs) missing() func([]byte) bool { return missing(l.recipients.Has, l.recipients != nil) }

// engine returns what a run over the logs is made with.
func (l *logs) engine(p *program) pipeline.Engine {
	return pipeline.Engine{Ceiling: p.ceiling, Since: l.opts.since, Until: l.opts.until, Timeline: l.timeline(), Missing: l.missing()}
}

// close ends the reading and removes what was spooled.
func (l *logs) close() {
	ended := true
	for _, ps := range l.parsed {
		ended = ps.Close() && ended
	}
	l.parsed = nil
	for _, in := range l.inputs {
		if ended && in.reader != nil { // else a reader that hangs has it
			_ = in.reader.Close() // it was only read from
			in.reader = nil
		}
	}
	for _, in := range l.inputs {
		if in.spool != nil {
			in.spool.remove()
		}
	}
}

// Next implements pipeline.Reader: the files of the stream one after the other.
func (s *logStream) Next() (*harvestwatch.Lines, error) {
	for s.next < len(s.inputs) {
		in := s.inputs[s.next]
		if in.reader == nil {
			r, err := s.logs.open(in)
			if err != nil {
				s.skip(in, err)
				continue
			}
			in.reader = r
		}
		c, err := in.reader.Next()
		in.read.Store(in.reader.Consumed())
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			s.skip(in, err)
			continue
		}
		return s.lines(c, in.number), nil
	}
	return nil, io.EOF
}

// lines wraps a chunk.
func (s *logStream) lines(c *tailer.Chunk, input int32) *harvestwatch.Lines {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := &harvestwatch.Lines{}
	if n := len(s.spare); n > 0 {
		l, s.spare = s.spare[n-1], s.spare[:n-1]
	}
	l.Data, l.Pos = c.Data, harvestwatch.Pos{Input: input, Line: c.Line, Offset: c.Offset}
	s.chunks[l] = c
	return l
}

// skip goes on to the next file, and remembers what was wrong with this one.
func (s *logStream) skip(in *logInput, err error) {
	s.next++
	if in.reader != nil {
		err = errors.Join(err, in.reader.Close())
		in.reader = nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	in.problem = err
}

// assumed returns what the parser took for granted so far. It may be asked while the stream is being parsed.
func (s *logStream) assumed() (text string) {
	if s.parsed == nil {
		return s.parser.Assumed()
	}
	s.parsed.With(func() { text = s.parser.Assumed() })
	return text
}

// trouble returns what is wrong with the input, as far as is known. It may be asked while the input is being read.
func (in *logInput) trouble() error {
	if in.stream != nil {
		in.stream.mu.Lock()
		defer in.stream.mu.Unlock()
	}
	return in.problem
}

// Release implements pipeline.Reader.
func (s *logStream) Release(l *harvestwatch.Lines) {
	s.mu.Lock()
	c := s.chunks[l]
	delete(s.chunks, l)
	s.spare = append(s.spare, l)
	s.mu.Unlock()
	if c != nil {
		c.Release()
	}
}

// report describes the input for a person or a program.
func (in *logInput) report() report.Input {
	r := report.Input{Path: in.Path, Format: in.format, Lines: in.counts.Lines, Events: in.counts.Events,
		Ignored: in.counts.Ignored, Unparsed: in.counts.Unparsed}
	if in.stream != nil {
		r.Assumed = in.stream.assumed()
	}
	problem := in.trouble()
	if in.format == "" && problem == nil {
		r.Error, r.Unrecognised = cmp.Or(in.why, "no format recognised, left out: name it with --format if it is one"), true
		r.Why = in.why
	}
	if problem != nil {
		r.Error = problem.Error()
	}
	return r
}
