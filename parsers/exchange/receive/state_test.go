package receive

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/csvlog"
	"github.com/harvestwatch/harvestwatch/parsers/golden"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

// mixed is a log in which every memory of the fold is in use.
func mixed() []byte {
	b, c := front, front
	b.session, b.remote = "08D3E5F6A7B8C9D2", "[2001:db8:bad::7]:40113"
	c.session, c.remote, c.connector = "0000000000000000", "203.0.113.79:1", `MBX02\In, out`
	many := []string{"+", "<EHLO many"}
	for i := range maxPending + 5 {
		many = append(many, fmt.Sprintf("<RCPT TO:<u%d@k.example>", i))
	}
	for range maxPending + 3 {
		many = append(many, ">550 5.1.1 User unknown")
	}
	rows := interleave(
		front.rows("+", "<EHLO \"a\", b", ">250 mx Hello", "<MAIL FROM:<> SIZE=1", "<RCPT TO:<a@k.example>", ">250 2.1.0 Sender OK", ">250 2.1.5 Recipient OK",
			"<RCPT TO:<b@k.example>", ">250 2.1.5 Recipient OK", "<BDAT 5", "<BDAT 5 LAST", ">550 5.1.1 User unknown", ">550 5.1.1 User unknown", "-Remote"),
		b.rows("+", "<AUTH LOGIN", "*|User Name: joe", ">535 5.7.3 Authentication unsuccessful", "<AUTH LOGIN", "*ann@k.example|authenticated", ">235 2.7.0 ok",
			"<MAIL FROM:<s@a.example>", ">250 2.1.0 Sender OK", "<RCPT TO:<c@k.example>", ">250 2.1.5 Recipient OK", "<DATA", ">354 go on", ">250 2.6.0 <1@a.example> Queued mail for delivery"),
		hub.rows(with("<XPROXYFROM SID=1 IP=203.0.113.5 DOMAIN=friend", taken, "<MAIL FROM:<x@x.example>", ">250 2.1.0 Sender OK", "<RCPT TO:<d@k.example>", ">250 2.1.5 Recipient OK",
			"<XPROXY SID=2 IP=203.0.113.6 DOMAIN=pc UNAME=joe", ">250 ok")...),
		c.rows(many...))
	half := len(rows) / 2
	return []byte(header + strings.Join(rows[:half], "") + "#Log-type: SMTP Send Protocol Log\r\n" + rows[half] + header +
		strings.Join(rows[half:], "") + rows[len(rows)-1])
}

func logs(t *testing.T) map[string][]byte {
	out := map[string][]byte{"mixed": mixed()}
	for _, g := range goldens(t) {
		out[g.Name] = g.Data
	}
	return out
}

func TestBatchingChangesNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for name, data := range logs(t) {
		want, counts := run(data, full)
		for _, every := range []int{1, 2, 7, 100} {
			parts := golden.Pieces(data, func(int) bool { return rng.IntN(every) == 0 })
			p := New(own)
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
	p := New(own)
	disk.Give(t, p)
	return p
}

// A daemon that is killed behind every line, or each 13, goes on as if nothing had happened, and what it stores bit by
// bit is what one stores that is asked once at the end.
func TestRestartAnywhereChangesNothing(t *testing.T) {
	for name, data := range logs(t) {
		want, _ := run(data, full)
		for _, every := range []int{1, 13} {
			if every == 1 && len(data) > 45_000 {
				continue
			}
			disk, once := golden.Disk{}, golden.Disk{}
			var got []string
			for _, l := range golden.Pieces(data, func(line int) bool { return line%every == 0 }) {
				p := restored(t, disk)
				p.Lex(l)
				p.Fold(l, func(ev *harvestwatch.Event) { got = append(got, full(ev)) }, nil)
				disk.Take(p)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s, killed each %d lines: %d events, want %d", name, every, len(got), len(want))
				for i := range want {
					if i >= len(got) || got[i] != want[i] {
						t.Errorf("event %d:\n got %v\nwant %s", i, got[i:min(i+1, len(got))], want[i])
						break
					}
				}
			}
			whole := New(own)
			runWith(whole, data, show)
			once.Take(whole)
			if sameButOrder(once) != sameButOrder(disk) {
				t.Errorf("%s: %d entries bit by bit, %d at once", name, len(disk), len(once))
			}
		}
	}
}

// sameButOrder writes a store without the numbers of the order in which sessions came, which begin anew with each run.
func sameButOrder(s golden.Disk) string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(s)) {
		value := s[key]
		if key[0] == keySession {
			value = value[8:]
		}
		fmt.Fprintf(&b, "%x %x\n", key, value)
	}
	return b.String()
}

func TestChangesTellEachChangeOnce(t *testing.T) {
	p := New(own)
	disk := golden.Disk{}
	for _, l := range golden.Pieces(mixed(), func(line int) bool { return line%3 == 0 }) {
		p.Lex(l)
		p.Fold(l, func(*harvestwatch.Event) {}, nil)
		disk.Take(p)
	}
	p.Changes(func(key, _ []byte) { t.Errorf("%q though nothing happened", key) })
	if len(disk) < 3 {
		t.Errorf("%d entries: the test is void", len(disk))
	}
}

func TestRestoreRefusesForeignBytes(t *testing.T) {
	disk := golden.Disk{}
	p := New(own)
	for _, l := range golden.Pieces(mixed(), func(line int) bool { return line == 60 }) {
		p.Lex(l)
		p.Fold(l, func(*harvestwatch.Event) {}, nil)
		disk.Take(p)
		for key, value := range disk {
			if key[0] != keySession {
				continue
			}
			for n := range len(value) {
				if err := New(own).Restore([]byte(key), []byte(value[:n])); !errors.Is(err, ErrState) {
					t.Errorf("%d of %d bytes are taken (%v)", n, len(value), err)
				}
			}
			for _, bad := range [][2]string{{key, value + "x"}, {key + "x", value}, {key[:8], value}, {"x" + key[1:], value}, {"", ""}} {
				if err := New(own).Restore([]byte(bad[0]), []byte(bad[1])); !errors.Is(err, ErrState) {
					t.Errorf("%q under %q is taken (%v)", bad[1], bad[0], err)
				}
			}
		}
	}
	if err := p.Restore([]byte("#"), nil); !errors.Is(err, csvlog.ErrState) {
		t.Errorf("no columns: %v", err)
	}
}

// An address that was made the site's own while the daemon stood still is told of no more.
func TestRestoreKnowsTheSite(t *testing.T) {
	disk := golden.Disk{}
	p := New(&site.Site{})
	gateway := talk{`MBX01\x`, "1", "192.0.2.21:25", "198.51.100.7:31544", 0}
	if got, _ := runWith(p, gateway.log("+", "<RCPT TO:<a@k.example>"), brief); len(got) != 1 {
		t.Fatalf("%q", got)
	}
	disk.Take(p)
	if got, _ := runWith(restored(t, disk), []byte(strings.Join(gateway.rows(">550 5.1.1 User unknown", "-Remote"), "")), brief); len(got) != 0 {
		t.Errorf("%q", got)
	}
}

// Texts of events hold as long as the Lines do, also those that come from the fold's memory.
func TestTextsHold(t *testing.T) {
	p := New(own)
	l := &harvestwatch.Lines{Data: mixed(), Pos: harvestwatch.Pos{Line: 1}}
	p.Lex(l)
	var events []harvestwatch.Event
	var then []string
	p.Fold(l, func(ev *harvestwatch.Event) { events, then = append(events, *ev), append(then, show(ev)) }, nil)
	runWith(p, bytes.ReplaceAll(mixed(), []byte("k.example"), []byte("zzzzzzzzz")), show)
	for i := range events {
		if now := show(&events[i]); now != then[i] {
			t.Errorf("%q became %q", then[i], now)
		}
	}
}

func TestTooManySessions(t *testing.T) {
	p := New(own)
	var b strings.Builder
	for i := range MaxSessions + 100 {
		s := front
		s.session = fmt.Sprintf("%016X", i+1)
		b.WriteString(s.rows("<EHLO x")[0])
	}
	runWith(p, []byte(b.String()), brief)
	if p.sessions.Len() != MaxSessions || p.Pushed() != 100 {
		t.Errorf("%d sessions, %d pushed out", p.sessions.Len(), p.Pushed())
	}
}
