// Package fwtest is the suite that every enforcer must pass, and a reference enforcer in memory. It is for tests
// only: nothing outside tests imports it. It starts no goroutine of its own.
package fwtest

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/firewall"
)

// Harness is one empty device for one test. The suite asks for a fresh one per case.
type Harness struct {
	// Open opens an enforcer on the device; the suite closes it, and may open the device again after that.
	Open func() (firewall.Enforcer, error)
	// Now is the clock that the enforcer was given.
	Now func() time.Time
	// Advance lets time pass for device and clock; nil where time passes by itself and the suite polls.
	Advance func(time.Duration)
	// Foreign changes something that Changed must notice, by another way than the enforcer; nil where there is none.
	Foreign func()
	// Slack is how far a listed end may lie from the one that was applied; 0 means half a second.
	Slack time.Duration
	// Many is the number of entries in the large case; 0 means 10,000.
	Many int
}

// Run holds an enforcer to its contract. Start is called once per case and registers its own cleanup.
func Run(t *testing.T, start func(t *testing.T) Harness) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h := start(t)
			if h.Slack == 0 {
				h.Slack = time.Second / 2
			}
			if h.Many == 0 {
				h.Many = 10_000
			}
			b := &bench{T: t, Harness: h}
			b.open()
			defer func() { _ = b.e.Close() }()
			c.run(b)
		})
	}
}

type testCase struct {
	name string
	run  func(*bench)
}

// bench is one case at work.
type bench struct {
	*testing.T
	Harness
	e firewall.Enforcer
}

func (b *bench) open() {
	b.Helper()
	e, err := b.Open()
	if err != nil {
		b.Fatalf("open: %v", err)
	}
	b.e = e
}

func (b *bench) list() []firewall.Entry {
	b.Helper()
	es, _, err := b.e.List(b.Context())
	if err != nil {
		b.Fatalf("list: %v", err)
	}
	return es
}

func (b *bench) apply(d firewall.Diff) {
	b.Helper()
	if err := b.e.Apply(b.Context(), d); err != nil {
		b.Fatalf("apply: %v", err)
	}
}

// in returns an entry that ends so much later.
func (b *bench) in(prefix string, d time.Duration) firewall.Entry {
	return firewall.Entry{Prefix: netip.MustParsePrefix(prefix), Until: b.Now().Add(d)}
}

// has fails the test unless exactly these entries are in effect, each ending within the slack.
func (b *bench) has(want ...firewall.Entry) {
	b.Helper()
	have := b.list()
	slices.SortFunc(want, func(x, y firewall.Entry) int { return x.Prefix.Compare(y.Prefix) })
	if len(have) != len(want) {
		b.Fatalf("%d entries in effect, want %d: %v", len(have), len(want), short(have))
	}
	for i, w := range want {
		if have[i].Prefix != w.Prefix {
			b.Fatalf("entry %d is %s, want %s", i, have[i].Prefix, w.Prefix)
		}
		if off := have[i].Until.Sub(w.Until).Abs(); off > b.Slack {
			b.Errorf("%s ends at %s, want %s: %s apart", w.Prefix, have[i].Until, w.Until, off)
		}
	}
}

func short(es []firewall.Entry) []firewall.Entry { return es[:min(len(es), 10)] }

// until lets time pass until the condition holds, at most for the duration given.
func (b *bench) until(most time.Duration, what string, ok func() bool) {
	b.Helper()
	const step = 50 * time.Millisecond
	for waited := time.Duration(0); waited < most; waited += step {
		if ok() {
			return
		}
		b.pass(step)
	}
	if !ok() {
		b.Fatalf("not within %s: %s", most, what)
	}
}

// pass lets time pass.
func (b *bench) pass(d time.Duration) {
	if b.Advance != nil {
		b.Advance(d)
		return
	}
	ctx, cancel := context.WithTimeout(b.Context(), d)
	defer cancel()
	<-ctx.Done()
}

// blocks turns entries into what the database would want.
func (b *bench) blocks(es ...firewall.Entry) []harvestwatch.Block {
	out := make([]harvestwatch.Block, len(es))
	for i, e := range es {
		out[i] = harvestwatch.Block{Prefix: e.Prefix, From: b.Now().Add(-time.Minute), Until: e.Until}
	}
	return out
}

// supported leaves out the prefixes that the enforcer doesn't take.
func (b *bench) supported(es ...firewall.Entry) []firewall.Entry {
	return slices.DeleteFunc(es, func(e firewall.Entry) bool { return !b.e.Caps().Supports(e.Prefix) })
}

// failed returns the prefixes that an ApplyError names.
func failed(err error) []netip.Prefix {
	var ae *firewall.ApplyError
	if !errors.As(err, &ae) {
		return nil
	}
	var out []netip.Prefix
	for _, f := range ae.Failed {
		out = append(out, f.Prefix)
	}
	return out
}
