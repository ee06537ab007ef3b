package gfi

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
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

// pieces cuts a log behind line ends.
func pieces(data []byte, cut func(line int) bool) (out []*harvestwatch.Lines) {
	at, pos, first := 0, 0, int64(1)
	for n, line := range bytes.SplitAfter(data, []byte{'\n'}) {
		if at += len(line); (cut(n) || at == len(data)) && at > pos {
			out = append(out, &harvestwatch.Lines{Data: data[pos:at], Pos: harvestwatch.Pos{Line: first, Offset: int64(pos)}})
			pos, first = at, int64(n+2)
		}
	}
	return out
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

func (s stored) parser(t testing.TB, o *site.Site) *Parser {
	t.Helper()
	p := parser(t, o)
	for key, value := range s {
		if err := p.Restore([]byte(key), []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	return p
}
