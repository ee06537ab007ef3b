package dovecot

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/harvestwatch/harvestwatch"
)

// pieces cuts a log into Lines behind some of its line feeds.
func pieces(data []byte, cut func(line int) bool) []*harvestwatch.Lines {
	var out []*harvestwatch.Lines
	start, first, line := 0, 1, 1
	for i, c := range data {
		if c == '\n' {
			line++
		}
		if c == '\n' && cut(line-1) || i == len(data)-1 {
			out = append(out, &harvestwatch.Lines{Data: data[start : i+1], Pos: harvestwatch.Pos{Line: int64(first), Offset: int64(start)}})
			start, first = i+1, line
		}
	}
	return out
}

func TestBatchingChangesNothing(t *testing.T) {
	for name, data := range logs(t) {
		want, counts := run(t, data, full)
		for _, every := range []int{1, 2, 3, 7} {
			p := open()
			parts := pieces([]byte(data), func(line int) bool { return line%every == 0 })
			var lexing sync.WaitGroup
			for _, l := range parts { // in any order, at once
				lexing.Go(func() { p.Lex(l) })
			}
			lexing.Wait()
			var got []string
			var sum harvestwatch.Counts
			for _, l := range parts {
				sum.Add(p.Fold(l, func(ev *harvestwatch.Event) { got = append(got, full(ev)) }, nil))
			}
			if !slices.Equal(got, want) || sum != counts {
				t.Errorf("%s, %d lines a piece: %d events, want %d; %+v, want %+v", name, every, len(got), len(want), sum, counts)
			}
		}
	}
}

// stored plays the daemon's store.
type stored map[string]string

func (s stored) take(p *Parser) {
	p.Changes(func(key, value []byte) {
		if value == nil {
			delete(s, string(key))
			return
		}
		s[string(key)] = string(value)
	})
}

func (s stored) parser(t *testing.T) *Parser {
	t.Helper()
	p := open()
	for key, value := range s { // in any order
		if err := p.Restore([]byte(key), []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func TestRestartAnywhereChangesNothing(t *testing.T) {
	for name, data := range logs(t) {
		want, _ := run(t, data, full)
		for every := 1; every <= strings.Count(data, "\n"); every++ {
			p, disk := open(), stored{}
			var got []string
			for _, l := range pieces([]byte(data), func(line int) bool { return line%every == 0 }) {
				p.Lex(l)
				p.Fold(l, func(ev *harvestwatch.Event) { got = append(got, full(ev)) }, nil)
				disk.take(p)
				p = disk.parser(t)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s, restarted every %d lines:\n  %s\nwant:\n  %s", name, every, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
			}
		}
	}
}

func TestForeignStateChangesNothing(t *testing.T) {
	p := open()
	for _, c := range [][2]string{{"", ""}, {"c", ""}, {"t", "x"}, {"t12345678", ""}, {"t12345678", strings.Repeat("x", 53)}, {"x", "y"}, {"c1", ""}} {
		if err := p.Restore([]byte(c[0]), []byte(c[1])); err == nil {
			t.Errorf("%q taken", c)
		}
	}
	if err := p.Restore([]byte("t12345678"), nil); !errors.Is(err, ErrState) {
		t.Errorf("%v", err)
	}
	if p.told.Len() != 0 {
		t.Error("something was remembered")
	}
}

func TestLexAllocatesNothingWhenWarm(t *testing.T) {
	data := []byte(strings.Join([]string{mixed, logs(t)["own-log"], logs(t)["syslog"]}, "\n"))
	p, l := open(), &harvestwatch.Lines{Data: data}
	p.Lex(l)
	if n := testing.AllocsPerRun(20, func() { p.Lex(l) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
	before := bytes.Clone(data)
	p.Lex(l)
	if !bytes.Equal(before, data) {
		t.Error("the lines were changed")
	}
}
