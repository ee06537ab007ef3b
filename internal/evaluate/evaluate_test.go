package evaluate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/internal/loggen"
	"github.com/harvestwatch/harvestwatch/rules"
)

// small is an evaluation of seconds.
func small() Plan {
	set := rules.Default()
	again := OurEntry("again", "", set, Setup{Restart: 5_003})
	return Plan{Seeds: []uint64{901, 902}, Tuning: []uint64{903}, Days: 1, Junk: 5_000, Good: 300, TuningJunk: 1_000,
		Mixes:   []Mix{{"A", loggen.MixA()}, {"B", loggen.MixB()}},
		Entries: append([]Entry{OurEntry("ours", "", set, Setup{})}, Emulations(loggen.Own()...)...), Restarted: &again,
		Ablation: Ablation(set, Setup{})[:2], Sweep: Sweep(Setup{}, false)[:2], Workers: 2}
}

func write(t *testing.T, r *Result) (text, js string) {
	t.Helper()
	var a, b bytes.Buffer
	if err := errors.Join(r.WriteText(&a), r.WriteJSON(&b)); err != nil {
		t.Fatal(err)
	}
	return a.String(), b.String()
}

func TestEvaluationIsAFunctionOfThePlan(t *testing.T) {
	p := small()
	calls, last := 0, 0
	p.Progress = func(done, all int, what string) {
		if calls++; done != calls || what == "" {
			t.Errorf("call %d: %d of %d, %q", calls, done, all, what)
		}
		last = all
	}
	first, err := Evaluate(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if calls != last || calls != 8 {
		t.Errorf("%d worlds of %d", calls, last)
	}
	p = small()
	p.Workers = 1
	second, err := Evaluate(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	text, js := write(t, first)
	text2, js2 := write(t, second)
	if text != text2 || js != js2 {
		t.Errorf("two runs of one plan differ:\n%s\n%s", text, text2)
	}
	if !json.Valid([]byte(js)) {
		t.Error("no JSON")
	}
	for _, x := range first.Replays {
		if !x.Alike {
			t.Errorf("mix %s was decided differently with restarts between", x.Mix)
		}
	}
	if len(first.Replays) != 2 || len(first.Gates) != len(Gates()) {
		t.Errorf("%d replays, %d gates", len(first.Replays), len(first.Gates))
	}
	p.Seeds, p.Mixes, p.Entries, p.Tuning, p.Sweep, p.Ablation = []uint64{902, 903}, p.Mixes[:1], p.Entries[:1], nil, nil, nil
	if third, err := Evaluate(t.Context(), p); err != nil || third.Mixes[0].Contenders[0].Digest == first.Mixes[0].Contenders[0].Digest {
		t.Errorf("other seeds make no difference: %v", err)
	}
}

func TestOursPrevents(t *testing.T) {
	p := small()
	p.Sweep, p.Ablation, p.Restarted = nil, nil, nil
	r, err := Evaluate(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	a, b := r.Mixes[0].Of("ours"), r.Mixes[1].Of("ours")
	if a.Share() < .75 || b.Share() < .40 || a.Share() <= b.Share() || a.Share() > r.Mixes[0].World.Reach() {
		t.Errorf("prevented %.3f of mix A and %.3f of mix B, of at best %.3f", a.Share(), b.Share(), r.Mixes[0].World.Reach())
	}
	if f := a.Of("fast"); f == nil || f.AttemptsP50 != 10 || f.Must == 0 {
		t.Errorf("fast harvesters: %+v", f)
	}
	if a.Blocks == 0 || a.Peak == 0 || int64(a.Peak) > a.Blocks || a.Events >= r.Mixes[0].World.Events || a.LeavePrevented > a.LeaveProbes {
		t.Errorf("%+v", a)
	}
	if ban := r.Mixes[0].Of("fail2ban-like"); ban.GoodHit <= a.GoodHit {
		t.Errorf("five refusals of whatever kind hit %d good deliveries, ours %d", ban.GoodHit, a.GoodHit)
	}
	if r.Mixes[0].Of("nobody") != nil || a.Of("nothing") != nil {
		t.Error("somebody who isn't there")
	}
}

func TestPlansThatCantBeFollowed(t *testing.T) {
	for name, spoil := range map[string]func(*Plan){
		"a seed for both":  func(p *Plan) { p.Tuning = []uint64{902} },
		"no seeds":         func(p *Plan) { p.Seeds = nil },
		"no mixes":         func(p *Plan) { p.Mixes = nil },
		"no contenders":    func(p *Plan) { p.Entries = nil },
		"no days":          func(p *Plan) { p.Days = 0 },
		"no junk":          func(p *Plan) { p.Junk = 0 },
		"a sweep for free": func(p *Plan) { p.Tuning = nil },
	} {
		p := small()
		spoil(&p)
		if _, err := Evaluate(t.Context(), p); !errors.Is(err, ErrPlan) {
			t.Errorf("%s: %v", name, err)
		}
	}
	p := small()
	p.Good = -1
	if _, err := Evaluate(t.Context(), p); !errors.Is(err, loggen.ErrConfig) {
		t.Errorf("less than no mail: %v", err)
	}
}

func TestEvaluationEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := small()
	p.Days, p.Junk = 60, 100_000
	p.Progress = func(int, int, string) {}
	p.Entries = append([]Entry{{Name: "canceller", New: func() (Contender, error) { cancel(); return Fail2ban(), nil }}}, p.Entries...)
	if _, err := Evaluate(ctx, p); !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}

func TestSpeedsNeedAClock(t *testing.T) {
	p := small()
	p.Seeds, p.Mixes, p.Sweep, p.Ablation, p.Restarted = p.Seeds[:1], p.Mixes[:1], nil, nil, nil
	r, err := Evaluate(t.Context(), p)
	if err != nil || r.Mixes[0].Contenders[0].Speed() != 0 {
		t.Errorf("a speed without a clock: %v", err)
	}
	p.Workers, p.Clock = 1, time.Now
	r, err = Evaluate(t.Context(), p)
	if err != nil || r.Mixes[0].Contenders[0].Speed() <= 0 {
		t.Errorf("no speed: %v", err)
	}
}

func TestFootprint(t *testing.T) {
	f, err := MeasureFootprint(t.Context(), rules.Default(), Setup{}, 7_000)
	if err != nil || f.Sources != 7_000 || f.Bytes < 7_000*16 {
		t.Errorf("%+v, %v", f, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := MeasureFootprint(ctx, rules.Default(), Setup{}, 7_000); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// bounces is a server that bounces, and one with a list of dead addresses.
func bounces() *script {
	s := &script{}
	s.source(nice+"/32", "backscatter", loggen.MustNotBlock)
	s.source(other+"/32", "list", loggen.MustNotBlock)
	for i := range 70 {
		ev := s.add(float64(i), nice, harvestwatch.RcptUnknown)
		ev.Null, ev.Recipient = true, []byte{'a' + byte(i%26), 'a' + byte(i/26), '@'}
		if i < 12 {
			s.add(float64(i), other, harvestwatch.Delivered).Recipient = []byte{'x', 'x', 'a' + byte(i), '@'}
		}
		s.add(20+float64(i), other, harvestwatch.RcptUnknown).Recipient = []byte{'y', 'a' + byte(i%26), 'a' + byte(i/26), '@'}
	}
	return s
}

func TestAblationTakesAwayWhatItSays(t *testing.T) {
	list, _, err := Replay(t.Context(), bounces().world(), Ablation(rules.Default(), Setup{}), ReplayOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f := Found{Contenders: list}
	for name, want := range map[string]struct {
		backscatter, list int // after how many recipients each was blocked, 0 for never
	}{
		"all": {0, 4*10 + 2*12}, "no credit": {0, 10 + 2*12}, "rho = 0": {0, 4 * 10}, "null senders": {10, 64}, "nothing": {10, 10},
		"no verified": {0, 64}, "repeats": {0, 64},
	} {
		got := map[string]int{}
		for _, x := range f.Of(name).Wrong {
			got[x.Class] = int(x.Tries)
		}
		if got["backscatter"] != want.backscatter || got["list"] != want.list {
			t.Errorf("%s: blocked after %v recipients, want %v", name, got, want)
		}
	}
}

func TestSweepHasEveryCell(t *testing.T) {
	seen := map[Cell]bool{}
	for _, e := range Sweep(Setup{}, true) {
		if _, err := e.New(); err != nil {
			t.Errorf("%s: %v", e.Name, err)
		}
		seen[*e.Cell] = true
	}
	if len(seen) != 6*3*3*2 || !seen[Cell{10, 2, "1h", true}] || !seen[Cell{25, 1.4, "24h", false}] {
		t.Errorf("%d cells", len(seen))
	}
}
