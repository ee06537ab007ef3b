package iis

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

var hostile = []string{
	"x", "-", "OutboundConnectionCommand", "<a@home.example> 550 0 24 30 0 SMTP - - - -", "a b c", "\"", "[192.0.2.66]",
	"x [11/Oct/2036:13:16:41 -0600] \"DATA - SMTP\" 250 1", "x] \"RCPT -?+TO:<a@b.example> SMTP\" 550 32", " [01/Oct/2000:00:00:00 +0000] \"",
	"x, 1/1/36, 0:00:00, SMTPSVC1, MX1, 192.0.2.10, 90, 42, 0, 250, 0, DATA, -, y,", ", , , ,",
	"203.0.113.66 friend SMTPSVC1 MX1 192.0.2.10 0 RCPT", "\r\n192.0.2.66 - -", "\xff\xfe\x00", "#Fields: time s-ip c-ip", "+TO:<a@b>", "> SMTP\" 250 1",
}

// FuzzForge writes a text into the places of a row that a client fills, and holds that the event's address and time are
// the row's own and that one row is one event at most. A row that can be read in several ways may be dated a little
// before the row before it. A blank or line end in a text is the service's to replace in the
// W3C format; here it is the parser's to see through.
func FuzzForge(f *testing.F) {
	for _, h := range hostile {
		f.Add(h, h)
		f.Add("x", h)
	}
	ip := netip.MustParseAddr("203.0.113.5")
	f.Fuzz(func(t *testing.T, helo, arg string) {
		clean := strings.NewReplacer("\n", "+", "\r", "+")
		helo, arg = clean.Replace(helo), clean.Replace(arg)
		before := command{start, "198.51.100.1", "x", "RCPT", "+TO:<a@home.example>", "550"}
		for name, log := range map[string]string{
			"w3c":    usualHeader(start) + before.w3c() + command{start, ip.String(), helo, "RCPT", "+TO:<" + arg + ">", "550"}.w3c(),
			"ncsa":   before.ncsa() + command{start, ip.String(), helo, "RCPT", "+TO:<" + arg + ">", "550"}.ncsa(),
			"native": before.native() + command{start, ip.String(), helo, "RCPT", "TO:<" + arg + ">", "550"}.native(),
		} {
			events := 0
			l := &harvestwatch.Lines{Data: []byte(log)}
			p := formats[name](home())
			p.Lex(l)
			p.Fold(l, func(ev *harvestwatch.Event) {
				early := start.Sub(ev.When())
				if events++; events > 1 && (events > 2 || ev.Addr != ip || early < 0 || early > time.Minute || early > 0 && (name == "w3c" || len(ev.Helo) > 0)) {
					t.Errorf("%s: %s at %s from %q", name, show(ev), ev.When(), log)
				}
			}, nil)
		}
	})
}

// check gives any bytes to a parser: it must not fail, must account for each line, and must not care how they are cut.
func check(f *testing.F, name string) {
	f.Add([]byte(mixed()[name]))
	for _, h := range hostile {
		f.Add([]byte("203.0.113.5 - " + h + "\n#Date: 2009-07-13 10:00:00\n10:00:00 203.0.113.5 RCPT - 550\r\n"))
		f.Add([]byte("#Fields: time c-ip cs-method sc-status cs-uri-query\n#Date: 2009-07-13 10:00:00\n10:00:00 203.0.113.5 RCPT 550 " + h))
		f.Add([]byte(command{start, "203.0.113.5", h, "MAIL", h, "250"}.native() + command{start, "203.0.113.5", h, "RCPT", h, "250"}.native()))
		f.Add([]byte(command{start, "203.0.113.5", h, "MAIL", h, "250"}.ncsa() + command{start, "203.0.113.5", h, "RCPT", h, "250"}.ncsa()))
	}
	for _, c := range []command{{start, "203.0.113.5", "x", "RCPT", "+TO:<a@home.example>", "250"}, {start, "203.0.113.5", "x", "DATA", "-", "250"}} {
		f.Add([]byte(usualHeader(start) + c.w3c() + c.ncsa() + c.native()))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if s := shares[name](data); s < 0 || s > 1 {
			t.Errorf("a share of %v", s)
		}
		p := formats[name](home())
		l := &harvestwatch.Lines{Data: data, Pos: harvestwatch.Pos{Input: 3, Line: 1}}
		p.Lex(l)
		var want []string
		var last harvestwatch.Event
		lines := int64(0) // that gave events
		counts := p.Fold(l, func(ev *harvestwatch.Event) {
			want = append(want, full(ev))
			if ev.Kind != harvestwatch.Delivered {
				lines++
			} else if ev.Pos != last.Pos || ev.Addr != last.Addr || ev.Time != last.Time || len(ev.Recipient) == 0 || ev.Code != 250 ||
				string(ev.Sender) != string(last.Sender) || last.Kind != harvestwatch.Accepted && last.Kind != harvestwatch.Delivered {
				t.Errorf("%s is told after %s", full(ev), full(&last))
			}
			last = *ev
			for _, b := range [][]byte{ev.Helo, ev.Sender, ev.Recipient, ev.User} {
				if len(b) > harvestwatch.MaxField {
					t.Errorf("a text of %d bytes", len(b))
				}
			}
			if ev.Kind == 0 || ev.Addr.Is4In6() || ev.Addr.Zone() != "" {
				t.Errorf("an event of no kind or with an odd address: %s", full(ev))
			}
		}, func(pos harvestwatch.Pos, line []byte) { want = append(want, fmt.Sprintf("%v %q", pos, line)) })
		n := int64(bytes.Count(data, []byte("\n")))
		if len(data) > 0 && data[len(data)-1] != '\n' {
			n++
		}
		if counts.Lines != n || lines+counts.Ignored+counts.Unparsed != n || int64(len(want)) != counts.Events+counts.Unparsed {
			t.Errorf("%d lines, %d told, counts %+v", n, len(want), counts)
		}
		q := formats[name](home())
		got, sum := fold(q, pieces(data, func(line int) bool { return line%2 == 0 }))
		if !slices.Equal(got, want) || sum != counts || q.Assumed() != p.Assumed() {
			t.Errorf("cut otherwise: %q, want %q; %+v, want %+v; %q, want %q", got, want, sum, counts, q.Assumed(), p.Assumed())
		}
		d := disk{}
		d.take(p)
		d.give(t, formats[name](home()))
	})
}

func FuzzW3C(f *testing.F)    { check(f, "w3c") }
func FuzzNCSA(f *testing.F)   { check(f, "ncsa") }
func FuzzNative(f *testing.F) { check(f, "native") }
