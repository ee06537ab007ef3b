package loggen

import (
	"errors"
	"hash/maphash"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

// tell runs Events and hands on each event.
func tell(t testing.TB, cfg Config, each func(ev *harvestwatch.Event)) Truth {
	t.Helper()
	truth, err := Events(cfg, func(ev *harvestwatch.Event) bool { each(ev); return true })
	if err != nil {
		t.Fatal(err)
	}
	return truth
}

func TestEventsAgreeWithTheTruth(t *testing.T) {
	for i, mix := range []Mix{MixA(), MixB(), MixC(), Classic()} {
		cfg := Config{Seed: 7, JunkPerDay: 20_000, Duration: 3 * 24 * time.Hour, Warmup: 12 * time.Hour, Mix: mix}
		var n [harvestwatch.Kinds]int64
		lines, last := int64(0), int64(0)
		truth := tell(t, cfg, func(ev *harvestwatch.Event) {
			n[ev.Kind]++
			if lines++; ev.Pos.Line != lines || ev.Time < last || ev.Session == 0 || !ev.Addr.IsValid() {
				t.Fatalf("event %d, behind one at %d, is %+v", lines, last, ev)
			}
			last = ev.Time
		})
		c := truth.Total
		for _, x := range []struct {
			kind harvestwatch.Kind
			told int64
		}{
			{harvestwatch.Connect, c.Connects}, {harvestwatch.Disconnect, truth.Sessions}, {harvestwatch.RcptUnknown, c.Unknown},
			{harvestwatch.RcptRefused, c.Refused - n[harvestwatch.RcptRelayDenied]}, {harvestwatch.Accepted, c.Accepted},
			{harvestwatch.Delivered, c.Delivered}, {harvestwatch.SpamRefused, c.SpamRefused}, {harvestwatch.AuthFail, c.AuthFails},
		} {
			if n[x.kind] != x.told || x.told == 0 {
				t.Errorf("mix %d: %d events are %s, the truth has %d", i, n[x.kind], x.kind, x.told)
			}
		}
		if truth.Events != lines || truth.Good == 0 || truth.Good > c.Accepted || truth.Lines != 0 {
			t.Errorf("mix %d: %d events, the truth has %d, and %d good messages of %d accepted", i, lines, truth.Events, truth.Good, c.Accepted)
		}
		if text, err := Generate(discard{}, cfg); err != nil || text.Total != truth.Total || text.Good != truth.Good {
			t.Errorf("mix %d: the truth of the text is %+v, %v; of the events %+v", i, text.Total, err, truth.Total)
		}
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// sum is a hash of all events, and of the truth about all sources.
func sum(t *testing.T, cfg Config) uint64 {
	var h maphash.Hash
	h.SetSeed(hashSeed)
	truth := tell(t, cfg, func(ev *harvestwatch.Event) {
		for _, x := range []uint64{uint64(ev.Time), uint64(ev.Began), ev.Session, uint64(ev.Kind)} {
			maphash.WriteComparable(&h, x)
		}
		maphash.WriteComparable(&h, ev.Addr)
		for _, x := range [][]byte{ev.Helo, ev.Name, ev.Sender, ev.Recipient, ev.User} {
			_, _ = h.Write(x)
		}
	})
	for i := range truth.Sources {
		maphash.WriteComparable(&h, truth.Sources[i])
	}
	return h.Sum64()
}

var hashSeed = maphash.MakeSeed()

func TestSameSeedSameEvents(t *testing.T) {
	cfg := Config{Seed: 42, JunkPerDay: 5_000, Duration: 48 * time.Hour, Mix: MixB(), Also: []string{"clock", "restart"}}
	a := sum(t, cfg)
	if b := sum(t, cfg); a != b {
		t.Error("the same configuration gave different events")
	}
	cfg.Seed++
	if b := sum(t, cfg); a == b {
		t.Error("another seed gave the same events")
	}
}

func TestEventsEndEarly(t *testing.T) {
	n := 0
	truth, err := Events(Config{JunkPerDay: 5_000, Duration: 24 * time.Hour}, func(*harvestwatch.Event) bool { n++; return n < 1_000 })
	if err != nil || n != 1_000 || truth.Events != 1_000 || truth.Total.Connects < 100 {
		t.Errorf("%d events were told after the thousandth was refused: %v, %+v", n, err, truth.Total)
	}
	if _, err := Events(Config{Duration: -1}, nil); !errors.Is(err, ErrConfig) {
		t.Errorf("got %v, want an error about the configuration", err)
	}
}

// What an entity does doesn't depend on who else takes part, whether hostile or harmless.
func TestScenariosDoNotChangeEachOther(t *testing.T) {
	cfg := Config{Seed: 5, JunkPerDay: 10_000, Duration: 48 * time.Hour, Warmup: 6 * time.Hour, Mix: MixB()}
	classOfSource := map[harvestwatch.Source]string{}
	all := tell(t, cfg, func(*harvestwatch.Event) {})
	for _, s := range all.Sources {
		src, _ := harvestwatch.SourceOf(s.Prefix.Addr())
		classOfSource[src] = s.Class
	}
	w, _ := newWorldFor(cfg) // the outage is the one that others feel
	count := func(cfg Config) map[string]uint64 {
		m := map[string]uint64{}
		tell(t, cfg, func(ev *harvestwatch.Event) {
			if ev.Time < w.outFrom {
				src, _ := harvestwatch.SourceOf(ev.Addr)
				m[classOfSource[src]] += mix64(uint64(ev.Time)<<4 + uint64(ev.Kind))
			}
		})
		return m
	}
	together := count(cfg)
	for class, want := range together {
		alone := cfg
		alone.Scenarios = []string{class}
		if got := count(alone); got[class] != want || len(got) != 1 {
			t.Errorf("%s behaves differently alone: %d classes take part", class, len(got))
		}
	}
	if len(together) < 30 {
		t.Errorf("only %d classes take part", len(together))
	}
}

// newWorldFor makes the world of a configuration without letting time pass.
func newWorldFor(cfg Config) (*world, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	f, _ := formatOf(cfg.Format)
	return newWorld(cfg, f), nil
}

func TestEventsAllocateNothing(t *testing.T) {
	cfg := Config{Seed: 1, JunkPerDay: 20_000, Duration: 24 * time.Hour, Mix: MixA()}
	w, err := newWorldFor(cfg)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	teller := newTeller(w, func(*harvestwatch.Event) bool { n++; return n%20_000 != 0 })
	w.run(teller) // until everything has its size
	allocs := testing.AllocsPerRun(1, func() {
		w.stopped = false
		w.run(teller)
	})
	if allocs > 300 || n < 59_000 {
		t.Errorf("%.0f allocations for 20,000 of %d events", allocs, n)
	}
}

func BenchmarkEvents(b *testing.B) {
	for i, mix := range []Mix{MixA(), MixB(), MixC()} {
		b.Run(string(rune('A'+i)), func(b *testing.B) {
			b.ReportAllocs()
			n := int64(0)
			for b.Loop() {
				truth := tell(b, Config{Seed: 1, JunkPerDay: 550_000, Duration: 24 * time.Hour, Mix: mix}, func(*harvestwatch.Event) {})
				n += truth.Events
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/event")
			b.ReportMetric(float64(n)/float64(b.N), "events")
		})
	}
}
