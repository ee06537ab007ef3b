package rules

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

// guarded is a policy in which every guard of the judge has something to say about somebody.
func guarded(t *testing.T) Policy {
	return Policy{Enforce: true, Never: []Network{{netip.MustParsePrefix("192.0.2.0/28"), "office"}},
		Lists:    &Lists{Allow: list(t, "192.0.2.16/28 # partner\n.partner.example\n")},
		Pools:    []Network{{netip.MustParsePrefix("192.0.2.32/28"), "Bigmail"}, {netip.MustParsePrefix("2001:db8:9::/48"), "Bigmail"}},
		Verified: []string{"outlook.example", "Google.Example.", "no domain"}}
}

func list(t *testing.T, text string) *List {
	t.Helper()
	l, err := ParseList("a.list", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestGuards holds that each guard, alone, turns a block into no block, and names itself.
func TestGuards(t *testing.T) {
	set := Default()
	for _, c := range []struct {
		source string
		spoil  func(*harvestwatch.Offence)
		guard  string
		reason string // what it ends with
	}{
		{"192.0.2.100", nil, "", "; offence 1: blocked for 1h"},
		{"192.0.2.9", nil, GuardNever, "; never blocked: office"},
		{"10.1.2.3", nil, GuardNever, "; never blocked: private use (RFC 1918)"},
		{"192.0.2.20", nil, GuardAllow, "; not blocked (allow-list): 192.0.2.16/28 (partner)"},
		{"192.0.2.100", func(o *harvestwatch.Offence) { o.Name = "MX.Partner.Example." }, GuardAllow, "; not blocked (allow-list): .partner.example"},
		{"192.0.2.100", func(o *harvestwatch.Offence) { o.Name = "mx.notpartner.example" }, "", "; offence 1: blocked for 1h"},
		{"192.0.2.100", func(o *harvestwatch.Offence) { o.Helo = "mx.partner.example" }, "", "; offence 1: blocked for 1h"},
		{"192.0.2.40", nil, GuardPool, "; not blocked (provider-pool): an outgoing server of Bigmail"},
		{"2001:db8:9:7::1", nil, GuardPool, "; not blocked (provider-pool): an outgoing server of Bigmail"},
		{"192.0.2.100", func(o *harvestwatch.Offence) { o.Name = "mail-1.protection.OUTLOOK.example" }, GuardVerified,
			"; not blocked (verified-name): its verified name belongs to outlook.example"},
		{"192.0.2.100", func(o *harvestwatch.Offence) { o.Name = "google.example" }, GuardVerified,
			"; not blocked (verified-name): its verified name belongs to Google.Example."},
		{"192.0.2.100", func(o *harvestwatch.Offence) { o.Name = "google.example.attacker.example" }, "", "; offence 1: blocked for 1h"},
		{"192.0.2.100", func(o *harvestwatch.Offence) { o.Name = "evilgoogle.example" }, "", "; offence 1: blocked for 1h"},
		{"192.0.2.100", func(o *harvestwatch.Offence) { o.Guard, o.Threshold, o.Base = GuardCredit, 40, 10 }, GuardCredit,
			"; not blocked (credit): the source has delivered good mail lately, three messages or on two days, so it takes 40 instead of 10"},
		{"192.0.2.100", func(o *harvestwatch.Offence) { o.Credited, o.Served = true, 3*hour }, "", "; offence 1: blocked for 1h"},
		{"192.0.2.100", func(o *harvestwatch.Offence) { o.Credited, o.Served = true, 3*hour+time.Second }, GuardServed,
			"; not blocked (credit-limit): a source with credit is blocked for at most 4h a day, and was for 3h1s"},
		{"192.0.2.100", func(o *harvestwatch.Offence) { o.Served = 20 * hour }, "", "; offence 1: blocked for 1h"},
		{"192.0.2.100", func(o *harvestwatch.Offence) { o.Credited, o.Level = true, 3 }, "", "; offence 3: blocked for 1h instead of 24h, as the source has credit"},
	} {
		o := offence(c.source, 1, t0)
		if c.spoil != nil {
			c.spoil(o)
		}
		d := NewJudge(set, guarded(t)).Judge(o)
		want, until := harvestwatch.ActBlock, t0.Add(hour)
		if c.guard != "" {
			want = harvestwatch.ActSuppress
		}
		if d.Action != want || d.Guard != c.guard || !strings.HasSuffix(d.Reason, c.reason) || !d.Until.Equal(until) {
			t.Errorf("%s: %s by %q until %s: %s", c.source, d.Action, d.Guard, d.Until, d.Reason)
		}
	}
}

// TestGuardsSeePrefixes holds that a block of a whole prefix is held back by each thing that lies in it.
func TestGuardsSeePrefixes(t *testing.T) {
	set := Default()
	for i := range set.Rules {
		set.Rules[i].Mode = Enforce
	}
	for prefix, guard := range map[string]string{"192.0.2.0/24": GuardNever, "203.0.113.0/24": GuardAllow, "198.51.100.0/24": GuardPool, "240.0.0.0/24": "",
		"2001:db8:9::/48": GuardPool, "2001:db8:a::/48": ""} {
		p := netip.MustParsePrefix(prefix)
		src, _ := harvestwatch.SourceOf(p.Addr().Next())
		o := &harvestwatch.Offence{Source: src, Rule: "prefix", RuleIndex: 12, Fired: t0, Window: day, Count: 9, Threshold: 8, Base: 8, Level: 1, Key: "prefix",
			Group: prefix, Prefix: p}
		policy := guarded(t)
		policy.Never = []Network{{netip.MustParsePrefix("192.0.2.200/32"), "gateway"}}
		policy.Lists.Allow = list(t, "203.0.113.200 # partner")
		policy.Pools = append(policy.Pools[1:], Network{netip.MustParsePrefix("198.51.100.128/25"), "Bigmail"})
		d := NewJudge(set, policy).Judge(o)
		if d.Guard != guard || (guard == "") != (d.Action == harvestwatch.ActBlock) {
			t.Errorf("%s: %s by %q: %s", prefix, d.Action, d.Guard, d.Reason)
		}
		if !strings.HasPrefix(d.Reason, "9 blocked sources within 24h in "+prefix+", at least 90 % of all: the rule prefix asks for 8; ") {
			t.Error(d.Reason)
		}
	}
}

// TestOrderOfGuards takes the first guard away, again and again: the next one answers.
func TestOrderOfGuards(t *testing.T) {
	set := Default()
	ro := Rollout{Since: t0, Observe: 7 * day}
	p := Policy{Enforce: true, Rollout: ro}
	o := offence("192.0.2.1", 1, t0)
	o.Name, o.Guard, o.Credited, o.Served = "mx.google.example", GuardOutage, true, 4*hour
	all := []Network{{netip.MustParsePrefix("192.0.2.0/24"), "all"}}
	p.Never, p.Pools, p.Verified, p.Lists = all, all, []string{"google.example"}, &Lists{Allow: list(t, "192.0.2.0/24")}
	set.Rules[0].Mode = Alert
	judge := NewJudge(set, p)
	for range maxPerMinute { // the breaker is full
		judge.breaker.add(t0.Unix(), t0.Add(hour).Unix())
	}
	for _, c := range []struct {
		guard  string
		action harvestwatch.Action
		remove func()
	}{
		{GuardNever, harvestwatch.ActSuppress, func() { judge.never = Never() }},
		{GuardAllow, harvestwatch.ActSuppress, func() { judge.SetLists(nil) }},
		{GuardPool, harvestwatch.ActSuppress, func() { judge.SetPools(nil) }},
		{GuardVerified, harvestwatch.ActSuppress, func() { o.Name = "" }},
		{GuardOutage, harvestwatch.ActSuppress, func() { o.Guard = "" }},
		{"", harvestwatch.ActAlert, func() { set.Rules[0].Mode = Observe }},
		{"", harvestwatch.ActObserve, func() { set.Rules[0].Mode = Enforce }},
		{GuardRollout, harvestwatch.ActObserve, func() { judge.rollout = Rollout{} }},
		{GuardServed, harvestwatch.ActSuppress, func() { o.Served = 0 }},
		{GuardBlockRate, harvestwatch.ActSuppress, func() { judge.breaker = breaker{} }},
		{"", harvestwatch.ActBlock, func() {}},
	} {
		if d := judge.Judge(o); d.Guard != c.guard || d.Action != c.action {
			t.Fatalf("want %q (%s): %s by %q: %s", c.guard, c.action, d.Action, d.Guard, d.Reason)
		}
		c.remove()
	}
}

func TestRollout(t *testing.T) {
	p := Policy{Enforce: true, Rollout: Rollout{Since: t0, Observe: 7 * day, Short: 7 * day, ShortBlock: 10 * minute, First: "harvest"}}
	for _, c := range []struct {
		rule  int
		after time.Duration
		want  harvestwatch.Action
		until time.Duration
		says  string
	}{
		{0, -hour, harvestwatch.ActObserve, hour, "; offence 1: not before 2026-03-08T12:00:00Z (roll-out), would be blocked for 1h"},
		{0, 0, harvestwatch.ActObserve, hour, "; offence 1: not before 2026-03-08T12:00:00Z (roll-out), would be blocked for 1h"},
		{0, 7*day - time.Second, harvestwatch.ActObserve, hour, "would be blocked for 1h"},
		{0, 7 * day, harvestwatch.ActBlock, 10 * minute, "; offence 1: blocked for 10m instead of 1h, for the time of the roll-out"},
		{1, 0, harvestwatch.ActObserve, 4 * hour, "; offence 1: not before 2026-03-15T12:00:00Z (roll-out), would be blocked for 4h"},
		{1, 7 * day, harvestwatch.ActObserve, 4 * hour, "; offence 1: not before 2026-03-15T12:00:00Z (roll-out), would be blocked for 4h"},
		{0, 14*day - time.Second, harvestwatch.ActBlock, 10 * minute, "for the time of the roll-out"},
		{0, 14 * day, harvestwatch.ActBlock, hour, "; offence 1: blocked for 1h"},
		{1, 14 * day, harvestwatch.ActBlock, 4 * hour, "; offence 1: blocked for 4h"},
		{13, 0, harvestwatch.ActAlert, 0, "the rule auth-account-distributed asks for 10"},
		{8, 0, harvestwatch.ActObserve, day, "; offence 1: on trial, would be blocked for 24h"},
	} {
		set := Default()
		o := offence("198.51.100.7", 1, t0.Add(c.after))
		o.RuleIndex, o.Rule = c.rule, set.Rules[c.rule].Name
		d := NewJudge(set, p).Judge(o)
		guard := ""
		if strings.Contains(c.says, "would be") && !strings.Contains(c.says, "on trial") {
			guard = GuardRollout
		}
		if c.want == harvestwatch.ActAlert {
			o.Fired = time.Time{}
		}
		if d.Action != c.want || d.Guard != guard || !d.Until.Equal(o.Fired.Add(c.until)) || !strings.HasSuffix(d.Reason, c.says) {
			t.Errorf("rule %d after %s: %s by %q until %s: %s", c.rule, c.after, d.Action, d.Guard, d.Until, d.Reason)
		}
	}
}

// TestRolloutTripsNothing holds that what is only watched doesn't count as a block.
func TestRolloutTripsNothing(t *testing.T) {
	j := NewJudge(Default(), Policy{Enforce: true, Rollout: Rollout{Since: t0, Observe: day}})
	for i := range 1000 {
		if d := j.Judge(offence(many(i), 1, t0)); d.Guard != GuardRollout {
			t.Fatalf("offence %d: %+v", i, d)
		}
	}
	for _, ro := range []Rollout{{}, {Since: t0.Add(-30 * day), Observe: 7 * day, Short: 7 * day}, {First: "conn-flood"}} {
		if d := NewJudge(Default(), Policy{Enforce: true, Rollout: ro}).Judge(offence("198.51.100.7", 1, t0)); d.Action != harvestwatch.ActBlock {
			t.Errorf("%+v: %+v", ro, d)
		}
	}
}

func TestDeny(t *testing.T) {
	p := guarded(t)
	for source, want := range map[string]string{
		"198.51.100.7": "on the deny list: 198.51.100.0/24 (spam house); blocked for 24h",
		"192.0.2.9":    "on the deny list: 198.51.100.0/24 (spam house); never blocked: office",
		"192.0.2.20":   "on the deny list: 198.51.100.0/24 (spam house); not blocked (allow-list): 192.0.2.16/28 (partner)",
		"192.0.2.40":   "on the deny list: 198.51.100.0/24 (spam house); not blocked (provider-pool): an outgoing server of Bigmail",
	} {
		o := offence(source, 0, t0)
		o.RuleIndex, o.Rule, o.Guard, o.Credited, o.Served = -1, DenyRule, GuardOutage, true, 20*hour
		d := NewJudge(Default(), p).Deny(o, "198.51.100.0/24 (spam house)")
		blocks := strings.HasSuffix(want, "for 24h")
		if d.Reason != want || blocks != (d.Action == harvestwatch.ActBlock) || !d.Until.Equal(t0.Add(day)) || blocks != (d.Guard == "") {
			t.Errorf("%s: %s by %q until %s: %s", source, d.Action, d.Guard, d.Until, d.Reason)
		}
		if d.Offence.Rule != DenyRule || d.Offence.RuleIndex != -1 {
			t.Errorf("%+v", d.Offence)
		}
	}
	o := offence("198.51.100.7", 0, t0)
	o.RuleIndex = -1
	if d := NewJudge(Default(), Policy{}).Judge(o); d.Action != harvestwatch.ActObserve || d.Reason != "on the deny list; would be blocked for 24h" {
		t.Errorf("in the mode observe: %+v", d)
	}
	j := NewJudge(Default(), Policy{Enforce: true})
	for i := range maxPerMinute + 1 {
		d := j.Deny(offence(many(i), 0, t0), "x.example")
		if full := i == maxPerMinute; full != (d.Guard == GuardBlockRate) || full != strings.HasSuffix(d.Reason, "on the deny list: x.example; not blocked: 120 blocks within a minute") {
			t.Fatalf("block %d: %+v", i, d)
		}
	}
}

func TestListsAreChangedBetweenOffences(t *testing.T) {
	j := NewJudge(Default(), Policy{Enforce: true})
	o := offence("192.0.2.20", 1, t0)
	for i, l := range []*Lists{nil, {}, {Deny: list(t, "192.0.2.20")}, {Allow: list(t, "192.0.2.21")}, {Allow: list(t, "192.0.2.20")}, nil} {
		j.SetLists(l)
		if d := j.Judge(o); (d.Guard == GuardAllow) != (i == 4) {
			t.Errorf("lists %d: %+v", i, d)
		}
	}
}

// TestReasonsHoldNoTextOfALog offends with every rule and every guard, and looks for what a log said in what we say.
func TestReasonsHoldNoTextOfALog(t *testing.T) {
	set := Default()
	j := NewJudge(set, Policy{Enforce: true, Verified: []string{"evil.example"}, Lists: &Lists{Allow: list(t, ".bad.example")}})
	for i := range set.Rules {
		for _, guard := range []string{"", GuardCredit, GuardShare, GuardMail, GuardBudget, "EVIL"} {
			for _, name := range []string{"", "EVIL.evil.example", "EVIL.bad.example"} {
				o := offence("198.51.100.7", 1, t0)
				o.RuleIndex, o.Rule, o.Guard, o.Name, o.Helo, o.Key, o.Group = i, set.Rules[i].Name, guard, name, "EVIL", "EVIL", "EVIL"
				if d := j.Judge(o); strings.Contains(strings.ReplaceAll(d.Reason, "("+guard+")", ""), "EVIL") {
					t.Error(d.Reason)
				}
			}
		}
	}
}

// TestReasons holds how a decision reads for each condition of each rule, and for each guard of the detector.
func TestReasons(t *testing.T) {
	set := Default()
	j := NewJudge(set, Policy{Enforce: true})
	var got []string
	for i := range set.Rules {
		r := &set.Rules[i]
		for _, c := range r.Conditions {
			n := max(c.AtLeast, c.Seconds, c.Open)
			o := &harvestwatch.Offence{Source: 0xF0000001, Rule: r.Name, RuleIndex: i, Fired: t0, Window: c.Window, Count: n + 1, Threshold: n, Base: n, Level: 1}
			if r.by(ByPrefix) {
				o.Prefix = netip.MustParsePrefix("240.0.0.0/24")
			}
			got = append(got, j.Judge(o).Reason)
			o.Count, o.Deliveries, o.Level, o.Credited, o.Probation, o.Listed = 1, 1, 2, true, true, true
			o.Base = raised(raised(n, r.ListedFactor), r.Probation)
			o.Threshold = o.Base
			got = append(got, j.Judge(o).Reason)
		}
	}
	for _, g := range []string{GuardCredit, GuardDeliveries, GuardRepeat, GuardExUser, GuardNull, GuardLogin, GuardSuccess, GuardMail, GuardCorroborate, GuardShare,
		GuardOutage, GuardGoodMail, GuardBudget, GuardIPv6, "new-guard"} {
		for _, rule := range []string{"harvest", "auth-bruteforce", "conn-hog", "campaign"} {
			i := 0
			for set.Rules[i].Name != rule {
				i++
			}
			if g != GuardCredit && g != GuardSuccess && g != GuardMail && g != GuardShare && i > 0 {
				continue
			}
			c := set.Rules[i].Conditions[0]
			o := &harvestwatch.Offence{Source: 0xF0000001, Rule: rule, RuleIndex: i, Fired: t0, Window: c.Window, Count: c.AtLeast, Threshold: 4 * c.AtLeast,
				Base: c.AtLeast, Deliveries: 3, Level: 1, Guard: g}
			got = append(got, fmt.Sprintf("%s: %s", g, j.Judge(o).Reason))
		}
	}
	golden(t, "testdata/reasons.golden", got)
}

// TestLoweredBaseTellsTheCondition holds that the reason names the condition that was reached, though a block list had
// lowered its number to that of another.
func TestLoweredBaseTellsTheCondition(t *testing.T) {
	r, _ := Default().Rule("auth-spray")
	lowered := *r
	lowered.ListedFactor = 0.5
	set, err := New(lowered)
	if err != nil {
		t.Fatal(err)
	}
	o := &harvestwatch.Offence{Source: 0xF0000001, Rule: "auth-spray", Fired: t0, Window: day, Count: 3, Threshold: 3, Base: 3, Level: 1, Listed: true}
	for _, want := range []string{"3 users who failed to log in within 24h: the rule auth-spray asks for 3, lowered because a block list has the source; ",
		"3 users who failed to log in and don't exist here within 24h: the rule auth-spray asks for 3; "} {
		if d := NewJudge(set, Policy{Enforce: true}).Judge(o); !strings.HasPrefix(d.Reason, want) {
			t.Errorf("%s, want %s", d.Reason, want)
		}
		o.Listed = false
	}
}

// TestSpares holds that what may be done about somebody can be asked before he offends.
func TestSpares(t *testing.T) {
	j := NewJudge(Default(), guarded(t))
	for _, c := range []struct{ prefix, name, guard string }{
		{"192.0.2.9/32", "mx.google.example", GuardNever}, {"192.0.2.20/32", "mx.google.example", GuardAllow}, {"192.0.2.0/24", "", GuardNever},
		{"240.0.0.1/32", "mx.partner.example", GuardAllow}, {"192.0.2.40/32", "mx.google.example", GuardPool},
		{"240.0.0.1/32", "mx.google.example", GuardVerified}, {"240.0.0.1/32", "", ""},
	} {
		if guard, ok := j.Spares(netip.MustParsePrefix(c.prefix), c.name); guard != c.guard || ok != (guard != "") {
			t.Errorf("%s %s: %q, want %q", c.prefix, c.name, guard, c.guard)
		}
	}
}
