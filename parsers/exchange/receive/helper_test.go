package receive

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

const header = "\xef\xbb\xbf#Software: Microsoft Exchange Server\r\n#Version: 15.0.0.0\r\n#Log-type: SMTP Receive Protocol Log\r\n" +
	"#Date: 2026-01-11T16:00:04.113Z\r\n" +
	"#Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context\r\n"

// quote writes a field as Exchange does.
func quote(field string) string {
	field = strings.NewReplacer("\r", `\r`, "\n", `\n`).Replace(field)
	if strings.ContainsAny(field, `,"`) {
		return `"` + strings.ReplaceAll(field, `"`, `""`) + `"`
	}
	return field
}

// talk is one session's log.
type talk struct {
	connector, session, local, remote string
	first                             int // the sequence number of the first row
}

var (
	front = talk{`MBX01\Default Frontend MBX01`, "08D3E5F6A7B8C9CF", "192.0.2.21:25", "203.0.113.77:40112", 0}
	hub   = talk{`MBX01\Default MBX01`, "08D3E5F6A7B8C9D0", "10.0.0.21:2525", "10.0.0.21:31544", 0}
)

// rows writes a row a second for each text, which begins with the event: "+", "-Remote" (a context), "<RCPT TO:<a@b>",
// ">250 2.1.5 Recipient OK", "*data" or "*|context".
func (t talk) rows(texts ...string) []string {
	out := make([]string, len(texts))
	for i, text := range texts {
		data, context := text[1:], ""
		switch text[0] {
		case '-':
			data, context = "", data
		case '*':
			data, context, _ = strings.Cut(data, "|")
		}
		n := t.first + i
		out[i] = fmt.Sprintf("2026-01-11T16:%02d:%02d.%03dZ,%s,%s,%d,%s,%s,%c,%s,%s\r\n", n/60, n%60, n%1000, quote(t.connector), t.session,
			n, t.local, t.remote, text[0], quote(data), quote(context))
	}
	return out
}

func (t talk) log(texts ...string) []byte {
	return []byte(header + strings.Join(t.rows(texts...), ""))
}

// show writes what matters of an event; the line is counted from the header's end.
func show(ev *harvestwatch.Event) string {
	var b strings.Builder
	addr := "-"
	if ev.Addr.IsValid() {
		addr = ev.Addr.String()
	}
	fmt.Fprintf(&b, "%d %s %s", ev.Pos.Line-5, ev.Kind, addr)
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
	}{{"from", ev.Sender}, {"to", ev.Recipient}, {"helo", ev.Helo}, {"user", ev.User}} {
		if len(f.text) > 0 {
			fmt.Fprintf(&b, " %s=%s", f.name, f.text)
		}
	}
	return b.String()
}

// brief is show without the code, the sender and the HELO name.
func brief(ev *harvestwatch.Event) string {
	e := *ev
	e.Code, e.Status, e.Sender, e.Helo, e.Null = 0, harvestwatch.Enhanced{}, nil, nil, false
	return show(&e)
}

// full writes everything of an event.
func full(ev *harvestwatch.Event) string {
	return fmt.Sprintf("%s %d %d %x %x %x %v %v %v", show(ev), ev.Time, ev.Began, ev.Session, ev.Twin, ev.Join, ev.Sender == nil, ev.Pos, ev.Idle)
}

// own is a site with addresses of its own.
var own = &site.Site{Own: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/28")}}

func run(data []byte, write func(*harvestwatch.Event) string) ([]string, harvestwatch.Counts) {
	return runWith(New(own), data, write)
}

// spoken is run without the deliveries, which follow from what was accepted.
func spoken(data []byte, write func(*harvestwatch.Event) string) ([]string, harvestwatch.Counts) {
	got, counts := runWith(New(own), data, func(ev *harvestwatch.Event) string {
		if ev.Kind == harvestwatch.Delivered {
			return ""
		}
		return write(ev)
	})
	return slices.DeleteFunc(got, func(s string) bool { return s == "" }), counts
}

func runWith(p *Parser, data []byte, write func(*harvestwatch.Event) string) ([]string, harvestwatch.Counts) {
	var got []string
	l := &harvestwatch.Lines{Data: data, Pos: harvestwatch.Pos{Line: 1}}
	p.Lex(l)
	counts := p.Fold(l, func(ev *harvestwatch.Event) { got = append(got, write(ev)) }, nil)
	return got, counts
}

// expect holds a log's events against lines that brief wrote, deliveries aside, and that all lines were understood.
func expect(t *testing.T, data []byte, want ...string) {
	t.Helper()
	expectAs(t, brief, data, want...)
}

func expectAs(t *testing.T, write func(*harvestwatch.Event) string, data []byte, want ...string) {
	t.Helper()
	got, counts := spoken(data, write)
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s\ngot:\n  %s\nwant:\n  %s", bytes.TrimPrefix(data, []byte(header)), strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
	if counts.Unparsed > 0 || counts.Lines != int64(bytes.Count(data, []byte("\n"))) {
		t.Errorf("%+v for %d lines", counts, bytes.Count(data, []byte("\n")))
	}
}
