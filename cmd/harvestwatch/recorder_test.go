package main

import (
	"slices"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/rules"
	"github.com/harvestwatch/harvestwatch/store"
)

// TestReleaseEndsWhatCameBefore: a notice takes back the blocks from before it, also those of its own commit; who is blocked
// after it, in that commit too, stays blocked, as the detector has it.
func TestReleaseEndsWhatCameBefore(t *testing.T) {
	d := newConfigured(t, inRecords).opened(t)
	j := newRecorder(d)
	decide := func(from string, ago time.Duration) harvestwatch.Source {
		dec := decidedOf(t, from, harvestwatch.ActBlock, ago)
		j.Decision(&dec)
		return dec.Offence.Source
	}
	commit := func() {
		if err := j.commit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	old := decide("240.0.0.1", time.Hour)
	commit()
	gone, again := decide("240.0.0.2", 5*time.Minute), decide("240.0.0.3", 5*time.Minute)
	j.Notice(&harvestwatch.Notice{Guard: rules.GuardOutage, At: time.Now(), Reason: "down", Release: []harvestwatch.Source{old, gone, again}})
	decide("240.0.0.3", time.Minute)
	decide("240.0.0.4", time.Minute)
	commit()
	want := []string{"240.0.0.3/32", "240.0.0.4/32"}
	if got := holding(t, d); !slices.Equal(got, want) {
		t.Errorf("blocked: %v, want %v", got, want)
	}
	wanted, err := d.wanted(t.Context())
	if err != nil || len(wanted) != len(want) {
		t.Errorf("wanted in the firewall: %v (%v)", wanted, err)
	}
	records, err := d.st.History(t.Context(), store.Query{Prefix: again.Prefix()})
	if err != nil || len(records) != 2 || !records[0].Ended.IsZero() || records[1].Ended.IsZero() {
		t.Errorf("%+v (%v)", records, err)
	}
	j.Notice(&harvestwatch.Notice{Guard: rules.GuardOutage, At: time.Now(), Reason: "down", Release: []harvestwatch.Source{again}})
	commit()
	if got, want := holding(t, d), want[1:]; !slices.Equal(got, want) {
		t.Errorf("after another notice: %v, want %v", got, want)
	}
}

// TestBlockedWithoutANameIsAskedAbout: who is blocked, or would be, while his name is not known is asked about, also when he
// was no new suspect; not what was read late, nor who has a name.
func TestBlockedWithoutANameIsAskedAbout(t *testing.T) {
	dns := suspectWorld(t)
	c := newConfigured(t, asking(dns.addr, "names = true\n"))
	d := c.opened(t)
	j := newRecorder(d)
	for i, dec := range []harvestwatch.Decision{
		decidedOf(t, "192.88.99.1", harvestwatch.ActBlock, 0), decidedOf(t, "192.88.99.2", harvestwatch.ActObserve, 0),
		decidedOf(t, "192.88.99.3", harvestwatch.ActBlock, time.Hour), decidedOf(t, "192.88.99.4", harvestwatch.ActSuppress, 0),
		decidedOf(t, "192.88.99.5", harvestwatch.ActAlert, 0), decidedOf(t, "192.88.99.6", harvestwatch.ActBlock, 0),
	} {
		if i == 5 {
			dec.Offence.Name = "mx.bulk.example"
		}
		before := d.asker.Stats().Asked
		j.Decision(&dec)
		if got, want := d.asker.Stats().Asked-before, map[bool]int64{true: 1}[i < 2]; got != want {
			t.Errorf("%s %s: asked about %d times, want %d", dec.Offence.Source, dec.Action, got, want)
		}
	}
}
