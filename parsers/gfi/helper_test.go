package gfi

import (
	"fmt"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/parsers/golden"
	"github.com/harvestwatch/harvestwatch/parsers/site"
)

// table is the mapping of most tests.
func table() *site.Site {
	return &site.Site{Fields: &site.Fields{Time: "Time", Source: "IP", Recipient: "To", Sender: "From", User: "User", Helo: "Helo", Verdict: "Verdict",
		Verdicts: map[string]harvestwatch.Kind{"unknown": harvestwatch.RcptUnknown, "list*": harvestwatch.RcptRefused, "ok": harvestwatch.Delivered}}}
}

const head = "Time,IP,To,From,User,Helo,Verdict\n"

func parser(t testing.TB, o *site.Site) *Parser {
	t.Helper()
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func show(ev *harvestwatch.Event) string {
	return fmt.Sprintf("%d@%d %s %s %s to=%q from=%q null=%v user=%q helo=%q", ev.Pos.Line, ev.Pos.Offset, ev.When().Format(time.RFC3339Nano), ev.Kind,
		ev.Addr, ev.Recipient, ev.Sender, ev.Null, ev.User, ev.Helo)
}

// told is what came of a log: its events and unparsed records as text, and the counts.
type told struct {
	events, unparsed []string
	counts           harvestwatch.Counts
}

func (o *told) piece(p *Parser, l *harvestwatch.Lines) {
	p.Lex(l)
	o.counts.Add(p.Fold(l, func(ev *harvestwatch.Event) { o.events = append(o.events, show(ev)) },
		func(pos harvestwatch.Pos, b []byte) {
			o.unparsed = append(o.unparsed, fmt.Sprintf("%d@%d %q", pos.Line, pos.Offset, b))
		}))
}

func run(t testing.TB, o *site.Site, data string) *told {
	t.Helper()
	out := &told{}
	out.piece(parser(t, o), &harvestwatch.Lines{Data: []byte(data), Pos: harvestwatch.Pos{Line: 1}})
	return out
}

// restored returns a parser that was given what the disk holds.
func restored(t testing.TB, disk golden.Disk, o *site.Site) *Parser {
	t.Helper()
	p := parser(t, o)
	disk.Give(t, p)
	return p
}
