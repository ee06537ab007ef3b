package evaluate

import (
	"strings"
	"testing"
)

// sound returns a result that passes every gate, each at its bound.
func sound() *Result {
	class := func() []Class {
		return []Class{{Class: "evader", Attempts: 100, Prevented: 90}, {Class: "fast", Attempts: 100, Prevented: 95, AttemptsP95: 15}}
	}
	mix := func(name string, prevented int64, worst float64) Found {
		return Found{Mix: name, Contenders: []Metrics{
			{Contender: "ours", Probes: 100, Prevented: prevented, Worst: worst, Good: 20000, GoodHit: 2, MaxDelay: 4 * 3600, Events: 100_000, Seconds: 1,
				Classes: class()},
			{Contender: "theirs", MaxDelay: 1 << 20, Good: 1, GoodHit: 1, Wrong: []Wrong{{Scenario: 20}}}, // the gates don't look at others
		}}
	}
	return &Result{Mixes: []Found{mix("A", 92, .9), mix("B", 60, .1), mix("C", 1, .01)}, Replays: []Restart{{Mix: "A", Alike: true}},
		Footprint: &Footprint{Sources: 10, Bytes: 1200}}
}

// TestEveryGateCanFail spoils one figure after the other: exactly the gate that watches it fails.
func TestEveryGateCanFail(t *testing.T) {
	mixA := func(r *Result) *Metrics { return &r.Mixes[0].Contenders[0] }
	mixB := func(r *Result) *Metrics { return &r.Mixes[1].Contenders[0] }
	mixC := func(r *Result) *Metrics { return &r.Mixes[2].Contenders[0] }
	spoiled := map[string]map[string]func(r *Result){
		"mix A: probes prevented, all seeds":                   {"less": func(r *Result) { mixA(r).Prevented-- }, "none": func(r *Result) { mixA(r).Probes = 0 }},
		"mix A: probes prevented, worst seed":                  {"less": func(r *Result) { mixA(r).Worst -= .001 }},
		"mix B: probes prevented, all seeds":                   {"less": func(r *Result) { mixB(r).Prevented-- }},
		"scenarios 19 to 30: sources blocked that must not be": {"19": wrongly(19), "30": wrongly(30)},
		"elsewhere: sources blocked that must not be":          {"none": wrongly(0), "17": wrongly(17), "34": wrongly(34)},
		"good deliveries delayed, worst mix":                   {"three": func(r *Result) { mixC(r).GoodHit = 3 }, "no mail": func(r *Result) { mixB(r).Good = 0 }},
		"longest delay of a good delivery":                     {"second": func(r *Result) { mixC(r).MaxDelay++ }},
		"mix A: attempts until a fast one is blocked, p95": {"16": func(r *Result) { mixA(r).Classes[1].AttemptsP95++ },
			"never": func(r *Result) { mixA(r).Classes[1].AttemptsP95 = -1 }, "none": func(r *Result) { mixA(r).Classes = mixA(r).Classes[:1] }},
		"evaders: attempts leaked, worst mix":        {"more": func(r *Result) { mixB(r).Classes[0].Prevented-- }},
		"worlds decided alike with restarts between": {"not": func(r *Result) { r.Replays[0].Alike = false }, "none": func(r *Result) { r.Replays = nil }},
		"bytes a source, at the most sources":        {"more": func(r *Result) { r.Footprint.Bytes++ }, "none": func(r *Result) { r.Footprint = nil }},
		"events a second and core, slowest mix":      {"slower": func(r *Result) { mixC(r).Events-- }, "no clock": func(r *Result) { mixA(r).Seconds = 0 }},
	}
	for _, g := range Gates() {
		if v := g.judge(sound()); !v.Pass || v.Measured == "" || v.Bound == "" {
			t.Errorf("%s fails a sound result: %s", g.Name, v.Measured)
		}
		if v := g.judge(&Result{}); v.Pass {
			t.Errorf("%s passes nothing at all: %s", g.Name, v.Measured)
		}
		if len(spoiled[g.Name]) == 0 {
			t.Errorf("%s was never seen to fail", g.Name)
		}
		for how, spoil := range spoiled[g.Name] {
			r := sound()
			spoil(r)
			for _, other := range Gates() {
				if v := other.judge(r); v.Pass != (other.Name != g.Name) && !(how == "none" || how == "no mail") {
					t.Errorf("%s, spoiled (%s): %s says %s, pass %v", g.Name, how, other.Name, v.Measured, v.Pass)
				}
			}
			if v := g.judge(r); v.Pass {
				t.Errorf("%s passes when spoiled (%s): %s", g.Name, how, v.Measured)
			}
		}
	}
}

// wrongly has a source of a scenario blocked.
func wrongly(scenario int) func(r *Result) {
	return func(r *Result) {
		m := &r.Mixes[2].Contenders[0]
		m.Wrong = append(m.Wrong, Wrong{Scenario: scenario})
	}
}

func TestPassedMeansEveryGate(t *testing.T) {
	r := &Result{Gates: []Verdict{{Pass: true}, {Pass: true}}}
	if !r.Passed() {
		t.Error("all hold")
	}
	r.Gates[1].Pass = false
	if r.Passed() {
		t.Error("one doesn't")
	}
}

func TestSafeAsksForTheGatesOfSafetyOnly(t *testing.T) {
	r := &Result{Gates: []Verdict{{Pass: false}, {Pass: true, Safety: true}}}
	if !r.Safe() || r.Passed() {
		t.Error("a share that is too small is no danger")
	}
	r.Gates[1].Pass = false
	if r.Safe() {
		t.Error("a gate of safety doesn't hold")
	}
	n := 0
	for _, g := range Gates() {
		if g.Safety {
			n++
		}
	}
	if n != 5 {
		t.Errorf("%d gates of safety", n)
	}
}

func TestPercentile(t *testing.T) {
	var list []int64
	for i := range 100 {
		list = append(list, int64(i+1))
	}
	for _, c := range []struct {
		list          []int64
		percent, want int64
	}{
		{list, 50, 50}, {list, 95, 95}, {list, 100, 100}, {list[:1], 95, 1}, {list[:2], 50, 1}, {list[:3], 50, 2}, {nil, 50, -1},
		{[]int64{1, never}, 50, 1}, {[]int64{1, never}, 95, -1},
	} {
		if got := percentile(c.list, int(c.percent)); got != c.want {
			t.Errorf("%d %% of %d values: %d, want %d", c.percent, len(c.list), got, c.want)
		}
	}
}

func TestFiguresOfSeveralWorldsAddUp(t *testing.T) {
	a := Metrics{Probes: 10, Prevented: 9, Worst: .9, Best: .9, Peak: 3, MaxDelay: 5, Good: 1, Classes: []Class{{Class: "slow", Attempts: 4, attempts: []int64{9, 1}}},
		Wrong: []Wrong{{Seed: 1}}}
	b := Metrics{Probes: 30, Prevented: 3, Worst: .1, Best: .1, Peak: 7, MaxDelay: 2, Good: 2, GoodHit: 1,
		Classes: []Class{{Class: "fast", attempts: []int64{never}}, {Class: "slow", Attempts: 6, attempts: []int64{5}}}, Wrong: []Wrong{{Seed: 2}}}
	f := &Found{}
	f.add(&job{metrics: []Metrics{a}, stats: Stats{Worlds: 1, Probes: 10, Concentrated: 5}})
	f.add(&job{metrics: []Metrics{b}, stats: Stats{Worlds: 1, Probes: 30, Concentrated: 5}})
	f.settle()
	m := &f.Contenders[0]
	if m.Share() != .3 || m.Worst != .1 || m.Best != .9 || m.Peak != 7 || m.MaxDelay != 5 || m.Good != 3 || m.GoodHit != 1 || len(m.Wrong) != 2 ||
		f.World.Worlds != 2 || f.World.Reach() != .25 {
		t.Errorf("%+v, %+v", m, f.World)
	}
	if len(m.Classes) != 2 || m.Classes[0].Class != "fast" || m.Classes[0].AttemptsP95 != -1 || m.Classes[1].AttemptsP50 != 5 || m.Classes[1].AttemptsP95 != 9 ||
		m.Classes[1].Attempts != 10 {
		t.Errorf("%+v", m.Classes)
	}
}

func TestTextIsAlignedAndNarrow(t *testing.T) {
	r := sound()
	r.Seeds, r.Tuning = []uint64{101, 102, 103, 110}, []uint64{1}
	for _, g := range Gates() {
		r.Gates = append(r.Gates, g.judge(r))
	}
	r.Sweep = &Found{Mix: "B"}
	for _, e := range Sweep(Setup{}, true) {
		r.Sweep.Contenders = append(r.Sweep.Contenders, Metrics{Contender: e.Name, Cell: e.Cell, Probes: 1e9, Prevented: 1e9, GoodHit: 99999})
	}
	r.Ablation = &Found{Mix: "B", Contenders: []Metrics{{Contender: "all", MaxDelay: 7 * 86400, Probes: 1e9, Prevented: 1e9, Learned: 1e7, Leaked: 1e7, Good: 1e7,
		GoodHit: 1e7, Blocks: 1e7, HungUp: 1e6, Released: 1e6, Peak: 20000, Events: 1e9, Seconds: 1}}}
	for range 40 {
		r.Ablation.Contenders[0].Wrong = append(r.Ablation.Contenders[0].Wrong, Wrong{Class: "class-" + strings.Repeat("x", len(r.Ablation.Contenders[0].Wrong))})
	}
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(b.String(), "\n") {
		if len(line) > 160 || strings.TrimRight(line, " ") != line {
			t.Errorf("line %d has %d columns: %q", i+1, len(line), line)
		}
	}
	for _, want := range []string{"101-103, 110", "GATES", "MIX A", "ABLATION", "SWEEP", "100.0 /99999 /   0", "10m       0     yes"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing from\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "FAIL") {
		t.Error("a sound result fails")
	}
}
