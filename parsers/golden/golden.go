// Package golden holds parsers against the golden logs below testdata/logs: it reads a log with the file of
// expectations beside it, runs a parser over it, whole and line by line, and reports each event that is missing or that
// nobody expected. The form of the expectations stands in testdata/logs/README.md.
//
// It serves tests only. It judges events, not what the rules make of them, and starts no goroutine.
package golden

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

// Parser is what is needed of a parser here; the interface Parser of the package parsers has it.
type Parser interface {
	Lex(l *harvestwatch.Lines)
	Fold(l *harvestwatch.Lines, emit func(*harvestwatch.Event), unparsed func(pos harvestwatch.Pos, line []byte)) harvestwatch.Counts
}

// Log is a golden log with what is expected of it.
type Log struct {
	Name   string            // the file's name without its ending
	Data   []byte            // the log's bytes
	Format string            // of the header line "# format: "
	Site   site.Site         // of the header lines reference, zone, local, own and date-order
	Header map[string]string // every header line "# word: value", for words that are not known here
	Hits   []string          // the lines that begin with "! ", without it: who must be hit by which rule
	Want   []Expectation     // the events
}

// Run holds every golden log of a folder against the parsers that open makes, as a subtest each. name is the folder
// below testdata/logs; the tests that call it run in a folder two below the root, as parsers/postfix is.
func Run(t *testing.T, name string, open func(l *Log) Parser) {
	t.Helper()
	for _, l := range Load(t, filepath.Join("..", "..", "testdata", "logs", name)) {
		t.Run(l.Name, func(t *testing.T) { Check(t, &l, func() Parser { return open(&l) }) })
	}
}

// Check runs the log through a parser in one piece, and through another one line by line, and fails the test for each
// event too few or too many and for each line that is not understood.
func Check(t testing.TB, l *Log, open func() Parser) {
	t.Helper()
	whole := check{t: t, log: l, met: make([]bool, len(l.Want))}
	p := open()
	whole.piece(p, &harvestwatch.Lines{Data: l.Data, Pos: harvestwatch.Pos{Line: 1}})
	whole.end("in one piece")

	single := check{t: t, log: l, met: make([]bool, len(l.Want))}
	p = open()
	lines := &harvestwatch.Lines{}
	pos := harvestwatch.Pos{Line: 1}
	for _, line := range bytes.SplitAfter(l.Data, []byte{'\n'}) {
		if len(line) == 0 {
			continue
		}
		lines.Data, lines.Pos = line, pos
		single.piece(p, lines)
		pos.Line++
		pos.Offset += int64(len(line))
	}
	single.end("line by line")
	if whole.counts != single.counts {
		t.Errorf("in one piece: %+v, line by line: %+v", whole.counts, single.counts)
	}
}

// check is one run of a log.
type check struct {
	t      testing.TB
	log    *Log
	met    []bool // by the index of the expectation
	counts harvestwatch.Counts
}

func (c *check) piece(p Parser, l *harvestwatch.Lines) {
	c.t.Helper()
	p.Lex(l)
	c.counts.Add(p.Fold(l, c.event, func(pos harvestwatch.Pos, line []byte) {
		c.t.Errorf("line %d is not understood: %.200q", pos.Line, line)
	}))
}

// event strikes the expectation off that an event meets, a required one before an optional one.
func (c *check) event(ev *harvestwatch.Event) {
	c.t.Helper()
	why := ""
	for _, optional := range []bool{false, true} {
		for i := range c.log.Want {
			e := &c.log.Want[i]
			if e.Line != ev.Pos.Line || c.met[i] || e.Optional != optional {
				continue
			}
			reason := e.Differs(ev)
			if reason == "" {
				c.met[i] = true
				return
			}
			why += "; " + reason
		}
	}
	c.t.Errorf("line %d: unexpected %s %s recipient=%q%s", ev.Pos.Line, ev.Kind, addrText(ev), ev.Recipient, why)
}

func (c *check) end(how string) {
	c.t.Helper()
	lines := int64(bytes.Count(c.log.Data, []byte{'\n'}))
	if n := len(c.log.Data); n > 0 && c.log.Data[n-1] != '\n' {
		lines++
	}
	if c.counts.Lines != lines {
		c.t.Errorf("%s: %d lines counted, the log has %d", how, c.counts.Lines, lines)
	}
	if c.counts.Events == 0 {
		c.t.Errorf("%s: no event at all", how)
	}
	for i, e := range c.log.Want {
		if !c.met[i] && !e.Optional {
			c.t.Errorf("%s: line %d: no %s %s %v", how, e.Line, e.Kind, e.Addr, e.Keys)
		}
	}
}

func split(list string) (out []string) {
	for _, s := range strings.Split(list, ",") {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}
