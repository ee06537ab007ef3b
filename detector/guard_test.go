package detector

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/rules"
)

// guarded drives a detector with the default rules.
func guarded(t testing.TB, o Options) *bench {
	t.Helper()
	set := rules.Default()
	o.Key = testKey
	return &bench{t: t, d: New(set, o), set: set, act: true}
}

// told returns the guards that held back offences of a rule, each once, in their order.
func (b *bench) told(rule string) string {
	var list []string
	for i := range b.held {
		if g := b.held[i].Guard; b.held[i].Rule == rule && (len(list) == 0 || list[len(list)-1] != g) {
			list = append(list, g)
		}
	}
	return strings.Join(list, " ")
}

// guess makes a source ask for so many unknown recipients, one a second. It returns after how many a rule fired, 0 for
// never.
func (b *bench) guess(from int64, n int, change func(i int, ev *harvestwatch.Event)) int {
	b.t.Helper()
	for i := range n {
		ev := unknown(bad, fmt.Sprintf("u%d.%d@example.com", from, i))
		if change != nil {
			change(i, &ev)
		}
		if out := b.see(from+int64(i), ev); out.Offence != nil && strings.HasPrefix(out.Offence.Rule, "harvest") {
			return i + 1
		}
	}
	return 0
}

func TestGuardsOfASource(t *testing.T) {
	good := func(b *bench, days ...int64) {
		for i, day := range days {
			ev := delivered(bad, fmt.Sprintf("jo%d@example.com", i))
			ev.Join = uint64(i + 1)
			b.see(day*86400, ev)
		}
	}
	mx := func(_ int, ev *harvestwatch.Event) {
		ev.Name, ev.Helo = []byte("mx1.partner.example"), []byte("out.partner.example")
	}
	for _, c := range []struct {
		guard  string
		before func(b *bench)
		change func(i int, ev *harvestwatch.Event)
		with   int // after how many guesses harvest or harvest-slow fires; 0: not within 60
	}{
		{"", func(*bench) {}, nil, 10},
		{rules.GuardCredit, func(b *bench) { good(b, 0, 10) }, nil, 40},
		{rules.GuardCredit, func(b *bench) { good(b, 10, 10, 10) }, nil, 40},
		{rules.GuardDeliveries, func(b *bench) { good(b, 19) }, nil, 12},
		{rules.GuardCorroborate, func(*bench) {}, mx, 15},
		{rules.GuardRepeat, func(*bench) {}, func(_ int, ev *harvestwatch.Event) { ev.Recipient = []byte("one@example.com") }, 0},
		{rules.GuardExUser, func(*bench) {}, func(i int, ev *harvestwatch.Event) { ev.Recipient = fmt.Appendf(nil, "left%d+x@Example.com", i%30) }, 0},
		{rules.GuardNull, func(*bench) {}, func(_ int, ev *harvestwatch.Event) { ev.Null = true }, 0},
		{rules.GuardLogin, func(*bench) {}, func(_ int, ev *harvestwatch.Event) { ev.User = []byte("jo") }, 0},
	} {
		var left [][]byte
		for i := range 30 {
			left = append(left, fmt.Appendf(nil, "left%d@example.com", i))
		}
		b := guarded(t, Options{FormerUsers: left})
		c.before(b)
		n := b.guess(20*86400-60, 60, c.change)
		if n != c.with {
			t.Errorf("guard %q: fired after %d, want %d: %+v", c.guard, n, c.with, b.held)
		}
		if got := b.told("harvest"); got != c.guard {
			t.Errorf("guards told %q, want %q", got, c.guard)
		}
		for i := range b.held {
			if h := &b.held[i]; h.Rule == "harvest" && (h.Base != 10 || h.Count < 10 || h.Count > 11 || i > 0 && b.held[i-1].Rule == h.Rule) {
				t.Errorf("told: %+v", h)
			}
		}
	}
}

// TestHeldBackIsToldOncePerWindow holds that naming a guard neither rests the rule nor repeats itself.
func TestHeldBackIsToldOncePerWindow(t *testing.T) {
	b := guarded(t, Options{})
	b.see(0, delivered(bad, "jo@example.com"))
	if n := b.guess(10, 60, nil); n != 12 || b.told("harvest") != rules.GuardDeliveries {
		t.Errorf("fired after %d, told %+v", n, b.held)
	}
	b = guarded(t, Options{})
	for i := range int64(4 * 3600) {
		b.see(i, unknown(bad, "one@example.com"))
	}
	if n := len(b.held); n != 4+2 { // harvest each hour; harvest-slow each day, harvest-crawl each week; nobody shares the names
		for i := range b.held {
			t.Logf("%s %s %s", b.held[i].Fired, b.held[i].Rule, b.held[i].Guard)
		}
		t.Errorf("told %d times", n)
	}
}

func TestGuardsOfLogins(t *testing.T) {
	fails := func(b *bench, n int) int {
		for i := range n {
			if out := b.see(100+int64(i), authFail(bad, fmt.Sprintf("user%d", i%12))); out.Offence != nil && out.Offence.Rule == "auth-spray" {
				return i + 1
			}
		}
		return 0
	}
	b := guarded(t, Options{})
	if n := fails(b, 20); n != 6 || b.told("auth-spray") != "" {
		t.Errorf("without a success: %d, %q", n, b.told("auth-spray"))
	}
	b = guarded(t, Options{})
	b.see(0, authOK(bad))
	if n := fails(b, 20); n != 0 || b.told("auth-spray") != rules.GuardSuccess || b.told("auth-bruteforce") != rules.GuardSuccess {
		t.Errorf("after a success: %d, %q, %q", n, b.told("auth-spray"), b.told("auth-bruteforce"))
	}
}

func TestUsersThatDoNotExist(t *testing.T) {
	for _, c := range []struct {
		users []string
		exist bool
		fires int
	}{{[]string{"a", "b", "c"}, false, 3}, {[]string{"a", "b", "c"}, true, 0}, {[]string{"info", "Admin@example.com", "c", "d", "c"}, false, 0}} {
		b := guarded(t, Options{})
		fired := 0
		for i, u := range c.users {
			ev := authFail(bad, u)
			ev.NoUser = !c.exist
			if out := b.see(int64(i), ev); out.Offence != nil {
				fired = i + 1
			}
		}
		if fired != c.fires {
			t.Errorf("%v, exist %v: fired after %d, want %d", c.users, c.exist, fired, c.fires)
		}
	}
}

func TestGuardMailSeen(t *testing.T) {
	idle := func(b *bench, n int) bool {
		for i := range n {
			ev := harvestwatch.Event{Kind: harvestwatch.Disconnect, Addr: addr(bad), Idle: true}
			if out := b.see(100+int64(i), ev); out.Offence != nil {
				return out.Offence.Rule == "conn-hog"
			}
		}
		return false
	}
	if b := guarded(t, Options{}); !idle(b, 40) {
		t.Error("without mail nothing fired")
	}
	b := guarded(t, Options{})
	b.see(0, harvestwatch.Event{Kind: harvestwatch.RcptOK, Addr: addr(bad), Recipient: []byte("jo@example.com")})
	if idle(b, 60) || b.told("conn-hog") != rules.GuardMail {
		t.Errorf("with a MAIL command: %q", b.told("conn-hog"))
	}
	flood := func(b *bench) string {
		for range 120 {
			if out := b.see(100, connect(bad)); out.Offence != nil {
				return "fired"
			}
		}
		return b.told("conn-flood")
	}
	if got := flood(guarded(t, Options{})); got != "fired" {
		t.Errorf("a flood: %q", got)
	}
	b = guarded(t, Options{})
	b.see(0, delivered(bad, "jo@example.com"))
	if got := flood(b); got != rules.GuardMail {
		t.Errorf("a flood of a source that delivers: %q", got)
	}
}

func TestGuardShare(t *testing.T) {
	set := mustSet(t, rules.Rule{Name: "msg-flood", Text: "x", Mode: rules.Enforce, Events: []harvestwatch.Kind{harvestwatch.SpamRefused}, Bucket: time.Minute,
		Conditions: []rules.Condition{{Window: 30 * time.Minute, AtLeast: 200}}, Share: 0.95, Against: []harvestwatch.Kind{harvestwatch.Delivered},
		Ladder: []time.Duration{time.Hour}})
	for _, c := range []struct {
		good  int
		fires int
		want  string
	}{{0, 200, ""}, {10, 200, ""}, {11, 209, rules.GuardShare}, {12, 0, rules.GuardShare}} {
		b := &bench{t: t, d: New(set, Options{Key: testKey}), set: set, act: true}
		for i := range c.good {
			ev := delivered(bad, "jo@example.com")
			ev.Null = true // earns no credit
			b.see(int64(i), ev)
		}
		fired := 0
		for i := range 210 {
			if out := b.see(100+int64(i), harvestwatch.Event{Kind: harvestwatch.SpamRefused, Addr: addr(bad), Code: 550}); out.Offence != nil {
				fired = i + 1
			}
		}
		if got := b.told("msg-flood"); got != c.want || fired != c.fires {
			t.Errorf("%d good: fired after %d, told %q; want %d, %q", c.good, fired, got, c.fires, c.want)
		}
	}
}

// learn makes recipients receive mail, each once.
func (b *bench) learn(sec int64, n int) {
	for i := range n {
		b.see(sec, delivered("192.0.2.50", fmt.Sprintf("staff%d@example.com", i)))
	}
}

func TestDirectoryOutage(t *testing.T) {
	b := guarded(t, Options{})
	b.learn(0, 20)
	b.fire(3*86400-1000, "early") // older than the roll-back
	victim := "192.0.2.60"
	for i := range 10 { // a partner whose list is half right, in the outage's first minute
		b.see(3*86400+int64(i), unknown(victim, fmt.Sprintf("wrong%d@example.com", i)))
	}
	if out := b.see(3*86400+20, unknown(victim, "x@example.com")); !out.Blocked {
		t.Fatal("the partner isn't blocked")
	}
	var notice *harvestwatch.Notice
	for i := range 5 { // two sources with a list of leavers are no outage, a third makes one
		out := b.see(3*86400+30+int64(i), unknown([]string{"192.0.2.61", "192.0.2.63", "192.0.2.64"}[max(i-2, i%2)], fmt.Sprintf("staff%d@example.com", i)))
		if out.Notice != nil && i != 4 {
			t.Errorf("%d refusals: %+v", i+1, out.Notice)
		}
		notice = out.Notice
	}
	if notice == nil || notice.Guard != rules.GuardOutage || len(notice.Release) != 1 || notice.Release[0] != src(victim) || notice.Until.IsZero() {
		t.Fatalf("notice %+v", notice)
	}
	if !strings.Contains(notice.Reason, "refused as unknown to several sources") || !strings.Contains(notice.Reason, "or until mail") {
		t.Errorf("notice %q", notice.Reason)
	}
	if out := b.see(3*86400+40, unknown(victim, "y@example.com")); out.Blocked {
		t.Error("the partner is blocked still")
	}
	if out := b.see(3*86400+41, unknown(bad, "y@example.com")); !out.Blocked {
		t.Error("a block from before the outage was ended")
	}
	for i := range 30 {
		if out := b.see(3*86400+100+int64(i), unknown("192.0.2.62", fmt.Sprintf("w%d@example.com", i))); out.Offence != nil {
			t.Fatalf("fired in the outage: %+v", out.Offence)
		}
	}
	if got := b.told("harvest"); got != rules.GuardOutage {
		t.Errorf("told %q", got)
	}
	after := notice.Until.Unix() - start + 1
	for i := range 9 { // what was refused in the outage never counts
		if out := b.see(after+int64(i), unknown("192.0.2.62", fmt.Sprintf("n%d@example.com", i))); out.Offence != nil {
			t.Fatalf("after the outage: %+v", out.Offence)
		}
	}
	if out := b.see(after+20, unknown("192.0.2.62", "n10@example.com")); out.Offence == nil {
		t.Error("ten guesses after the outage did not fire")
	}
}

// TestQueuedMailIsNoSign holds that mail which the server had accepted before the directory went away, and delivers since,
// neither keeps the breaker from tripping nor ends an outage, and that mail accepted since does.
func TestQueuedMailIsNoSign(t *testing.T) {
	for _, c := range []struct {
		name  string
		began int64
		holds bool
	}{{"accepted before", 3*86400 - 60, true}, {"accepted since", 3*86400 + 50, false}, {"nobody knows when it was accepted", 0, false}, {"accepted tomorrow", 5 * 86400, false}} {
		b := guarded(t, Options{})
		b.learn(0, 20)
		mail := func(sec int64, i int) {
			ev := delivered("192.0.2.50", fmt.Sprintf("staff%d@example.com", i))
			if c.began != 0 {
				ev.Began = (start + c.began) * int64(time.Second)
			}
			b.see(sec, ev)
		}
		tripped := false
		for i := range 3 {
			tripped = b.see(3*86400+int64(i), unknown(fmt.Sprintf("192.0.2.%d", 60+i), fmt.Sprintf("staff%d@example.com", i))).Notice != nil
		}
		for i := range 5 {
			mail(3*86400+60, 10+i)
		}
		if !tripped || b.d.outage() != c.holds {
			t.Errorf("%s: tripped %v, holds %v", c.name, tripped, b.d.outage())
		}
	}
}

// TestMailOfUsersGoesOut holds that a user who writes to strangers makes them no recipients of the site.
func TestMailOfUsersGoesOut(t *testing.T) {
	for _, user := range []string{"", "jo"} {
		b := guarded(t, Options{})
		for i := range 20 {
			ev := delivered("192.0.2.50", fmt.Sprintf("friend%d@partner.example", i))
			ev.User = []byte(user)
			b.see(0, ev)
		}
		if n := b.d.recipients.Len(); (n == 0) != (user != "") {
			t.Errorf("user %q: %d recipients", user, n)
		}
		if n := b.d.hours.PerDay(start + 2*86400); n != 0 {
			t.Errorf("the hours are quiet: %v", n)
		}
	}
}

// TestGoodMailBreaker makes a site with 60 good messages an hour for three weeks, which then fall silent.
func TestGoodMailBreaker(t *testing.T) {
	b := guarded(t, Options{})
	b.site = true
	end := int64(21 * 86400)
	for sec := int64(0); sec < end; sec += 60 {
		ev := delivered(fmt.Sprintf("192.0.2.%d", 1+sec/60%40), fmt.Sprintf("staff%d@example.com", sec/60%300))
		ev.Join = uint64(sec + 1)
		if out := b.see(sec, ev); out.Notice != nil {
			t.Fatalf("after %d s: %+v", sec, out.Notice)
		}
	}
	if n := b.guess(end, 12, nil); n != 10 {
		t.Errorf("while mail comes in: fired after %d", n)
	}
	var notices []*harvestwatch.Notice
	for sec := end + 60; sec < end+2*3600; sec += 30 {
		if out := b.see(sec, connect("192.0.2.200")); out.Notice != nil {
			notices = append(notices, out.Notice)
		}
	}
	if len(notices) != 1 || notices[0].Guard != rules.GuardGoodMail || len(notices[0].Reason) < 20 {
		t.Fatalf("notices %+v", notices)
	}
	other := func(_ int, ev *harvestwatch.Event) { ev.Addr = addr("203.0.113.77") }
	if n := b.guess(end+2*3600, 30, other); n != 0 || b.told("harvest") != rules.GuardGoodMail {
		t.Errorf("fired after %d, told %q", n, b.told("harvest"))
	}
}

func TestCollateralBudget(t *testing.T) {
	set := mustSet(t, rules.Rule{Name: "harvest", Text: "x", Mode: rules.Enforce, Events: []harvestwatch.Kind{harvestwatch.RcptUnknown}, Distinct: rules.Recipient,
		Conditions: []rules.Condition{{Window: time.Hour, AtLeast: 10}}, CreditFactor: 1, Ladder: []time.Duration{time.Hour}})
	b := &bench{t: t, d: New(set, Options{Key: testKey}), set: set, act: true, site: true}
	for sec := int64(0); sec < 40*86400; sec += 600 { // 144 good messages a day; all blocks together may cost 0.144
		ev := delivered(fmt.Sprintf("192.0.2.%d", 1+sec/600%50), "staff@example.com")
		ev.Join = uint64(sec + 1)
		b.see(sec, ev)
	}
	at := func(a string) func(int, *harvestwatch.Event) {
		return func(_ int, ev *harvestwatch.Event) { ev.Addr = addr(a) }
	}
	if n := b.guess(40*86400, 100, at(bad)); n != 10 {
		t.Errorf("a source without good mail: %d", n)
	}
	if n := b.guess(40*86400+200, 30, at("192.0.2.7")); n != 0 || b.told("harvest") != rules.GuardBudget {
		t.Errorf("a source with good mail: fired after %d, told %q", n, b.told("harvest"))
	}
	// One with little good mail may be blocked, until such blocks cost too much together.
	blocked := 0
	for i := range 9 {
		from := fmt.Sprintf("203.0.113.%d", i+1)
		b.see(40*86400+1000, delivered(from, "staff@example.com"))
		if b.guess(40*86400+1000+int64(i)*20, 15, at(from)) > 0 {
			blocked++
		}
	}
	if blocked != 3 { // 38 thousandths of a message a day each, of 144
		t.Errorf("%d sources with a message each are blocked", blocked)
	}
	b.d.Release(src("203.0.113.1"), b.d.Now())
	if n := b.guess(40*86400+3000, 15, at("203.0.113.9")); n == 0 {
		t.Error("a released block still costs")
	}
}

func TestOffenceTellsCreditAndTimeServed(t *testing.T) {
	b := guarded(t, Options{})
	o := b.fire(0, "a")
	if o.Credited || o.Served != 0 {
		t.Errorf("%+v", o)
	}
	for i := range 3 {
		ev := delivered(bad, "jo@example.com")
		ev.Join = uint64(i + 1)
		b.see(3600+int64(i), ev)
	}
	n := 0
	for i := range 60 {
		if out := b.see(2*3600, unknown(bad, fmt.Sprintf("b%d@example.com", i))); out.Offence != nil {
			n, o = i+1, out.Offence
			break
		}
	}
	if n != 42 || !o.Credited || o.Served != time.Hour || o.Probation {
		t.Errorf("after %d: %+v", n, o)
	}
	b.d.Release(src(bad), time.Unix(start+2*3600+600, 0))
	if got := b.d.servedOf(b.d.sideAt(b.d.table.rec(b.d.table.find(src(bad))))); got != time.Hour {
		t.Errorf("served %s at the time of the second block", got)
	}
	b.see(3*3600, connect(bad))
	if got := b.d.servedOf(b.d.sideAt(b.d.table.rec(b.d.table.find(src(bad))))); got != time.Hour+10*time.Minute {
		t.Errorf("served %s after the release", got)
	}
}

func TestCreditIsEarned(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(i int64, ev *harvestwatch.Event)
		n      int64
		want   bool
	}{
		{"two messages of a day", nil, 2, false}, {"three messages", nil, 3, true},
		{"one message to ten", func(_ int64, ev *harvestwatch.Event) { ev.Join = 9 }, 10, false},
		{"bounces", func(_ int64, ev *harvestwatch.Event) { ev.Null = true }, 10, false},
		{"a user's", func(_ int64, ev *harvestwatch.Event) { ev.User = []byte("jo") }, 10, false},
		{"two days", func(i int64, ev *harvestwatch.Event) { ev.Time += i * 86400 * int64(time.Second) }, 2, true},
	} {
		b := guarded(t, Options{})
		for i := range c.n {
			ev := delivered(bad, fmt.Sprintf("jo%d@example.com", i))
			ev.Time, ev.Join = (start+i)*int64(time.Second), uint64(i+1)
			if c.change != nil {
				c.change(i, &ev)
			}
			b.d.Observe(&ev)
		}
		s := b.d.sideAt(b.d.table.rec(b.d.table.find(src(bad))))
		if got := s.credited(b.d.now); got != c.want {
			t.Errorf("%s: credit %v", c.name, got)
		}
		if s.credited(b.d.now + 31*86400) {
			t.Errorf("%s: credit after a month", c.name)
		}
	}
}

func TestSuspectOnceADay(t *testing.T) {
	b := guarded(t, Options{})
	told := 0
	for i := range 9 {
		if out := b.see(int64(i), unknown(bad, fmt.Sprintf("u%d@example.com", i))); out.Suspect {
			if told++; i != 4 {
				t.Errorf("told at guess %d", i+1)
			}
		}
	}
	for i := range 5 {
		if b.see(86400+int64(i), unknown(bad, fmt.Sprintf("u%d@example.com", i))).Suspect {
			told += 10
		}
	}
	if told != 11 {
		t.Errorf("told %d", told)
	}
}

func TestListedAndProbation(t *testing.T) {
	on := func(_ int, ev *harvestwatch.Event) { ev.Listed = true }
	b := guarded(t, Options{})
	if n := b.guess(0, 20, on); n != 7 {
		t.Errorf("listed: fired after %d, want 7", n)
	}
	b = guarded(t, Options{})
	both := func(_ int, ev *harvestwatch.Event) {
		ev.Listed, ev.Name, ev.Helo = true, []byte("mx1.partner.example"), []byte("mx1.partner.example")
	}
	if n := b.guess(0, 20, both); n != 15 || b.told("harvest") != rules.GuardCorroborate {
		t.Errorf("listed with a verified name: fired after %d, told %q", n, b.told("harvest"))
	}
}

func TestHandMadeBlockHolds(t *testing.T) {
	for _, action := range []harvestwatch.Action{harvestwatch.ActBlock, harvestwatch.ActObserve} {
		b := guarded(t, Options{})
		b.see(0, connect(bad))
		b.d.Settle(&harvestwatch.Decision{Action: action, Offence: harvestwatch.Offence{Source: src(bad), RuleIndex: -1, Fired: b.d.Now()},
			Until: b.d.Now().Add(time.Hour)})
		out := b.see(100, unknown(bad, "x@example.com"))
		if o := b.fire(3600, "y"); !out.Blocked || o.Level != 1 || o.Probation {
			t.Errorf("%s: blocked is %t, %+v", action, out.Blocked, o)
		}
	}
}
