// Package csvlog reads the logs that Exchange writes as comma-separated values: directives that begin with #, columns
// by name, quoting, lists, stamps. It knows no column's meaning: a format says which columns it wants and what a row
// of them is.
//
// Lex is pure and may run on several goroutines at once; the rest belongs to one. The package does no I/O, reads no
// clock and starts no goroutine.
package csvlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/lines"
)

// MaxLine is the length in bytes above which a line is not read, and counted as unparsed as a whole.
const MaxLine = 64 << 10

// ErrState is returned by Restore for bytes that Changes didn't give out.
var ErrState = errors.New("not the state of a log with columns")

// Verdict is what a format makes of a row.
type Verdict uint8

// The verdicts.
const (
	Unparsed Verdict = iota // not understood
	Ignored                 // understood, and says nothing about a client
	Kept                    // to be folded
)

// Spec says what a format is. It is not changed.
type Spec[T any] struct {
	Types   []string // what #Log-type may say, in lower case; rows below another type are passed over
	Columns []string // names of the wanted columns; Cols.Get takes their index here
	Usual   string   // the columns of a row until a #Fields directive says them, as in the directive
	// Row reads a row into t, a zeroed value. It is called by Lex, from any goroutine: it must touch nothing else but
	// scratch, to which it may append what t's slices point to. What it borrows from the columns holds as long as the
	// Lines do.
	Row func(c *Cols, t *T, scratch *[]byte) Verdict
}

// Log is the part of a parser that all formats share. T is what a row becomes.
type Log[T any] struct {
	spec   *Spec[T]
	usual  *layout
	now    *layout                // in force where the fold stands
	hint   atomic.Pointer[layout] // what Lex assumes of lines whose directives it can't see; Fold checks it
	stored *layout                // as last given out by Changes; nil for never
}

// token is a row, or a directive that changes the layout.
type token[T any] struct {
	off, end, line uint32
	verdict        Verdict
	layout         *layout // set for a directive
	value          T
}

// lexed is what Lex leaves in Lines.Lexed.
type lexed[T any] struct {
	assumed *layout
	lines   int64
	quiet   int64
	tokens  []token[T]
	scratch []byte
}

// New returns a log at the beginning of its stream.
func New[T any](spec *Spec[T]) *Log[T] {
	g := &Log[T]{spec: spec, usual: newLayout(spec.Usual, spec.Columns, false)}
	g.now = g.usual
	g.hint.Store(g.usual)
	return g
}

// Lex reads l.Data into l.Lexed. It touches nothing else, so several Lines may be lexed at once.
func (g *Log[T]) Lex(l *harvestwatch.Lines) {
	g.lex(l, g.hint.Load())
}

func (g *Log[T]) lex(l *harvestwatch.Lines, assumed *layout) *lexed[T] {
	out, ok := l.Lexed.(*lexed[T])
	if !ok {
		out = &lexed[T]{}
		l.Lexed = out
	}
	clear(out.tokens)
	*out = lexed[T]{assumed: assumed, tokens: out.tokens[:0], scratch: out.scratch[:0]}
	at := assumed
	cols := Cols{at: at.at, n: at.n}
	for off := 0; off < len(l.Data); {
		end, next := lines.Next(l.Data, off)
		if changed := g.line(out, l.Data[off:end], off, at, &cols); changed != nil {
			at = changed
			cols.at, cols.n = at.at, at.n
		}
		off = next
		out.lines++
	}
	return out
}

// line lexes one line, and returns the layout that it sets, if it does.
func (g *Log[T]) line(out *lexed[T], line []byte, off int, at *layout, cols *Cols) *layout {
	if marked := cutMark(line); len(marked) != len(line) {
		off += len(line) - len(marked)
		line = marked
	}
	if len(line) == 0 {
		out.quiet++
		return nil
	}
	if line[0] == '#' {
		changed := g.directive(line, at)
		if changed == nil {
			out.quiet++
			return nil
		}
		t := out.add(off, len(line))
		t.layout = changed
		return changed
	}
	if at.foreign {
		out.quiet++
		return nil
	}
	n := len(out.tokens)
	t := out.add(off, len(line))
	if len(line) > MaxLine || !cols.row.Split(line, &out.scratch) {
		return nil
	}
	if t.verdict = g.spec.Row(cols, &t.value, &out.scratch); t.verdict == Ignored {
		clear(out.tokens[n:])
		out.tokens = out.tokens[:n]
		out.quiet++
	}
	return nil
}

func (out *lexed[T]) add(off, length int) *token[T] {
	n := len(out.tokens)
	if n == cap(out.tokens) {
		out.tokens = slices.Grow(out.tokens, n+64)
	}
	out.tokens = out.tokens[:n+1]
	t := &out.tokens[n]
	t.off, t.end, t.line = uint32(off), uint32(off+length), uint32(out.lines)
	return t
}

// directive returns the layout that a directive sets, or nil where it sets none.
func (g *Log[T]) directive(line []byte, at *layout) *layout {
	switch name, value := directive(line); name {
	case "log-type":
		if foreign := !slices.Contains(g.spec.Types, strings.ToLower(value)); foreign != at.foreign {
			return newLayout(at.fields, g.spec.Columns, foreign)
		}
	case "fields":
		if value != at.fields {
			return newLayout(value, g.spec.Columns, at.foreign)
		}
	}
	return nil
}

// Fold calls apply for each row that Lex kept, in the order of the lines, with its position; apply returns how many
// events it told. unparsed, which may be nil, is called for each line that was not understood.
func (g *Log[T]) Fold(l *harvestwatch.Lines, apply func(t *T, at harvestwatch.Pos) int,
	unparsed func(harvestwatch.Pos, []byte),
) harvestwatch.Counts {
	out, ok := l.Lexed.(*lexed[T])
	if !ok || !out.assumed.same(g.now) {
		out = g.lex(l, g.now)
	}
	c := harvestwatch.Counts{Lines: out.lines, Ignored: out.quiet}
	for i := range out.tokens {
		t := &out.tokens[i]
		if t.layout != nil {
			g.now = t.layout
			c.Ignored++
			continue
		}
		pos := l.Pos
		pos.Offset += int64(t.off)
		if pos.Line > 0 {
			pos.Line += int64(t.line)
		}
		switch n := 0; {
		case t.verdict == Unparsed:
			c.Unparsed++
			if unparsed != nil {
				unparsed(pos, l.Data[t.off:t.end])
			}
		default:
			if n = apply(&t.value, pos); n == 0 {
				c.Ignored++
			}
			c.Events += int64(n)
		}
	}
	if g.hint.Load() != g.now {
		g.hint.Store(g.now)
	}
	return c
}

// Scratch returns the buffer of what Lex left in l, for texts of the fold's own memory that must hold as long as l.
func (g *Log[T]) Scratch(l *harvestwatch.Lines) *[]byte {
	if out, ok := l.Lexed.(*lexed[T]); ok {
		return &out.scratch
	}
	return new([]byte)
}

// layoutKey is the key under which Changes gives the layout out; keys of the format's own begin with another byte.
const layoutKey = '#'

// Changes calls yield if the layout changed since the last call.
func (g *Log[T]) Changes(yield func(key, value []byte)) {
	if g.stored == g.now || g.stored == nil && g.now == g.usual {
		return
	}
	g.stored = g.now
	value := []byte{0}
	if g.now.foreign {
		value[0] = 1
	}
	yield([]byte{layoutKey}, append(value, g.now.fields...))
}

// Restore takes back what Changes gave out. own is false for keys that aren't its own; those are the format's.
func (g *Log[T]) Restore(key, value []byte) (own bool, err error) {
	if len(key) == 0 || key[0] != layoutKey {
		return false, nil
	}
	if len(key) != 1 || len(value) < 1 || value[0] > 1 || len(value) > maxDirective {
		return true, fmt.Errorf("restore the columns of a log: %w", ErrState)
	}
	g.now = newLayout(string(value[1:]), g.spec.Columns, value[0] == 1)
	g.stored = g.now
	g.hint.Store(g.now)
	return true, nil
}

// Share returns which share of the whole lines in head, from 0 to 1, are directives or rows of this format that are
// understood. It is 0 where no row and no directive shows that it is this format: #Log-type names another log, or no
// row is understood and #Log-type is missing.
func (spec *Spec[T]) Share(head []byte) float64 {
	head = lines.Whole(head)
	g := New(spec)
	typed := false
	for line := range bytes.Lines(head) {
		if line = cutMark(line); len(line) > 0 && line[0] == '#' {
			name, value := directive(bytes.TrimRight(line, "\r\n"))
			typed = typed || name == "log-type" && slices.Contains(spec.Types, strings.ToLower(value))
		}
	}
	kept := false
	l := harvestwatch.Lines{Data: head}
	c := g.Fold(&l, func(*T, harvestwatch.Pos) int { kept = true; return 1 }, nil)
	if g.now.foreign || c.Lines == 0 || !typed && !kept {
		return 0
	}
	return float64(c.Lines-c.Unparsed) / float64(c.Lines)
}

// Hash returns a 64-bit hash of texts for Event.Twin and Event.Join: FNV-1a with a final mix. Letters are taken without
// regard to case, and the texts are kept apart, so that no text can end where the next one begins.
func Hash(texts ...[]byte) uint64 {
	h := uint64(14695981039346656037)
	for _, text := range texts {
		for _, c := range text {
			if c-'A' < 26 {
				c |= 0x20
			}
			h = (h ^ uint64(c)) * 1099511628211
		}
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(text)))
		for _, c := range n {
			h = (h ^ uint64(c)) * 1099511628211
		}
	}
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	h ^= h >> 32
	return max(h, 1)
}
