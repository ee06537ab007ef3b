package main

import (
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/rules"
	"github.com/harvestwatch/harvestwatch/store"
)

// opened makes a daemon that enforces, in its records only, and does not run.
func (c *configured) opened(t *testing.T) *daemon {
	t.Helper()
	cfg, err := loadConfig(c.config, true)
	if err != nil {
		t.Fatal(err)
	}
	p := &program{strings.NewReader(""), io.Discard, io.Discard, time.Now}
	d, err := p.newDaemon(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// inRecords is a configuration of a daemon that blocks in its records only.
const inRecords = "mode = \"enforce\"\n[firewall]\nenforcer = \"none\"\n[[input]]\npath = \"DIR/mail.log\"\n"

// decidedOf is a decision about a source by a rule that is in force, so long ago.
func decidedOf(t *testing.T, from string, action harvestwatch.Action, ago time.Duration) harvestwatch.Decision {
	t.Helper()
	src, ok := harvestwatch.ParseSource(from)
	if !ok {
		t.Fatalf("no source: %s", from)
	}
	fired := time.Now().Add(-ago)
	return harvestwatch.Decision{Action: action, Reason: "ten guesses", Until: fired.Add(24 * time.Hour), Offence: harvestwatch.Offence{
		Source: src, Rule: "harvest", First: fired, Fired: fired, Window: time.Hour, Count: 10, Threshold: 10, Level: 1, Addr: src.Prefix().Addr()}}
}

// adopting commits decisions that were made while the daemon observed, and returns what it then puts into effect.
func adopting(t *testing.T, d *daemon, list ...harvestwatch.Decision) (blocked []string) {
	t.Helper()
	batch := &store.Batch{Now: time.Now()}
	for _, dec := range list {
		batch.Decisions = append(batch.Decisions, store.Record{Decision: dec})
	}
	if err := d.st.Commit(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	records, err := d.st.History(t.Context(), store.Query{})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.adoptObserved(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	return holding(t, d)
}

// holding returns the prefixes that are blocked now.
func holding(t *testing.T, d *daemon) (list []string) {
	t.Helper()
	active, err := d.st.ActiveBlocks(t.Context(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range active {
		list = append(list, b.Prefix.String())
	}
	return list
}

// TestWhoIsSparedByNameIsNotAdopted: a would-be block of somebody whose verified name is on the accept list by now, or a
// provider's, is not put into effect; nor is one that was decided before the name was known.
func TestWhoIsSparedByNameIsNotAdopted(t *testing.T) {
	c := newConfigured(t, inRecords+"[lists]\nallow = \"DIR/allow\"\n")
	c.write(t, "allow", []byte(".partner.example\n240.0.0.4\n"))
	d := c.opened(t)
	friend, provider := decidedOf(t, "240.0.0.1", harvestwatch.ActObserve, time.Hour), decidedOf(t, "240.0.0.2", harvestwatch.ActObserve, time.Hour)
	friend.Offence.Name, provider.Offence.Name = "mx.partner.example", "mail-lj1.google.com"
	stranger, listed := decidedOf(t, "240.0.0.3", harvestwatch.ActObserve, time.Hour), decidedOf(t, "240.0.0.4", harvestwatch.ActObserve, time.Hour)
	stranger.Offence.Name = "mx.bulk.example"
	nameless, named := decidedOf(t, "240.0.0.5", harvestwatch.ActObserve, 2*time.Hour), decidedOf(t, "240.0.0.5", harvestwatch.ActSuppress, time.Hour)
	named.Offence.Name, named.Guard = "mail-lj2.google.com", rules.GuardVerified
	got := adopting(t, d, friend, provider, stranger, listed, nameless, named)
	if want := []string{"240.0.0.3/32"}; !slices.Equal(got, want) {
		t.Errorf("put into effect: %v, want %v", got, want)
	}
}

// TestEachTargetIsAdopted: what holds of a source and of its network is put into effect for both, whatever was suppressed or
// only told since.
func TestEachTargetIsAdopted(t *testing.T) {
	d := newConfigured(t, inRecords).opened(t)
	network := decidedOf(t, "240.0.1.1", harvestwatch.ActObserve, time.Hour)
	network.Offence.Prefix = netip.MustParsePrefix("240.0.1.0/24")
	budget := decidedOf(t, "240.0.2.1", harvestwatch.ActSuppress, time.Hour)
	budget.Guard = rules.GuardBudget
	alert := decidedOf(t, "240.0.3.1", harvestwatch.ActAlert, time.Hour)
	got := adopting(t, d, decidedOf(t, "240.0.1.1", harvestwatch.ActObserve, 2*time.Hour), network,
		decidedOf(t, "240.0.2.1", harvestwatch.ActObserve, 2*time.Hour), budget,
		decidedOf(t, "240.0.3.1", harvestwatch.ActObserve, 2*time.Hour), alert,
		decidedOf(t, "240.0.4.1", harvestwatch.ActObserve, 2*time.Hour), decidedOf(t, "240.0.4.1", harvestwatch.ActObserve, time.Hour))
	if want := []string{"240.0.1.0/24", "240.0.1.1/32", "240.0.2.1/32", "240.0.3.1/32", "240.0.4.1/32"}; !slices.Equal(got, want) {
		t.Errorf("put into effect: %v, want %v", got, want)
	}
	blocks, err := d.st.Blocks(t.Context(), time.Time{}, 0)
	if err != nil || len(blocks) != 5 {
		t.Errorf("%d blocks (%v): of two for one target only the newer counts", len(blocks), err)
	}
}

// TestOutageEndsWhatWasAdopted: the roll-back of an outage reaches blocks that were decided while observing.
func TestOutageEndsWhatWasAdopted(t *testing.T) {
	d := newConfigured(t, inRecords).opened(t)
	dec := decidedOf(t, "240.0.0.1", harvestwatch.ActObserve, time.Minute)
	if got := adopting(t, d, dec, decidedOf(t, "240.0.0.2", harvestwatch.ActObserve, time.Minute)); len(got) != 2 {
		t.Fatalf("put into effect: %v", got)
	}
	j := newRecorder(d)
	j.Notice(&harvestwatch.Notice{Guard: rules.GuardOutage, At: time.Now(), Reason: "down", Release: []harvestwatch.Source{dec.Offence.Source}})
	if err := j.commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := holding(t, d), []string{"240.0.0.2/32"}; !slices.Equal(got, want) {
		t.Errorf("after the roll-back: %v, want %v", got, want)
	}
}

// TestRolloutDoesNotFeedTheBreaker: what the roll-out alone kept from being a block counts for the breaker no more after a
// restart than before; what would have been blocked does.
func TestRolloutDoesNotFeedTheBreaker(t *testing.T) {
	for guard, want := range map[string]harvestwatch.Action{rules.GuardRollout: harvestwatch.ActBlock, "": harvestwatch.ActSuppress} {
		d := newConfigured(t, inRecords).opened(t)
		batch := &store.Batch{Now: time.Now()}
		for i := range 200 { // more than may be blocked within a minute
			dec := decidedOf(t, fmt.Sprintf("240.0.0.%d", i), harvestwatch.ActObserve, time.Second)
			dec.Guard = guard
			batch.Decisions = append(batch.Decisions, store.Record{Decision: dec})
		}
		if err := d.st.Commit(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		if err := d.resumeJudge(t.Context()); err != nil {
			t.Fatal(err)
		}
		o := decidedOf(t, "240.0.1.1", harvestwatch.ActBlock, 0).Offence
		o.RuleIndex = slices.IndexFunc(d.set.Rules, func(r rules.Rule) bool { return r.Name == o.Rule })
		if dec := d.judge.Judge(&o); dec.Action != want {
			t.Errorf("guard %q: %s (%s), want %s", guard, dec.Action, dec.Reason, want)
		}
	}
}
