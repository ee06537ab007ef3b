package main

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/store"
)

func TestAppendString(t *testing.T) {
	for in, want := range map[string]string{
		"m\xfcller@kontor.example": "müller@kontor.example", "\x80\x92": "€’", "\x81": "\ufffd", "müller": "müller",
		"\x1b[31m\x00\"\\\n": "\x1b[31m\x00\"\\\n", "\u202e": "\u202e",
	} {
		out := appendString(nil, []byte(in))
		var got string
		if err := json.Unmarshal(out, &got); err != nil || got != want {
			t.Errorf("%q: %s is %q (%v), want %q", in, out, got, err, want)
		}
		for _, r := range string(out) {
			if unsafeRune(r) || r < ' ' {
				t.Errorf("%q: %q reaches the terminal", in, out)
			}
		}
	}
}

// A decision about a prefix names the prefix, and one by a shared name says which, with nothing in it that a terminal obeys.
func TestWhyNamesTargetAndGroup(t *testing.T) {
	r := store.Record{Decision: harvestwatch.Decision{Action: harvestwatch.ActObserve, Offence: harvestwatch.Offence{Source: 0xc0000207, Rule: "prefix",
		Key: "prefix", Group: "192.0.2.0/24", Prefix: netip.MustParsePrefix("192.0.2.0/24")}}}
	var b strings.Builder
	j := toJSON(&r, time.Unix(0, 0))
	printRecord(&lineWriter{w: &b}, &j)
	if out := b.String(); !strings.Contains(out, "192.0.2.0/24  observe") || !strings.Contains(out, "reached by an event of 192.0.2.7\n") || strings.Count(out, "/24") != 1 {
		t.Errorf("%s", out)
	}
	r.Decision.Offence = harvestwatch.Offence{Source: 0xc0000207, Rule: "campaign", Key: "helo and sender_domain", Group: "win-\x1b[2J bulk.example"}
	b.Reset()
	j = toJSON(&r, time.Unix(0, 0))
	printRecord(&lineWriter{w: &b}, &j)
	if out := b.String(); !strings.Contains(out, "192.0.2.7  observe") || !strings.Contains(out, "helo and sender domain ") || strings.Contains(out, "\x1b") {
		t.Errorf("%q", out)
	}
}
