package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net/netip"
	"os"
	"slices"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/internal/pipeline"
	"github.com/harvestwatch/harvestwatch/internal/report"
	"github.com/harvestwatch/harvestwatch/internal/tailer"
	"github.com/harvestwatch/harvestwatch/parsers"
)

// Bounds of the evidence that is shown.
const (
	evidenceLines = 12      // raw lines for each offence
	evidenceBytes = 4 << 10 // of one raw line; the rest is cut off
)

// windowBytes is what is read around a reference: the byte before (is it a line feed?), the stretch that the
// reference names, and one line.
const windowBytes = 1 + pipeline.RefBytes + evidenceBytes

// evidence finds the raw lines that references name by reading the inputs again, and checks that a line found is
// really one of those that are meant: it must parse to an event of one of the sources.
type evidence struct{ logs *logs }

// place is where one reference points.
type place struct {
	offset int64
	want   int // index of the want
	at     int // index of the reference within the want
}

// Lines implements report.Evidence. Each input is read once.
func (e *evidence) Lines(wants []report.Want) [][]string {
	found := make([][]string, len(wants))
	byInput := map[int32][]place{}
	for i, w := range wants {
		refs := w.Refs[max(0, len(w.Refs)-evidenceLines):]
		found[i] = make([]string, len(refs))
		for j, ref := range refs {
			if in, offset, ok := e.logs.refs.Place(ref); ok {
				byInput[in] = append(byInput[in], place{offset, i, j})
			}
		}
	}
	for number, places := range byInput {
		in := e.logs.inputs[number]
		parser, err := e.logs.newParser(in)
		if err != nil {
			continue
		}
		slices.SortFunc(places, func(a, b place) int { return cmp.Compare(a.offset, b.offset) })
		e.visit(in, places, func(pl place, window []byte) {
			w := &wants[pl.want]
			if line, _, ok := pick(parser, window, pl.offset == 0, whoseLines(w.Source, w.Prefix, w.Any)); ok {
				found[pl.want][pl.at] = string(line)
			}
		})
	}
	for i := range found {
		found[i] = slices.DeleteFunc(found[i], func(s string) bool { return s == "" })
		found[i] = slices.Compact(found[i])
	}
	return found
}

// visit hands the window of each place to fn; the places are in order. Evidence that can't be read again is left out:
// the offence stands without it, and the report shows fewer lines.
func (e *evidence) visit(in *logInput, places []place, fn func(place, []byte)) {
	again := in.Input
	if in.spool != nil {
		again.Path = in.spool.path
	}
	r, err := again.Open()
	if err != nil {
		return
	}
	defer r.Close()
	if r.Archived() {
		visitArchive(r, places, fn)
		return
	}
	f, err := os.Open(again.Path)
	if err != nil {
		return
	}
	defer f.Close()
	buf := make([]byte, windowBytes)
	for _, pl := range places {
		n, err := f.ReadAt(buf, max(0, pl.offset-1))
		if err != nil && !errors.Is(err, io.EOF) {
			return
		}
		fn(pl, buf[:n])
	}
}

// visitArchive reads a compressed input from its beginning. A window that lies in two chunks is put together from both.
func visitArchive(r *tailer.Reader, places []place, fn func(place, []byte)) {
	var rest []byte // the end of the stream so far, long enough for a window that begins in it
	start := int64(0)
	for len(places) > 0 {
		c, err := r.Next()
		if err == nil {
			if c.Offset != start+int64(len(rest)) { // a line too long was cut: windows do not reach over it
				rest, start = rest[:0], c.Offset
			}
			rest = append(rest, c.Data...)
			c.Release()
		}
		end := start + int64(len(rest))
		for len(places) > 0 && (err != nil || places[0].offset+windowBytes <= end) {
			if from := max(0, places[0].offset-1) - start; from >= 0 && from < int64(len(rest)) {
				fn(places[0], rest[from:min(from+windowBytes, int64(len(rest)))])
			}
			places = places[1:]
		}
		if err != nil {
			return
		}
		if drop := len(rest) - 2*windowBytes; drop > 0 {
			rest, start = append(rest[:0], rest[drop:]...), start+int64(drop)
		}
	}
}

// whoseLines says of whom the lines of evidence are: of the sources within a prefix where one is valid, of anybody where
// any says so, else of the one source. An offence of several sources together rests on the lines of all of them.
func whoseLines(src harvestwatch.Source, within netip.Prefix, any bool) func(harvestwatch.Source) bool {
	switch {
	case within.IsValid():
		return func(s harvestwatch.Source) bool { return within.Overlaps(s.Prefix()) }
	case any:
		return func(harvestwatch.Source) bool { return true }
	}
	return func(s harvestwatch.Source) bool { return s == src }
}

// pick returns the line that a reference means, and where in the stretch of RefBytes it begins. window begins one byte
// before the stretch, or with it at the start of the input. Of the one or two lines that begin in the stretch it is the
// one that gives an event of a source that is meant. A line that does so only together with others (a bounce, which names
// the message and not the client) is told from the short lines between which it stands by its length.
func pick(parser parsers.Parser, window []byte, first bool, meant func(harvestwatch.Source) bool) (line []byte, at int64, ok bool) {
	start, before := 0, 1
	if first {
		before = 0
	} else if nl := bytes.IndexByte(window, '\n'); nl >= 0 {
		start = nl + 1
	} else {
		return nil, 0, false
	}
	for start-before < pipeline.RefBytes && start < len(window) {
		next, _, more := bytes.Cut(window[start:], []byte("\n"))
		sure := eventOf(parser, next, meant)
		if sure || len(next) > len(line) {
			line, at, ok = bytes.TrimSuffix(next, []byte("\r")), int64(start-before), true
		}
		if sure || !more {
			break
		}
		start += len(next) + 1
	}
	return line, at, ok
}

// eventOf reports whether the line gives an event of a source that is meant.
func eventOf(parser parsers.Parser, line []byte, meant func(harvestwatch.Source) bool) bool {
	lines := harvestwatch.Lines{Data: append(slices.Clone(line), '\n')}
	parser.Lex(&lines)
	ours := false
	parser.Fold(&lines, func(ev *harvestwatch.Event) {
		s, ok := harvestwatch.SourceOf(ev.Addr)
		ours = ours || ok && meant(s)
	}, nil)
	return ours
}

// spool keeps what came from standard input in a file, so that evidence can be read again.
type spool struct {
	io.Reader
	file   *os.File
	path   string
	source io.Closer // what is copied, where it must be closed; nil else

	patience *patience // with what is copied
}

// newSpool makes a copy of what is read from r. Until its patience ends, a read ends with ctx.
func newSpool(ctx context.Context, r io.Reader) (*spool, error) {
	f, err := os.CreateTemp("", "harvestwatch-")
	if err != nil {
		return nil, err
	}
	patient := &patience{ctx: ctx, src: r}
	return &spool{Reader: io.TeeReader(patient, f), file: f, path: f.Name(), patience: patient}, nil
}

func (s *spool) remove() {
	if s.source != nil {
		_ = s.source.Close() // it was only read
	}
	_ = s.file.Close()    // nothing in it is needed any more
	_ = os.Remove(s.path) // the system clears its directory for temporary files
}
