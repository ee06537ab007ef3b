package detector

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/rules"
)

const bad = "198.51.100.7"

func TestWindowIsHalfOpenToTheSecond(t *testing.T) {
	for _, c := range []struct {
		last int64
		fire bool
	}{{3599, true}, {3600, false}, {3601, false}} {
		b := byDefault(t)
		for i := range int64(9) {
			b.see(i/9, unknown(bad, fmt.Sprintf("u%d@example.com", i)))
		}
		if out := b.see(c.last, unknown(bad, "last@example.com")); (out.Offence != nil) != c.fire {
			t.Errorf("nine at 0 s and the tenth at %d s: fired %v, want %v", c.last, out.Offence != nil, c.fire)
		}
	}
}

func TestLateEventsCountAtTheirOwnTime(t *testing.T) {
	b := byDefault(t)
	b.see(4000, connect("192.0.2.1"))
	for i := range int64(9) {
		if out := b.see(401+i, unknown(bad, fmt.Sprintf("u%d@example.com", i))); out.Late || out.Offence != nil {
			t.Fatalf("%+v", out)
		}
	}
	if out := b.see(400, unknown(bad, "out@example.com")); out.Late || out.Offence != nil {
		t.Errorf("outside the hour, inside the day: %+v", out)
	}
	out := b.see(3000, unknown(bad, "in@example.com"))
	if out.Offence == nil {
		t.Fatal("ten within the hour did not fire")
	}
	if got := out.Offence; got.First.Unix() != start+401 || got.Fired.Unix() != start+4000 || got.Count != 10 {
		t.Errorf("%+v", got)
	}
	b.see(2*day, connect("192.0.2.1"))
	if out := b.see(10, unknown(bad, "old@example.com")); !out.Late || b.d.Stats().Late != 1 {
		t.Errorf("older than every window: %+v, %+v", out, b.d.Stats())
	}
}

func TestWhatIsNoEvidence(t *testing.T) {
	b := byDefault(t)
	for i := range int64(50) {
		rcpt := fmt.Sprintf("u%d@example.com", i)
		temporary, bounce := unknown(bad, rcpt), unknown(bad, rcpt)
		temporary.Code, bounce.Null = 450, true
		ok := harvestwatch.Event{Kind: harvestwatch.RcptOK, Addr: addr(bad), Code: 250, Recipient: []byte(rcpt)}
		trouble := harvestwatch.Event{Kind: harvestwatch.ServerError, Addr: addr(bad), Code: 451}
		for _, ev := range []harvestwatch.Event{temporary, bounce, ok, trouble} {
			if out := b.see(i, ev); !out.Ignored || out.Offence != nil {
				t.Fatalf("%s: %+v", ev.Kind, out)
			}
		}
		same := []string{"one@example.com", "ONE@Example.Com", "one+" + rcpt, "One+x+y@example.com"}
		for _, r := range same {
			if out := b.see(i, unknown(bad, r)); out.Offence != nil {
				t.Fatalf("%q fired", r)
			}
		}
	}
	if got := b.d.counted(src(bad), 0, 0); got != 1 {
		t.Errorf("%d distinct recipients, want 1", got)
	}
}

func TestTagIsPartOfNothingElse(t *testing.T) {
	h := newHasher(testKey)
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"jo@example.com", "JO+news@EXAMPLE.COM", true}, {"jo", "Jo+x", true},
		{"+a@example.com", "+b@example.com", false}, {"jo@example.com", "jo@example.org", false},
		{"jo@a+b.example", "jo@a.example", false}, {"", "@", false}, {"a@b@example.com", "a@c@example.com", false},
	} {
		if same := h.recipient([]byte(c.a)) == h.recipient([]byte(c.b)); same != c.same {
			t.Errorf("%q and %q: same %v, want %v", c.a, c.b, same, c.same)
		}
	}
}

func TestFastHarvesterIsOneOffence(t *testing.T) {
	b := byDefault(t)
	offences, inGrace, leaked := 0, 0, 0
	for i := range int64(6000) { // ten a second for ten minutes; nothing ever stops them
		out := b.see(i/10, unknown(bad, fmt.Sprintf("u%d@example.com", i)))
		switch {
		case out.Offence != nil:
			offences++
		case out.Blocked && out.Grace:
			inGrace++
		case out.Blocked:
			leaked++
		}
	}
	if offences != 1 || inGrace != 600 || leaked != 5390 {
		t.Errorf("%d offences, %d in the grace, %d after it", offences, inGrace, leaked)
	}
}

func TestLadder(t *testing.T) {
	b := byDefault(t)
	at := int64(0)
	for i, want := range []string{"1h", "4h", "24h", "7d", "7d"} {
		for j := range int64(10) {
			out := b.see(at, unknown(bad, fmt.Sprintf("u%d.%d@example.com", i, j)))
			o := out.Offence
			if o == nil {
				continue
			}
			step, _ := rules.ParseDuration(want)
			if o.Level != i+1 || o.Probation != (i > 0) || o.Threshold != map[bool]int{false: 10, true: 5}[i > 0] {
				t.Fatalf("offence %d: %+v", i+1, o)
			}
			if got := b.set.Rules[o.RuleIndex].Step(o.Level); got != step {
				t.Errorf("offence %d is blocked for %s, want %s", i+1, got, want)
			}
			at += int64(step / time.Second)
			break
		}
	}
}

// fire makes a source offend from a time on, and returns the offence.
func (b *bench) fire(sec int64, tag string) *harvestwatch.Offence {
	b.t.Helper()
	for j := range 20 {
		if out := b.see(sec, unknown(bad, fmt.Sprintf("%s%d@example.com", tag, j))); out.Offence != nil {
			return out.Offence
		}
	}
	b.t.Fatal("did not fire")
	return nil
}

func TestOffencesAreForgotten(t *testing.T) {
	const hour = 3600
	for _, c := range []struct {
		name  string
		after int64 // the end of the third block, which takes a day
		level int
	}{
		{"at once", 0, 4}, {"almost a day", day - 1, 4}, {"a day", day, 4}, {"almost a week", 7*day - 1, 4}, {"a week", 7 * day, 3}, {"three weeks", 21 * day, 1}, {"a month", 30 * day, 1},
	} {
		b := byDefault(t)
		b.fire(0, "a")
		b.fire(hour, "b")
		b.fire(5*hour, "c")
		if o := b.fire(29*hour+c.after, "d"); o.Level != c.level || o.Probation != (c.after < day) || (o.Threshold == 5) != o.Probation {
			t.Errorf("%s: level %d, probation %v, threshold %d, want level %d", c.name, o.Level, o.Probation, o.Threshold, c.level)
		}
	}
	for after, level := range map[int64]int{30*day - 1: 3, 30 * day: 1} {
		b := byDefault(t)
		at := int64(0)
		for i, step := range []int64{hour, 4 * hour, day, 7 * day, 7 * day, 7 * day} {
			b.fire(at, fmt.Sprint("u", i))
			at += step
		}
		if o := b.fire(at+after, "v"); o.Level != level {
			t.Errorf("%d s after the sixth block: level %d, want %d", after, o.Level, level)
		}
	}
}

func TestDeliveryForgetsOffences(t *testing.T) {
	b := byDefault(t)
	b.fire(0, "a")
	b.fire(3600, "b")
	out := b.see(3700, delivered(bad, "jo@example.com"))
	if !out.Blocked || out.Late {
		t.Errorf("a delivery inside the block: %+v", out)
	}
	if out := b.see(3800, unknown(bad, "x@example.com")); !out.Blocked {
		t.Error("the delivery ended the active block")
	}
	o := b.fire(6*3600, "c")
	if o.Level != 1 || !o.Probation || o.Threshold != 7 || o.Deliveries != 1 {
		t.Errorf("after a delivery: %+v", o)
	}
}

func TestDeliveryIsJudgedByItsBeginning(t *testing.T) {
	b := byDefault(t)
	fired := b.fire(1000, "a").Fired.Unix() - start
	for _, c := range []struct {
		began, at      int64
		blocked, grace bool
	}{
		{fired - 1, fired + 50, false, false}, {fired, fired + 50, false, false}, {fired + 1, fired + 50, true, true},
		{fired + 60, fired + 100, true, true}, {fired + 61, fired + 100, true, false}, {fired + 3599, fired + 3700, true, false}, {fired + 3600, fired + 3700, false, false},
	} {
		ev := delivered(bad, "jo@example.com")
		ev.Began = (start + c.began) * int64(time.Second)
		if out := b.see(c.at, ev); out.Blocked != c.blocked || out.Grace != c.grace {
			t.Errorf("began %d s after the block: %+v", c.began-fired, out)
		}
	}
}

func TestCreditOfAProviderPool(t *testing.T) {
	for _, typosFirst := range []bool{false, true} {
		b := byDefault(t)
		for i := range int64(240) {
			if out := b.see(i*60, delivered(bad, fmt.Sprintf("user%d@example.com", i))); out.Offence != nil {
				t.Fatal("a delivery fired")
			}
			if typosFirst && i < 4 {
				b.see(i*60, unknown(bad, fmt.Sprintf("typo%d@example.com", i)))
			}
		}
		for i := range int64(5) {
			if out := b.see(240*60+i*60, unknown(bad, fmt.Sprintf("typo%d@example.com", i))); out.Offence != nil {
				t.Fatal("five typing mistakes fired")
			}
		}
		want := harvestwatch.Standing{Source: src(bad), Rule: "harvest", Count: 5, Threshold: 490, Deliveries: 240}
		if got := b.d.Standing(src(bad)); got != want {
			t.Errorf("typing mistakes first %v: standing %+v, want %+v", typosFirst, got, want)
		}
	}
}

func TestEvaderIsFound(t *testing.T) {
	b := byDefault(t)
	tries := 0
	for i := range int64(100) {
		tries++
		ev := unknown(bad, fmt.Sprintf("u%d@example.com", i))
		if i%4 == 3 {
			ev.Kind, ev.Code = harvestwatch.RcptOK, 250
		}
		if b.see(i, ev).Offence != nil {
			break
		}
	}
	if tries != 13 {
		t.Errorf("one accepted recipient in four: %d tries, want 13", tries)
	}
}

func TestIPv6CountsPer64(t *testing.T) {
	b := byDefault(t)
	for i := range int64(10) {
		out := b.see(i, unknown(fmt.Sprintf("2001:db8:1:2:%x::%x", i, i+1), fmt.Sprintf("u%d@example.com", i)))
		if (out.Offence != nil) != (i == 9) {
			t.Fatalf("try %d: %+v", i, out)
		}
		if o := out.Offence; o != nil && o.Source.String() != "2001:db8:1:2::/64" {
			t.Errorf("source %s", o.Source)
		}
	}
	b.see(20, unknown("::ffff:"+bad, "a@example.com"))
	if n := b.d.counted(src(bad), 0, 0); n != 1 {
		t.Error("an IPv4-mapped address is not the IPv4 address")
	}
}

func TestSuppressedRuleRestsAndCountsOn(t *testing.T) {
	b := byDefault(t)
	b.act = false
	fires := []int64{}
	for i := range int64(200) {
		out := b.see(i*60, unknown(bad, fmt.Sprintf("u%d@example.com", i)))
		if o := out.Offence; o != nil {
			if out.Blocked || o.Level != 1 || o.Rule == "harvest" && o.Count != min(int(i)+1, 60) {
				t.Fatalf("%+v", o)
			}
			fires = append(fires, i)
			b.d.Settle(&harvestwatch.Decision{Offence: *o, Action: harvestwatch.ActSuppress, Guard: "never-list", Until: o.Fired.Add(o.Window)})
		}
	}
	if want := []int64{9, 14, 69, 129, 189}; !slices.Equal(fires, want) { // harvest, harvest-slow for a day, harvest each hour
		t.Errorf("fired at %v, want %v", fires, want)
	}
}

func TestReleaseEndsTheBlock(t *testing.T) {
	b := byDefault(t)
	b.fire(0, "a")
	b.d.Release(src(bad), time.Unix(start+100, 0))
	if out := b.see(150, unknown(bad, "x@example.com")); out.Blocked {
		t.Errorf("after the release: %+v", out)
	}
	if out := b.see(99, unknown(bad, "y@example.com")); !out.Blocked || b.d.counted(src(bad), 0, 0) != 1 {
		t.Errorf("a late one from before the release: %+v, %d counted", out, b.d.counted(src(bad), 0, 0))
	}
	if o := b.fire(200, "z"); o.Level != 1 || o.Probation || o.Threshold != 10 {
		t.Errorf("%+v", o)
	}
	b.d.Release(0, time.Unix(start, 0))
	b.d.Release(src("192.0.2.77"), time.Unix(start, 0)) // unknown: nothing to end
}

func TestRuleOnTrialShieldsNobody(t *testing.T) {
	set := mustSet(t, rules.Rule{Name: "trial", Text: "x", Mode: rules.Observe, Events: []harvestwatch.Kind{harvestwatch.RcptUnknown}, Distinct: rules.Recipient,
		Conditions: []rules.Condition{{Window: time.Hour, AtLeast: 5}}, Ladder: []time.Duration{time.Hour}}, classic(t).Rules[0])
	d := New(set, Options{Key: testKey})
	j := rules.NewJudge(set, rules.Policy{Enforce: true})
	var got []string
	for i := range int64(10) {
		ev := unknown(bad, fmt.Sprintf("u%d@example.com", i))
		ev.Time = (start + i) * int64(time.Second)
		if out := d.Observe(&ev); out.Offence != nil {
			dec := j.Judge(out.Offence)
			d.Settle(&dec)
			got = append(got, fmt.Sprintf("%d %s %s", i+1, dec.Offence.Rule, dec.Action))
		}
	}
	if want := []string{"5 trial observe", "10 harvest block"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
