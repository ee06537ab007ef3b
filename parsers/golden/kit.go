package golden

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

// Stateful is a parser with what it remembers across lines.
type Stateful interface {
	Parser
	Changes(yield func(key, value []byte))
	Restore(key, value []byte) error
}

// Kit holds a parser to what is promised of all parsers.
type Kit struct {
	Open  func(o *site.Site) Stateful
	Share func(head []byte) float64
	Dir   string // the folder of its golden logs
}

// Ours is a site with two servers of its own and one domain.
func Ours() *site.Site {
	return &site.Site{Own: []netip.Prefix{netip.MustParsePrefix("192.0.2.8/29")}, Domains: []string{"kontor.example"}}
}

// Show writes what matters of an event.
func Show(ev *harvestwatch.Event) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s ", ev.Pos.Line, ev.Kind)
	if ev.Addr.IsValid() {
		b.WriteString(ev.Addr.String())
	} else {
		b.WriteByte('-')
	}
	if ev.Code != 0 {
		fmt.Fprintf(&b, " %d", ev.Code)
	}
	if s := ev.Status.String(); s != "" {
		fmt.Fprintf(&b, " %s", s)
	}
	if ev.Null {
		b.WriteString(" null")
	}
	for _, f := range []struct {
		name string
		text []byte
	}{{"from", ev.Sender}, {"to", ev.Recipient}, {"user", ev.User}} {
		if len(f.text) > 0 {
			fmt.Fprintf(&b, " %s=%s", f.name, f.text)
		}
	}
	return b.String()
}

// Full writes everything of an event.
func Full(ev *harvestwatch.Event) string {
	return fmt.Sprintf("%s %d %d %x %x %x %v %q %q %v %v", Show(ev), ev.Time, ev.Began, ev.Session, ev.Twin, ev.Join, ev.Pos,
		ev.Helo, ev.Name, ev.Idle, ev.NoUser)
}

// Piece gives one piece to a parser and returns the events, as copies.
func Piece(p Parser, l *harvestwatch.Lines) (events []harvestwatch.Event, counts harvestwatch.Counts) {
	p.Lex(l)
	counts = p.Fold(l, func(ev *harvestwatch.Event) { events = append(events, ev.Clone()) }, nil)
	return events, counts
}

// Parse gives a log in one piece to a new parser of a site.
func (k *Kit) Parse(o *site.Site, data string) ([]harvestwatch.Event, harvestwatch.Counts) {
	return Piece(k.Open(o), &harvestwatch.Lines{Data: []byte(data), Pos: harvestwatch.Pos{Line: 1}})
}

// Expect holds a log's events against lines that Show wrote.
func (k *Kit) Expect(t *testing.T, data string, want ...string) harvestwatch.Counts {
	t.Helper()
	events, counts := k.Parse(Ours(), data)
	got := make([]string, len(events))
	for i := range events {
		got[i] = Show(&events[i])
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s\ngot:\n  %s\nwant:\n  %s", data, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
	return counts
}

// Hold holds a log to what is promised of all logs: each line counts once, texts are bounded, and neither the cutting nor
// a new parser at each line, which only knows what the last one gave out, changes an event.
func (k *Kit) Hold(t *testing.T, data []byte) {
	t.Helper()
	events, counts := k.Parse(Ours(), string(data))
	whole := make([]string, len(events))
	lines := map[int64]bool{}
	for i := range events {
		ev := &events[i]
		whole[i] = Full(ev)
		lines[ev.Pos.Offset] = true
		for _, b := range [][]byte{ev.Sender, ev.Recipient, ev.User, ev.Helo, ev.Name} {
			if len(b) > harvestwatch.MaxField {
				t.Errorf("a text of %d bytes", len(b))
			}
		}
		if len(ev.Name) > 0 && !ev.Addr.IsValid() || ev.Idle && ev.Kind != harvestwatch.Disconnect || ev.NoUser && ev.Kind != harvestwatch.AuthFail || ev.Listed {
			t.Errorf("an event says what it can't know: %s", Full(ev))
		}
		if ev.Kind == 0 || ev.Addr.Is4In6() || ev.Addr.Zone() != "" || ev.Addr.IsValid() && Ours().IsOwn(ev.Addr) {
			t.Errorf("an event of no kind or with an odd address: %s", Full(ev))
		}
	}
	pieces := bytes.SplitAfter(data, []byte("\n"))
	if last := len(pieces) - 1; len(pieces[last]) == 0 {
		pieces = pieces[:last]
	}
	if counts.Lines != int64(len(pieces)) || int64(len(lines))+counts.Ignored+counts.Unparsed != counts.Lines || counts.Events != int64(len(events)) {
		t.Errorf("%d lines, %d with events, %d events: %+v", len(pieces), len(lines), len(events), counts)
	}
	disk := Disk{}
	l := &harvestwatch.Lines{}
	pos := harvestwatch.Pos{Line: 1}
	var single []string
	var sum harvestwatch.Counts
	for _, piece := range pieces {
		p := k.Open(Ours())
		disk.Give(t, p)
		l.Data, l.Pos = piece, pos
		events, counts := Piece(p, l)
		sum.Add(counts)
		for i := range events {
			single = append(single, Full(&events[i]))
		}
		disk.Take(p)
		p.Changes(func(key, _ []byte) { t.Errorf("%q is given out twice", key) })
		pos.Line++
		pos.Offset += int64(len(piece))
	}
	if !slices.Equal(whole, single) || sum != counts {
		t.Errorf("%q\nin one piece, %+v:\n  %s\nline by line, %+v:\n  %s", data, counts, strings.Join(whole, "\n  "), sum, strings.Join(single, "\n  "))
	}
}

// Goldens holds the golden logs to the same, and to being recognised.
func (k *Kit) Goldens(t *testing.T) {
	for _, l := range Load(t, k.Dir) {
		t.Run(l.Name, func(t *testing.T) {
			k.Hold(t, l.Data)
			if share := k.Share(l.Data); share < 0.9 {
				t.Errorf("only %.2f of it is understood", share)
			}
		})
	}
}

// ForeignState holds the parser to refusing what it never gave out.
func (k *Kit) ForeignState(t *testing.T) {
	p := k.Open(Ours())
	for _, c := range [][2]string{{"", ""}, {"x", "y"}, {"#", ""}, {"#", "\x02"}, {"##", "\x00a"}, {"f1234567", "short"}, {"o12345678", "1234567812345678"}} {
		if err := p.Restore([]byte(c[0]), []byte(c[1])); err == nil {
			t.Errorf("%q under %q is taken for state", c[1], c[0])
		}
	}
	p.Changes(func(key, _ []byte) { t.Errorf("%q was changed", key) })
}

// Fuzz holds whatever bytes to the same, beginning with the golden logs and the seeds.
func (k *Kit) Fuzz(f *testing.F, seeds ...string) {
	for _, l := range Load(f, k.Dir) {
		f.Add(l.Data[:min(len(l.Data), 4000)])
	}
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<13 { // a parser for each line is slow
			return
		}
		k.Hold(t, data)
		if s := k.Share(data); s < 0 || s > 1 {
			t.Errorf("a share of %v", s)
		}
	})
}

// Benchmark measures Lex and Fold of a log that repeats rows to about a mebibyte.
func (k *Kit) Benchmark(b *testing.B, head string, rows ...string) {
	data := []byte(head + strings.Repeat(strings.Join(rows, ""), 1<<20/len(strings.Join(rows, ""))))
	p := k.Open(Ours())
	l := &harvestwatch.Lines{Data: data}
	emit := func(*harvestwatch.Event) {}
	p.Lex(l)
	p.Fold(l, emit, nil)
	b.Run("Lex", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for b.Loop() {
			p.Lex(l)
		}
	})
	b.Run("Both", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for b.Loop() {
			p.Lex(l)
			p.Fold(l, emit, nil)
		}
	})
}
