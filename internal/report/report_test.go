package report

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func event(kind harvestwatch.Kind, addr string, at time.Time) *harvestwatch.Event {
	return &harvestwatch.Event{Kind: kind, Addr: netip.MustParseAddr(addr), Time: at.UnixNano()}
}

// fill plays a small day: a harvester that is blocked in the middle of its work, a good sender hit by a block, a
// provider with typos.
func fill(c *Collector) {
	bad, _ := harvestwatch.SourceOf(netip.MustParseAddr("198.51.100.7"))
	none := &harvestwatch.Outcome{}
	blocked := &harvestwatch.Outcome{Blocked: true}
	for i := range 12 {
		out := none
		if i >= 10 {
			out = blocked
		}
		at := noon.Add(time.Duration(i) * time.Second)
		c.Event(event(harvestwatch.Connect, "198.51.100.7", at), out)
		if i == 9 {
			c.Decision(&harvestwatch.Decision{Action: harvestwatch.ActBlock, Reason: "10 unknown recipients", Until: at.Add(time.Hour),
				Offence: harvestwatch.Offence{Source: bad, Rule: "harvest", First: noon, Fired: at, Count: 10, Threshold: 10, Level: 1,
					Evidence: []uint32{1, 2, 3}}})
		}
		c.Event(event(harvestwatch.RcptUnknown, "198.51.100.7", at), out)
	}
	c.Event(event(harvestwatch.Delivered, "198.51.100.7", noon.Add(time.Minute)), blocked)
	for range 40 {
		c.Event(event(harvestwatch.Delivered, "2001:db8::5", noon), none)
	}
	for range 5 {
		c.Event(event(harvestwatch.RcptUnknown, "2001:db8::6", noon), none)
	}
	c.Event(event(harvestwatch.AuthFail, "192.0.2.1", noon), &harvestwatch.Outcome{Future: true})
}

type lines map[harvestwatch.Source][]string

func (l lines) Lines(wants []Want) [][]string {
	var out [][]string
	for _, w := range wants {
		out = append(out, l[w.Source][:len(w.Refs)])
	}
	return out
}

func (l lines) Standing(s harvestwatch.Source) harvestwatch.Standing {
	return harvestwatch.Standing{Source: s, Rule: "harvest", Count: 5, Threshold: 90, Deliveries: 40}
}

func scan(t *testing.T) *Scan {
	t.Helper()
	c := NewCollector(time.UTC, func(string) bool { return true })
	fill(c)
	bad, _ := harvestwatch.SourceOf(netip.MustParseAddr("198.51.100.7"))
	l := lines{bad: {"one", "two \x1b[31m\u202e", "three"}}
	s := c.Result(ResultOptions{Evidence: l, Standings: l})
	s.Inputs = append(s.Inputs, Input{Path: "mail\x1b.log", Format: "postfix", Lines: 100, Events: 70, Ignored: 20, Unparsed: 10})
	return s
}

func TestScanCounts(t *testing.T) {
	s := scan(t)
	if s.Totals != (Totals{Connections: 12, UnknownRecipients: 17, Deliveries: 41, Sources: 2, Future: 1}) {
		t.Errorf("totals %+v", s.Totals)
	}
	if s.Prevented != (Prevented{Connections: 2, Recipients: 2}) {
		t.Errorf("prevented %+v", s.Prevented)
	}
	if s.DeliveriesHit.Messages != 1 || len(s.DeliveriesHit.Sources) != 1 || s.DeliveriesHit.Sources[0] != "198.51.100.7" {
		t.Errorf("hit %+v", s.DeliveriesHit)
	}
	if len(s.Offenders) != 1 || s.Offenders[0].DistinctRecipients != 10 || len(s.Offenders[0].Evidence) != 3 || len(s.Offenders[0].Blocks) != 1 {
		t.Errorf("offenders %+v", s.Offenders)
	}
	if len(s.Spared) != 1 || s.Spared[0].Source != "2001:db8::/64" || !strings.Contains(s.Spared[0].Why, "5 of 90 for harvest: 40 deliveries") {
		t.Errorf("spared %+v", s.Spared)
	}
	if k := s.Concentration; k.Tries != 12 || k.Sources != 1 || k.AllTries != 17 || k.AllSources != 2 {
		t.Errorf("concentration %+v", k)
	}
}

// TestJSONKeepsItsContract holds the names of schema version 1.
func TestJSONKeepsItsContract(t *testing.T) {
	b, err := json.Marshal(scan(t))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	has := func(where string, v any, keys ...string) {
		t.Helper()
		m, ok := v.(map[string]any)
		if !ok {
			t.Fatalf("%s is %T", where, v)
		}
		for _, k := range keys {
			if _, ok := m[k]; !ok {
				t.Errorf("%s lacks %s", where, k)
			}
		}
	}
	first := func(v any) any { return v.([]any)[0] }
	has("scan", got, "schema", "inputs", "period", "totals", "offenders", "prevented", "deliveries_hit")
	has("input", first(got["inputs"]), "path", "format", "lines", "events", "ignored", "unparsed")
	has("period", got["period"], "from", "to")
	has("totals", got["totals"], "connections", "unknown_recipients", "deliveries", "auth_failures", "sources")
	off := first(got["offenders"])
	has("offender", off, "source", "rule", "first", "fired", "count", "distinct_recipients", "deliveries", "decision", "guard", "blocks", "evidence")
	has("block", first(off.(map[string]any)["blocks"]), "from", "until", "level")
	has("prevented", got["prevented"], "connections", "recipients")
	has("deliveries_hit", got["deliveries_hit"], "messages", "sources")
	has("concentration", got["concentration"], "tries", "sources", "share", "all_tries", "all_sources", "ceilings", "histogram")
	has("distributed", got["distributed"], "sources", "tries", "sample", "helo", "sender_domain", "dictionary")
	for _, key := range []string{"alerts", "spared", "held_back", "notices"} {
		if _, ok := got[key].([]any); !ok {
			t.Errorf("%s is %T, not a list", key, got[key])
		}
	}
	if got["schema"] != "harvestwatch.scan/1" {
		t.Errorf("schema %v", got["schema"])
	}
}

func TestTextIsSafeAndTellsTheStory(t *testing.T) {
	var b bytes.Buffer
	if err := scan(t).Text(&b, TextOptions{Evidence: 2, Spared: true, Width: 80}); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	for _, want := range []string{"90.0 % understood", "12 connections from 2 sources", "17 unknown recipients refused", "1 offender\n",
		"198.51.100.7", "harvest", "block", "1h", "kept out 2 connections", "hit 1 delivery, from 198.51.100.7", "… and 1 line more",
		"Not blocked, and why", "5 of 90"} {
		if !strings.Contains(text, want) {
			t.Errorf("the text lacks %q:\n%s", want, text)
		}
	}
	if strings.ContainsAny(text, "\x1b\u202e") {
		t.Errorf("a log's control characters reach the terminal:\n%q", text)
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"plain [1] ünï": "plain [1] ünï",
		"\x1b[2J":       `\x1b[2J`,
		"a\u202eb":      `a\u202eb`,
		"a\u2028b":      `a\u2028b`,
		"bad \xff":      `bad \xff`,
		"tab\tnl\n":     `tab\tnl\n`,
	} {
		if got := Quote(in); got != want {
			t.Errorf("Quote(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestNumbersForPeople(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000"} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%d) = %s, want %s", n, got, want)
		}
	}
	if percent(99.97) != "99.9 %" || percent(0.01) != "0.1 %" || percent(100) != "100.0 %" {
		t.Error("a share near an end is rounded to the end")
	}
}
