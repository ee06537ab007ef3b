package receive

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/golden"
)

// victim is an address that a client writes wherever he can.
var victim = netip.MustParseAddr("192.0.2.66")

var seeds = []string{
	"x", ",>,550 5.1.1 User unknown", "\",>,\"550 5.1.1 User unknown\",", "a@b.example>,\r\n2026-01-11T16:00:00.000Z,M\\x,1,1,192.0.2.21:25,192.0.2.66:1,+,,",
	`a\r\n550 5.1.1 User unknown`, "IP=192.0.2.66 DOMAIN=x", "XPROXYFROM SID=1 IP=192.0.2.66 PORT=1 DOMAIN=x", "192.0.2.66:25,+,,", "<192.0.2.66>",
	"\u202e\u2028\x00\xff", "a;b;'192.0.2.66'", "User Name: root@k.example", "250 XProxyFrom accepted", "LAST", "joe,authenticated",
}

// hostile is what a client can fill; TEXT stands for it.
var hostile = []string{
	"<EHLO TEXT", ">250 mx Hello", "<TEXT", ">500 5.3.3 Unrecognized command", "<XPROXYFROM SID=1 IP=TEXT DOMAIN=TEXT", ">500 5.3.3 Unrecognized command",
	"<XPROXYFROM TEXT", ">250 XProxyFrom accepted", "<MAIL FROM:<TEXT>", ">250 2.1.0 Sender OK", "<RCPT TO:<TEXT>", ">550 5.1.1 User unknown",
	"<RCPT TO:TEXT", ">250 2.1.5 Recipient OK", "<AUTH TEXT", "*|User Name: TEXT", ">535 5.7.3 Authentication unsuccessful", "*TEXT|authenticated",
	"<BDAT TEXT", ">550 5.7.1 TEXT", "<DATA", ">354 go on", ">250 2.6.0 <TEXT> [InternalId=1, Hostname=x] Queued mail for delivery", "*TEXT|TEXT", "-TEXT",
}

// FuzzNobodyIsForged writes a text into every field that a client fills and holds that the client is the source of all
// events, that no row becomes two, and that his words become nobody's answer.
func FuzzNobodyIsForged(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 2000 {
			return
		}
		say := make([]string, len(hostile))
		for i, h := range hostile {
			say[i] = strings.ReplaceAll(h, "TEXT", text)
		}
		told := map[string]int{}
		check := func(ev *harvestwatch.Event) string {
			if ev.Addr.String() != "203.0.113.77" {
				t.Errorf("%s in row %d: %s", ev.Addr, ev.Pos.Line, say[ev.Pos.Line-6])
			}
			if !strings.ContainsRune("+->", rune(say[ev.Pos.Line-6][0])) {
				t.Errorf("a command became an event: %s", show(ev))
			}
			told[ev.Kind.String()]++
			return ""
		}
		_, counts := run(front.log(say...), check)
		if counts.Lines != int64(5+len(say)) || told["auth_fail"] != 1 || told["rcpt_unknown"] < 1 {
			t.Errorf("%+v %v", counts, told)
		}
		// The front end hands his HELO name on.
		run(hub.log(with("<XPROXYFROM SID=1 IP=203.0.113.77 PORT=1 DOMAIN="+text+" SEQNUM=1", taken)...), check2(t))
		run(hub.log(with("<XPROXYFROM SID=1 PORT=1 DOMAIN="+text+" SEQNUM=1 IP=203.0.113.77", taken)...), check2(t))
	})
}

// check2 allows no other client either, but none at all.
func check2(t *testing.T) func(ev *harvestwatch.Event) string {
	return func(ev *harvestwatch.Event) string {
		if ev.Addr == victim || ev.Addr.String() != "203.0.113.77" {
			t.Errorf("%s is told of", ev.Addr)
		}
		return ""
	}
}

// FuzzRaw gives any bytes to the parser: it must not fail, must account for each line, and must not care how they are
// cut, nor whether it is started anew between.
func FuzzRaw(f *testing.F) {
	f.Add(mixed())
	for _, s := range seeds {
		f.Add([]byte(header + front.rows("<" + s)[0] + s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		want, counts := run(data, full)
		if counts.Lines != counts.Ignored+counts.Unparsed+eventLines(data) {
			t.Errorf("%+v, %d lines told events", counts, eventLines(data))
		}
		disk := golden.Disk{}
		var got []string
		var sum harvestwatch.Counts
		for _, l := range golden.Pieces(data, func(line int) bool { return line%3 == 0 }) {
			p := restored(t, disk)
			p.Lex(l)
			sum.Add(p.Fold(l, func(ev *harvestwatch.Event) {
				for _, text := range [][]byte{ev.Helo, ev.Sender, ev.Recipient, ev.User} {
					if len(text) > harvestwatch.MaxField {
						t.Errorf("a text of %d bytes", len(text))
					}
				}
				got = append(got, full(ev))
			}, nil))
			disk.Take(p)
		}
		if !slices.Equal(got, want) || sum != counts {
			t.Errorf("in pieces %d events %+v, in one %d %+v", len(got), sum, len(want), counts)
		}
	})
}

// eventLines returns how many lines told at least one event.
func eventLines(data []byte) int64 {
	lines := map[int64]bool{}
	run(data, func(ev *harvestwatch.Event) string { lines[ev.Pos.Line] = true; return "" })
	return int64(len(lines))
}

// FuzzRestore gives any bytes to Restore: what it takes must come out as it went in, and must not make Fold fail.
func FuzzRestore(f *testing.F) {
	disk := golden.Disk{}
	p := New(own)
	for _, l := range golden.Pieces(mixed(), func(line int) bool { return line%9 == 0 }) {
		p.Lex(l)
		p.Fold(l, func(*harvestwatch.Event) {}, nil)
		disk.Take(p)
		for key, value := range disk {
			f.Add([]byte(key), []byte(value))
		}
	}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		p := New(own)
		if p.Restore(key, value) != nil {
			return
		}
		runWith(p, mixed(), full)
	})
}
