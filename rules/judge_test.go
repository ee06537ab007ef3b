package rules

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func offence(source string, level int, at time.Time) *harvestwatch.Offence {
	src, ok := harvestwatch.ParseSource(source)
	if !ok {
		panic(source)
	}
	return &harvestwatch.Offence{Source: src, Rule: "harvest", Fired: at, Window: time.Hour, Count: 10, Threshold: 10, Level: level}
}

func TestJudgeClimbsTheLadder(t *testing.T) {
	j := NewJudge(Default(), Policy{Enforce: true})
	for level, want := range []time.Duration{0, time.Hour, 4 * time.Hour, 24 * time.Hour, 168 * time.Hour, 168 * time.Hour} {
		if level == 0 {
			continue
		}
		d := j.Judge(offence("198.51.100.7", level, t0))
		if d.Action != harvestwatch.ActBlock || d.Guard != "" || !d.Until.Equal(t0.Add(want)) || d.Offence.Level != level {
			t.Errorf("level %d: %+v", level, d)
		}
	}
}

func TestReasonIsASentence(t *testing.T) {
	j := NewJudge(Default(), Policy{Enforce: true, Never: []Network{{netip.MustParsePrefix("192.0.2.0/24"), "office"}}})
	o := offence("198.51.100.7", 1, t0)
	if got := j.Judge(o).Reason; got != "10 unknown recipients within 1h and 0 deliveries: the rule harvest asks for 10; offence 1: blocked for 1h" {
		t.Error(got)
	}
	o.Deliveries, o.Count, o.Threshold, o.Probation, o.Level = 1, 12, 7, true, 2
	if got := j.Judge(o).Reason; got != "12 unknown recipients within 1h and 1 delivery: the rule harvest asks for 7, on probation after a block; offence 2: blocked for 4h" {
		t.Error(got)
	}
	if d := j.Judge(offence("192.0.2.9", 1, t0)); !strings.HasSuffix(d.Reason, "; never blocked: office") || d.Guard != GuardNever || !d.Until.Equal(t0.Add(time.Hour)) {
		t.Errorf("%+v", d)
	}
}

func TestModes(t *testing.T) {
	set := Default()
	set.Rules[1].Mode = Observe
	set.Rules[2].Mode = Alert
	for _, c := range []struct {
		rule    int
		enforce bool
		want    harvestwatch.Action
		until   time.Duration
	}{
		{0, true, harvestwatch.ActBlock, time.Hour}, {0, false, harvestwatch.ActObserve, time.Hour}, {1, true, harvestwatch.ActObserve, 4 * time.Hour},
		{1, false, harvestwatch.ActObserve, 4 * time.Hour}, {2, true, harvestwatch.ActAlert, 0}, {2, false, harvestwatch.ActAlert, 0},
	} {
		o := offence("198.51.100.7", 1, t0)
		o.RuleIndex, o.Rule = c.rule, set.Rules[c.rule].Name
		d := NewJudge(set, Policy{Enforce: c.enforce}).Judge(o)
		if d.Action != c.want || c.until > 0 && !d.Until.Equal(t0.Add(c.until)) || c.until == 0 && !d.Until.IsZero() {
			t.Errorf("rule %d, enforce %v: %s until %s", c.rule, c.enforce, d.Action, d.Until)
		}
	}
}

func TestNeverList(t *testing.T) {
	n := Never(Network{netip.MustParsePrefix("2001:db8:5::25/128"), "gateway"}, Network{netip.MustParsePrefix("::ffff:198.51.100.0/120"), "partner"},
		Network{netip.MustParsePrefix("203.0.113.77/24"), "unmasked"}, Network{})
	for _, c := range []struct {
		prefix string
		never  bool
	}{
		{"10.1.2.3/32", true}, {"172.15.255.255/32", false}, {"172.16.0.0/32", true}, {"172.31.255.255/32", true}, {"172.32.0.0/32", false},
		{"192.168.1.1/32", true}, {"192.0.0.0/8", true}, {"0.0.0.0/0", true}, {"127.0.0.1/32", true}, {"169.254.1.1/32", true},
		{"100.63.255.255/32", false}, {"100.64.0.1/32", true}, {"100.128.0.0/32", false}, {"224.0.0.1/32", true}, {"0.0.0.1/32", true},
		{"192.0.2.1/32", false}, {"240.0.0.1/32", false}, {"255.0.0.0/8", false}, {"198.51.100.9/32", true}, {"203.0.113.1/32", true},
		{"::/0", true}, {"::1/128", true}, {"fc00::/64", true}, {"fdff:1::/64", true}, {"fe80::/64", true}, {"febf::/64", true}, {"fec0::/64", false},
		{"ff02::/64", true}, {"64:ff9b::/64", true}, {"64:ff9b:1:7::/64", true}, {"64:ff9b:2::/64", false}, {"2001:db8::/64", false},
		{"2001:db8:5::/64", true}, {"2001:db8:5:1::/64", false}, {"2001:db8::/32", true}, {"::ffff:10.0.0.1/128", true}, {"::ffff:8.8.8.8/128", false},
	} {
		if name, ok := n.Overlaps(netip.MustParsePrefix(c.prefix)); ok != c.never || ok == (name == "") {
			t.Errorf("%s: %q, %v, want %v", c.prefix, name, ok, c.never)
		}
	}
	if _, ok := n.Overlaps(netip.Prefix{}); ok {
		t.Error("no prefix overlaps")
	}
	if list := n.Networks(); len(list) != len(builtin)+4 {
		t.Errorf("%d networks", len(list))
	}
	if d := NewJudge(Default(), Policy{Enforce: true, Never: []Network{{netip.MustParsePrefix("2001:db8:5::25/128"), "gateway"}}}).
		Judge(offence("2001:db8:5::1", 1, t0)); d.Guard != GuardNever {
		t.Errorf("a gateway within the source's /64: %+v", d)
	}
}

func many(i int) string {
	return netip.AddrFrom4([4]byte{240, byte(i >> 16), byte(i >> 8), byte(i)}).String()
}

func TestBlockRateBreaker(t *testing.T) {
	j := NewJudge(Default(), Policy{Enforce: true})
	at := func(i int) time.Time { return t0.Add(time.Duration(i/4) * time.Second) } // four a second
	blocks := 0
	for i := range 480 {
		d := j.Judge(offence(many(i), 1, at(i)))
		if d.Action == harvestwatch.ActBlock {
			blocks++
		} else if d.Guard != GuardBlockRate || !d.Until.Equal(at(i).Add(time.Minute)) || i%240 < 120 {
			t.Fatalf("block %d: %+v", i, d)
		}
	}
	if blocks != 240 {
		t.Errorf("%d blocks in two minutes", blocks)
	}
}

func TestActiveBlocksAreLimited(t *testing.T) {
	j := NewJudge(Default(), Policy{}) // what would be blocked counts as well: both modes decide alike
	var earlier []harvestwatch.Block
	for i := range maxActive - 1 {
		earlier = append(earlier, harvestwatch.Block{From: t0.Add(-time.Hour), Until: t0.Add(time.Duration(maxActive-i) * time.Second)})
	}
	j.Resume(earlier)
	if d := j.Judge(offence("198.51.100.7", 1, t0)); d.Action != harvestwatch.ActObserve {
		t.Fatalf("the last place: %+v", d)
	}
	d := j.Judge(offence("198.51.100.8", 1, t0.Add(time.Second)))
	if d.Guard != GuardBlockRate || !strings.Contains(d.Reason, "20000 blocks are active") || !d.Until.Equal(t0.Add(time.Second+time.Hour)) {
		t.Errorf("one too many: %+v", d)
	}
	if d := j.Judge(offence("198.51.100.8", 1, t0.Add(2*time.Second))); d.Action != harvestwatch.ActObserve {
		t.Errorf("after one ended: %+v", d)
	}
}

func TestResumeKeepsTheRate(t *testing.T) {
	whole, first := NewJudge(Default(), Policy{Enforce: true}), NewJudge(Default(), Policy{Enforce: true})
	var blocks []harvestwatch.Block
	for i := range 100 {
		o := offence(many(i), 1, t0)
		whole.Judge(o)
		d := first.Judge(o)
		blocks = append(blocks, harvestwatch.Block{From: o.Fired, Until: d.Until})
	}
	second := NewJudge(Default(), Policy{Enforce: true})
	second.Resume(blocks)
	for i := range 40 {
		o := offence(many(200+i), 1, t0.Add(time.Duration(i*2)*time.Second))
		if a, b := whole.Judge(o), second.Judge(o); a.Action != b.Action || a.Reason != b.Reason {
			t.Fatalf("offence %d: %s, after a restart %s", i, a.Reason, b.Reason)
		}
	}
}

func TestTrialBlocksTripNothing(t *testing.T) {
	set := Default()
	set.Rules[0].Mode = Observe
	j := NewJudge(set, Policy{Enforce: true})
	for i := range 1000 {
		if d := j.Judge(offence(many(i), 1, t0)); d.Action != harvestwatch.ActObserve {
			t.Fatalf("offence %d: %+v", i, d)
		}
	}
}
