package postfix

import (
	"bytes"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/golden"
)

// mixed is a log in which every memory of the fold is in use.
func mixed() []byte {
	data := log(
		"postscreen[9]: CONNECT from [203.0.113.9]:4711 to [192.0.2.1]:25",
		"smtpd[6]: connect from unknown[198.51.100.9]",
		"postscreen[9]: PASS OLD [203.0.113.9]:4711",
		"smtpd[6]: warning: unknown[198.51.100.9]: SASL LOGIN authentication failed: x",
		"smtpd[7]: connect from mail.sender.example[203.0.113.9]",
		refusedB, clientA, fromA,
		"smtpd[6]: disconnect from unknown[198.51.100.9] auth=0/3 commands=0/3",
		clientX, fromX, sentX,
		"smtpd[7]: disconnect from mail.sender.example[203.0.113.9] mail=1 commands=1",
		"qmgr[6]: BBBBB2: removed", toFilter, "qmgr[6]: AAAAA1: removed",
		"submission/smtpd[5]: connect from pc[198.51.100.33]",
		"submission/smtpd[5]: CCCCC3: client=pc[198.51.100.33], sasl_method=PLAIN, sasl_username=joe",
		"submission/smtpd[5]: CCCCC4: client=pc[198.51.100.33], sasl_method=PLAIN, sasl_username=joe",
		"submission/smtpd[5]: disconnect from pc[198.51.100.33] mail=2 commands=2",
		"cleanup[3]: CCCCC4: discard: header Subject: x from pc[198.51.100.33]; from=<a@b.example> to=<c@d.example>",
		clientA, fromA, clientX, fromX, sentX, "qmgr[6]: BBBBB2: removed",
	)
	// A year later the held delivery is given up; what came before it must be known.
	return append(data, "Dec 31 23:59:59 mx1 postfix/qmgr[6]: DDDDD5: removed\nJan  1 00:00:01 mx1 postfix/smtpd[6]: connect from unknown[198.51.100.9]\n"...)
}

func goldenOrMixed(t *testing.T) map[string][]byte {
	logs := map[string][]byte{"mixed": mixed()}
	for _, g := range goldens(t) {
		logs[g.name] = g.data
	}
	return logs
}

func TestBatchingChangesNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for name, data := range goldenOrMixed(t) {
		want, counts := run(t, data, full)
		for _, every := range []int{1, 2, 7, 100} {
			parts := golden.Pieces(data, func(int) bool { return rng.IntN(every) == 0 })
			p := New(reference, 0, nil)
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
				t.Errorf("%s in %d pieces: %d events, want %d; %+v, want %+v", name, len(parts), len(got), len(want), sum, counts)
			}
		}
	}
}

// restored returns a parser that was given what the disk holds.
func restored(t testing.TB, disk golden.Disk) *Parser {
	t.Helper()
	p := New(reference, 0, nil)
	disk.Give(t, p)
	return p
}

func TestRestartAnywhereChangesNothing(t *testing.T) {
	for name, data := range goldenOrMixed(t) {
		want, _ := run(t, data, full)
		for _, every := range []int{1, 13} {
			if every == 1 && len(data) > 40_000 {
				continue
			}
			disk := golden.Disk{}
			var got []string
			for _, l := range golden.Pieces(data, func(line int) bool { return line%every == 0 }) {
				p := restored(t, disk)
				p.Lex(l)
				p.Fold(l, func(ev *harvestwatch.Event) { got = append(got, full(ev)) }, nil)
				disk.Take(p)
			}
			for i := range want {
				if i >= len(got) || got[i] != want[i] {
					t.Errorf("%s, killed each %d lines, event %d:\n got %v\nwant %s", name, every, i, got[i:min(i+1, len(got))], want[i])
					break
				}
			}
		}
	}
}

// What a long run stores bit by bit is what one that is asked once at the end stores.
func TestChangesAreComplete(t *testing.T) {
	for name, data := range goldenOrMixed(t) {
		disk, once := golden.Disk{}, golden.Disk{}
		p := New(reference, 0, nil)
		for _, l := range golden.Pieces(data, func(line int) bool { return line%3 == 0 }) {
			p.Lex(l)
			p.Fold(l, func(*harvestwatch.Event) {}, nil)
			disk.Take(p)
		}
		whole := New(reference, 0, nil)
		runWith(whole, data, show)
		once.Take(whole)
		if !maps.Equal(disk, once) {
			t.Errorf("%s: %d entries bit by bit, %d at once", name, len(disk), len(once))
		}
		n := 0
		p.Changes(func(_, _ []byte) { n++ })
		if n != 0 {
			t.Errorf("%s: %d changes though nothing happened", name, n)
		}
	}
}

func TestRestoreRefusesForeignBytes(t *testing.T) {
	disk := golden.Disk{}
	p := New(reference, 0, nil)
	runWith(p, mixed(), show)
	disk.Take(p)
	for key, value := range disk {
		for _, bad := range []string{value[:len(value)-1], value + "x", ""} {
			if err := New(reference, 0, nil).Restore([]byte(key), []byte(bad)); !errors.Is(err, ErrState) && key != "c" {
				t.Errorf("%q: %q taken for %q (%v)", key, bad, value, err)
			}
		}
		if err := New(reference, 0, nil).Restore([]byte(key+"x"), []byte(value)); !errors.Is(err, ErrState) {
			t.Errorf("%q: %v", key+"x", err)
		}
	}
	if err := p.Restore(nil, nil); !errors.Is(err, ErrState) {
		t.Errorf("no key: %v", err)
	}
}

// Texts of events hold as long as the Lines do, also those that come from the fold's memory.
func TestTextsHold(t *testing.T) {
	p := New(reference, 0, nil)
	l := &harvestwatch.Lines{Data: mixed(), Pos: harvestwatch.Pos{Line: 1}}
	p.Lex(l)
	var events []harvestwatch.Event
	var then []string
	p.Fold(l, func(ev *harvestwatch.Event) { events, then = append(events, *ev), append(then, show(ev)) }, nil)
	runWith(p, bytes.ReplaceAll(mixed(), []byte("a@b.example"), []byte("zzzzzzzzzzz")), show)
	for i := range events {
		if now := show(&events[i]); now != then[i] {
			t.Errorf("%q became %q", then[i], now)
		}
	}
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	data := traffic(2000)
	p := New(reference, 0, nil)
	l := &harvestwatch.Lines{Data: data}
	once := func() {
		p.Lex(l)
		p.Fold(l, func(*harvestwatch.Event) {}, nil)
	}
	once()
	if n := testing.AllocsPerRun(5, once); n > 20 {
		t.Errorf("%.0f allocations for 2000 lines", n)
	}
	quiet := &harvestwatch.Lines{Data: []byte(strings.Repeat("Nov 22 10:00:00 mx1 sshd[1]: nothing of ours\n", 1000))}
	p.Lex(quiet)
	if n := testing.AllocsPerRun(5, func() { p.Lex(quiet) }); n != 0 {
		t.Errorf("%.0f allocations for lines that are skipped", n)
	}
}
