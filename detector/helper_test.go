package detector

import (
	"net/netip"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/rules"
)

// start is where the tests' time begins.
const start = 1_700_000_000

var testKey = [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}

func mustSet(t testing.TB, list ...rules.Rule) *rules.Set {
	t.Helper()
	s, err := rules.New(list...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func byDefault(t testing.TB) *bench {
	return &bench{t, New(rules.Default(), Options{Key: testKey}), rules.Default(), true}
}

// bench drives a detector with the judge's actions made simple.
type bench struct {
	t   testing.TB
	d   *Detector
	set *rules.Set
	act bool // settle offences by blocking along the ladder
}

func addr(text string) netip.Addr { return netip.MustParseAddr(text) }

func src(text string) harvestwatch.Source {
	s, ok := harvestwatch.ParseSource(text)
	if !ok {
		panic(text)
	}
	return s
}

// see observes an event at a number of seconds after start and settles what comes of it.
func (b *bench) see(sec int64, ev harvestwatch.Event) harvestwatch.Outcome {
	b.t.Helper()
	ev.Time = (start + sec) * int64(time.Second)
	out := b.d.Observe(&ev)
	if o := out.Offence; o != nil && b.act {
		step := b.set.Rules[o.RuleIndex].Step(o.Level)
		b.d.Settle(&harvestwatch.Decision{Offence: *o, Action: harvestwatch.ActBlock, Until: o.Fired.Add(step)})
	}
	return out
}

func unknown(from, rcpt string) harvestwatch.Event {
	return harvestwatch.Event{Kind: harvestwatch.RcptUnknown, Addr: addr(from), Code: 550, Recipient: []byte(rcpt)}
}

func delivered(from, rcpt string) harvestwatch.Event {
	return harvestwatch.Event{Kind: harvestwatch.Delivered, Addr: addr(from), Code: 250, Recipient: []byte(rcpt)}
}

func connect(from string) harvestwatch.Event {
	return harvestwatch.Event{Kind: harvestwatch.Connect, Addr: addr(from)}
}

func authFail(from, user string) harvestwatch.Event {
	return harvestwatch.Event{Kind: harvestwatch.AuthFail, Addr: addr(from), Code: 535, User: []byte(user)}
}

func authOK(from string) harvestwatch.Event {
	return harvestwatch.Event{Kind: harvestwatch.AuthOK, Addr: addr(from), Code: 235, User: []byte("jo")}
}

// counted returns what a rule's condition would count for a source now, capped at what is kept.
func (d *Detector) counted(s harvestwatch.Source, n, cond int) int {
	id := d.table.find(s)
	if id == 0 {
		return 0
	}
	ct := &d.counters[d.rules[n].counter]
	list := d.slabs.live(d.table.rec(id)[wLists+d.rules[n].counter], ct.cutoff(d.now, d.rules[n].conds[cond].window))
	return d.cap(n, ct.total(list))
}

// cap limits a count to what is kept for a rule.
func (d *Detector) cap(n, count int) int {
	if ct := &d.counters[d.rules[n].counter]; ct.bucket == 0 {
		return min(count, ct.limit)
	}
	return count
}
