package postfix

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

// reference is when the made-up logs of the tests are read.
var reference = time.Date(2025, time.November, 30, 12, 0, 0, 0, time.UTC)

// log makes a log of messages, one second apart, each with its tag: "smtpd[1]: text".
func log(messages ...string) []byte {
	var b strings.Builder
	for i, m := range messages {
		fmt.Fprintf(&b, "Nov 22 10:%02d:%02d mx1 postfix/%s\n", i/60, i%60, m)
	}
	return []byte(b.String())
}

// show writes what matters of an event.
func show(ev *harvestwatch.Event) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s %s", ev.Pos.Line, ev.Kind, addrText(ev))
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

// full writes everything of an event.
func full(ev *harvestwatch.Event) string {
	return fmt.Sprintf("%s %d %d %x %v %q %v", show(ev), ev.Time, ev.Began, ev.Session, ev.Pos, ev.Name, ev.Idle)
}

// run parses a log as one piece and returns what write makes of each event.
func run(t testing.TB, data []byte, write func(*harvestwatch.Event) string) ([]string, harvestwatch.Counts) {
	t.Helper()
	return runWith(New(reference, 0, nil), data, write)
}

func runWith(p *Parser, data []byte, write func(*harvestwatch.Event) string) ([]string, harvestwatch.Counts) {
	var got []string
	l := &harvestwatch.Lines{Data: data, Pos: harvestwatch.Pos{Line: 1}}
	p.Lex(l)
	counts := p.Fold(l, func(ev *harvestwatch.Event) { got = append(got, write(ev)) }, nil)
	return got, counts
}

// expect holds a log's events against lines that show wrote.
func expect(t *testing.T, data []byte, want ...string) harvestwatch.Counts {
	t.Helper()
	got, counts := run(t, data, show)
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s\ngot:\n  %s\nwant:\n  %s", data, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
	return counts
}
