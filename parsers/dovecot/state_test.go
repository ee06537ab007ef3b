package dovecot

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/golden"
)

func TestBatchingChangesNothing(t *testing.T) {
	for name, data := range logs(t) {
		want, counts := run(t, data, full)
		for _, every := range []int{1, 2, 3, 7} {
			p := open()
			parts := golden.Pieces([]byte(data), func(line int) bool { return line%every == 0 })
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

// restored returns a parser that was given what the disk holds.
func restored(t testing.TB, disk golden.Disk) *Parser {
	t.Helper()
	p := open()
	disk.Give(t, p)
	return p
}

func TestRestartAnywhereChangesNothing(t *testing.T) {
	for name, data := range logs(t) {
		want, _ := run(t, data, full)
		for every := 1; every <= strings.Count(data, "\n"); every++ {
			p, disk := open(), golden.Disk{}
			var got []string
			for _, l := range golden.Pieces([]byte(data), func(line int) bool { return line%every == 0 }) {
				p.Lex(l)
				p.Fold(l, func(ev *harvestwatch.Event) { got = append(got, full(ev)) }, nil)
				disk.Take(p)
				p = restored(t, disk)
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
