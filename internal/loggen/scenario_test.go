package loggen

import (
	"strconv"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

// one is a thing that a source did: when, in seconds, and to whom.
type one struct {
	at  int64
	who string
}

// dossier is what a source did, as far as rules can count it.
type dossier struct {
	unknown, good, connects, idle, spam, auth []one
	users                                     []one
	success                                   int64
}

// most returns how many distinct ones lie in a window that ends at a source's own deed, the most of all such windows;
// each is called with the number at every deed and may end the search.
func most(list []one, window int64, each func(i, n int) bool) int {
	count, lo, best := map[string]int{}, 0, 0
	for i := range list {
		count[list[i].who]++
		for list[lo].at <= list[i].at-window {
			if count[list[lo].who]--; count[list[lo].who] == 0 {
				delete(count, list[lo].who)
			}
			lo++
		}
		best = max(best, len(count))
		if each != nil && !each(i, len(count)) {
			break
		}
	}
	return best
}

// guilty says whether the rules, with the guards that keep what a source or a recipient did before, hold something
// against the source. A list of everybody who ever got mail is kept by who gathers the dossier.
func (d *dossier) guilty() string {
	for _, x := range []struct {
		window int64
		base   int
	}{{3_600, 10}, {86_400, 15}, {7 * 86_400, 30}} {
		hit := false
		most(d.unknown, x.window, func(i, n int) bool {
			now, base := d.unknown[i].at, x.base
			before, lately := 0, map[string]bool{}
			for _, g := range d.good {
				if g.at <= now {
					before++
					if g.at > now-max(86_400, x.window) {
						lately[g.who] = true
					}
				}
			}
			if before >= 3 {
				base *= 4
			}
			hit = n >= base+2*len(lately)
			return !hit
		})
		if hit {
			return "harvest"
		}
	}
	if d.success == 0 && (most(d.auth, 600, nil) >= 10 || most(d.auth, 86_400, nil) >= 20 || most(d.users, 86_400, nil) >= 6) {
		return "logins"
	}
	if most(d.connects, 60, nil) >= 100 {
		return "flood"
	}
	if most(d.idle, 600, nil) >= 40 {
		return "hog"
	}
	if len(d.good) == 0 && most(d.spam, 1_800, nil) >= 200 {
		return "spam"
	}
	return ""
}

// gather makes the dossiers of all sources of a run.
func gather(t *testing.T, cfg Config) (map[harvestwatch.Source]*dossier, Truth) {
	t.Helper()
	w, err := newWorldFor(cfg)
	if err != nil {
		t.Fatal(err)
	}
	all, got, n := map[harvestwatch.Source]*dossier{}, map[string]bool{}, 0
	truth := tell(t, cfg, func(ev *harvestwatch.Event) {
		src, ok := harvestwatch.SourceOf(ev.Addr)
		if !ok {
			t.Fatalf("%s is no source", ev.Addr)
		}
		d := all[src]
		if d == nil {
			d = &dossier{}
			all[src] = d
		}
		n++
		to, unique := string(ev.Recipient), strconv.Itoa(n)
		switch at := ev.Seconds(); ev.Kind {
		case harvestwatch.Connect:
			d.connects = append(d.connects, one{at, unique})
		case harvestwatch.Disconnect:
			if ev.Idle {
				d.idle = append(d.idle, one{at, unique})
			}
		case harvestwatch.RcptUnknown:
			if out := ev.Time >= w.outFrom && ev.Time < w.outTo; !ev.Null && !out && !got[to] {
				d.unknown = append(d.unknown, one{at, to})
			}
		case harvestwatch.Delivered:
			got[to] = true
			d.good = append(d.good, one{at, to})
		case harvestwatch.SpamRefused:
			d.spam = append(d.spam, one{at, unique})
		case harvestwatch.AuthFail:
			if d.success == 0 || at > d.success+30*86_400 {
				d.auth = append(d.auth, one{at, string(ev.User) + strconv.FormatInt(at/60, 10)})
				d.users = append(d.users, one{at, string(ev.User)})
			}
		case harvestwatch.AuthOK:
			d.success = at
		}
	})
	return all, truth
}

// The labels hold against the rules' arithmetic, done plainly over the events: who must be blocked gives a reason, and
// nobody who must not be does, but the site's own hosts.
func TestScenarioLabelsHold(t *testing.T) {
	own := map[string]bool{}
	for _, p := range Own() {
		own[p.String()] = true
	}
	for i, mix := range []Mix{MixA(), MixB(), MixC()} {
		all, truth := gather(t, Config{Seed: uint64(i) + 1, JunkPerDay: 15_000, Duration: 7 * 24 * time.Hour, Warmup: 24 * time.Hour, Mix: mix})
		classes := map[string]int{}
		for _, s := range truth.Sources {
			src, _ := harvestwatch.SourceOf(s.Prefix.Addr())
			why := all[src].guilty()
			if s.Label == MustBlock && why == "" || s.Label == MustNotBlock && why != "" && !own[s.Prefix.String()] {
				t.Errorf("mix %d: %s (%s) is labelled %s, and what speaks against it is %q: %+v", i, s.Prefix, s.Entity, s.Label, why, s.Counts)
			}
			harmless := s.Scenario >= 15 && s.Scenario <= 31 || s.Class == "partner" || s.Class == "monitor"
			if harmless != (s.Label == MustNotBlock) {
				t.Errorf("mix %d: %s is labelled %s", i, s.Entity, s.Label)
			}
			classes[s.Class]++
		}
		shares := mix.shares()
		for c, sp := range specs() {
			if wanted := sp.act != nil && sp.kind != special && (sp.kind != hostile || shares[c] > 0 || class(c) == backscatter); wanted != (classes[sp.name] > 0) {
				t.Errorf("mix %d: %d sources are of the class %s", i, classes[sp.name], sp.name)
			}
		}
	}
}

// Three quarters of the junk are tries at recipients of harvesters, shared out as the mixes say.
func TestMixesShareTheTries(t *testing.T) {
	for _, x := range []struct {
		mix  Mix
		want map[string]float64
	}{
		{MixA(), map[string]float64{"fast": .95, "slow": .05}},
		{MixB(), map[string]float64{"fast": .45, "slow": .15, "botnet": .21, "scatter": .09, "snowshoe": .05, "evader": .05}},
		{MixC(), map[string]float64{"fast": .05, "slow": .05, "botnet": .595, "scatter": .255, "snowshoe": .05}},
	} {
		const junk = 200_000 * 4
		truth := tell(t, Config{Seed: 6, JunkPerDay: 200_000, Duration: 5 * 24 * time.Hour, Warmup: 24 * time.Hour, Mix: x.mix},
			func(*harvestwatch.Event) {})
		tries := map[string]float64{}
		for _, s := range truth.Sources {
			tries[s.Class] += float64(s.Unknown)
			if s.Class == "evader" {
				tries[s.Class] += float64(s.Unknown) / 3 // every fourth recipient exists
			}
		}
		for class, want := range x.want {
			if share := tries[class] / .98 / (junk * .75); share < want*.93-.004 || share > want*1.07+.004 {
				t.Errorf("%s: %.3f of the harvest's tries, want %.3f", class, share, want)
			}
		}
	}
}

func TestWarmupIsPeaceful(t *testing.T) {
	cfg := Config{Seed: 8, JunkPerDay: 20_000, Duration: 4 * 24 * time.Hour, Warmup: 2 * 24 * time.Hour, Mix: MixB()}
	w, err := newWorldFor(cfg)
	if err != nil {
		t.Fatal(err)
	}
	good := 0
	truth := tell(t, cfg, func(ev *harvestwatch.Event) {
		if ev.Kind == harvestwatch.Delivered && ev.Time < w.open {
			good++
		}
	})
	for _, s := range truth.Sources {
		if s.Label != MustNotBlock && s.First.UnixNano() < w.open {
			t.Errorf("%s begins at %s", s.Entity, s.First)
		}
	}
	if good < 2_000 {
		t.Errorf("%d deliveries before the hostile ones begin", good)
	}
}

// What only some scenarios have is there: the outage refuses who exists, the clock goes wrong, lines are torn.
func TestIncidents(t *testing.T) {
	cfg := Config{Seed: 4, JunkPerDay: 60_000, Duration: 4 * 24 * time.Hour, Warmup: 24 * time.Hour, Mix: MixA(), Also: []string{"clock"}}
	w, err := newWorldFor(cfg)
	if err != nil {
		t.Fatal(err)
	}
	exist := map[string]bool{}
	for k := range uint64(mailboxes) {
		exist[string(appendValid(nil, k))] = true
	}
	out, wrong, late, taken, last := 0, 0, 0, 0, int64(0)
	tell(t, cfg, func(ev *harvestwatch.Event) {
		inside := ev.Time >= w.outFrom && ev.Time < w.outTo
		switch {
		case ev.Kind == harvestwatch.RcptUnknown && exist[string(ev.Recipient)]:
			if out++; !inside {
				wrong++
			}
		case ev.Kind == harvestwatch.RcptOK && inside && ev.User == nil:
			taken++
		}
		if ev.Time < last {
			late++
		}
		last = max(last, ev.Time)
	})
	if out < 40 || wrong > 0 || taken > 20 {
		t.Errorf("%d existing recipients are unknown, %d of them outside the outage; %d were taken in it", out, wrong, taken)
	}
	if late < 100 {
		t.Errorf("%d events come late", late)
	}
	open := map[uint64]bool{}
	cfg = Config{Seed: 4, JunkPerDay: 20_000, Duration: 24 * time.Hour, Mix: Mix{Hog: 1}, Also: []string{"restart"}}
	tell(t, cfg, func(ev *harvestwatch.Event) {
		if ev.Kind == harvestwatch.Connect || ev.Kind == harvestwatch.Disconnect {
			open[ev.Session] = ev.Kind == harvestwatch.Connect
		}
	})
	cut := 0
	for _, left := range open {
		if left {
			cut++
		}
	}
	if cut < 5 || cut > 200 {
		t.Errorf("the restart cuts %d of %d sessions short", cut, len(open))
	}
	log, truth := generate(t, Config{Seed: 4, Scenarios: []string{"malformed"}, Duration: 24 * time.Hour})
	if truth.Lines < 100 || len(truth.Sources) != 0 || count(log, "\n") != truth.Lines {
		t.Errorf("%d malformed lines of %d sources", truth.Lines, len(truth.Sources))
	}
}

func TestReadersAreInOrder(t *testing.T) {
	for which := range uint64(40) {
		last, gone, all := "", 0, map[string]bool{}
		for j := range readers {
			b, dead := appendReader(nil, which, j, readers)
			if dead {
				gone++
			}
			if string(b[:4]) < last {
				t.Errorf("list %d: reader %d is %s, behind %s", which, j, b, last)
			}
			last = string(b[:4])
			all[string(b)] = true
		}
		if gone != readers*3/10 || len(all) != readers {
			t.Errorf("list %d: %d of %d readers are gone", which, gone, len(all))
		}
	}
}
