package detector

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/rules"
)

// member makes an event of one of many sources under one HELO name and sender domain.
func member(i int, rcpt string) harvestwatch.Event {
	ev := unknown(bad, rcpt)
	ev.Addr = bulk(uint32(i))
	ev.Helo = fmt.Appendf(nil, "WIN-%d.local", i)
	ev.Sender = []byte("news@Bulk.example")
	return ev
}

func TestCampaign(t *testing.T) {
	for _, c := range []struct {
		name   string
		before func(b *bench)
		change func(i int, ev *harvestwatch.Event)
		fires  int
		guard  string
	}{
		{"two tries each", nil, nil, 49, ""}, // the 25th source's first
		{"one HELO name each", nil, func(i int, ev *harvestwatch.Event) {
			ev.Helo = fmt.Appendf(nil, "host%c%c.example", 'a'+i/2%26, 'a'+i/52)
		}, 0, ""},
		{"address literals", nil, func(_ int, ev *harvestwatch.Event) { ev.Helo = []byte("[192.0.2.1]") }, 0, ""},
		{"a free provider", nil, func(_ int, ev *harvestwatch.Event) { ev.Sender = []byte("a@gmx.net") }, 0, ""},
		{"a member with credit", func(b *bench) {
			for i := range 3 {
				ev := member(900, "jo@example.com")
				ev.Kind, ev.Join, ev.Helo, ev.Sender = harvestwatch.Delivered, uint64(i+1), nil, []byte("a@other.example")
				b.see(0, ev)
			}
			b.see(20000, member(900, "typo@example.com"))
		}, nil, 0, rules.GuardCredit},
		{"a good message under the name", func(b *bench) {
			ev := member(900, "jo@example.com")
			ev.Kind, ev.Sender = harvestwatch.Delivered, []byte("a@other.example")
			b.see(0, ev)
		}, nil, 0, rules.GuardMail},
		{"a third is good", func(b *bench) {
			for i := range 30 {
				ev := member(i, "jo@example.com")
				ev.Kind = harvestwatch.Accepted
				b.see(20000, ev)
			}
		}, nil, 0, rules.GuardShare},
	} {
		b := guarded(t, Options{})
		if c.before != nil {
			c.before(b)
		}
		fired := 0
		for i := range 90 {
			ev := member(i/2, fmt.Sprintf("u%d@example.com", i))
			if c.change != nil {
				c.change(i, &ev)
			}
			if out := b.see(30000+int64(i), ev); out.Offence != nil && fired == 0 {
				o := out.Offence
				fired = i + 1
				if o.Rule != "campaign" || o.Key != "helo and sender_domain" || o.Group != "win-0.local bulk.example" || o.Prefix.IsValid() || o.Source != harvestwatch.Source(netipU32(ev.Addr)) {
					t.Errorf("%s: %+v", c.name, o)
				}
			}
		}
		if fired != c.fires || b.told("campaign") != c.guard {
			t.Errorf("%s: fired after %d, told %q; want %d, %q", c.name, fired, b.told("campaign"), c.fires, c.guard)
		}
	}
}

func netipU32(a netip.Addr) uint32 {
	b := a.As4()
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

// TestAlertRestsForTheKey holds that an account under attack is told of once, not once for each attacker.
func TestAlertRestsForTheKey(t *testing.T) {
	b := guarded(t, Options{})
	told := 0
	for i := range 200 {
		ev := authFail(bad, "Chief")
		ev.Addr = bulk(uint32(i))
		if out := b.see(int64(i), ev); out.Offence != nil {
			if told++; i != 29 || out.Offence.Group != "chief" || out.Offence.Key != "user" {
				t.Errorf("source %d: %+v", i+1, out.Offence)
			}
		}
	}
	if told != 1 {
		t.Errorf("told %d times", told)
	}
}

// enforced returns the default rules, all of them in force.
func enforced(t testing.TB, names ...string) *rules.Set {
	var list []rules.Rule
	for _, r := range rules.Default().Rules {
		for _, n := range names {
			if r.Name == n {
				r.Mode = rules.Enforce
				list = append(list, r)
			}
		}
	}
	return mustSet(t, list...)
}

func TestPrefixOfBlockedSources(t *testing.T) {
	for _, c := range []struct {
		name      string
		addr      func(i int) string
		prefix    string
		fires     int // after so many blocked sources
		before    func(b *bench)
		guard     string
		neighbour string
	}{
		{"IPv4", func(i int) string { return fmt.Sprintf("198.51.100.%d", i+1) }, "198.51.100.0/24", 8, nil, "", "198.51.100.200"},
		{"IPv6", func(i int) string { return fmt.Sprintf("2001:db8:7:%x::1", i) }, "2001:db8:7::/48", 16, nil, "", "2001:db8:7:ffff::1"},
		{"credit", func(i int) string { return fmt.Sprintf("198.51.100.%d", i+1) }, "", 0, func(b *bench) {
			for i := range 3 {
				ev := delivered("198.51.100.99", "jo@example.com")
				ev.Join = uint64(i + 1)
				b.see(0, ev)
			}
		}, rules.GuardCredit, ""},
		{"active neighbours", func(i int) string { return fmt.Sprintf("198.51.100.%d", i+1) }, "", 0, func(b *bench) {
			for i := range 4 {
				b.see(9000, unknown(fmt.Sprintf("198.51.100.%d", 100+i), "jo@example.com"))
			}
		}, rules.GuardShare, ""},
	} {
		set := enforced(t, "harvest", "prefix")
		b := &bench{t: t, d: New(set, Options{Key: testKey}), set: set, act: true}
		if c.before != nil {
			c.before(b)
		}
		fired := 0
		for i := range 24 {
			for j := range 12 {
				out := b.see(10000+int64(i*20+j), unknown(c.addr(i), fmt.Sprintf("u%d.%d@example.com", i, j)))
				if o := out.Offence; o != nil && o.Rule == "prefix" && fired == 0 {
					fired = i + 1
					if o.Prefix.String() != c.prefix || o.Group != c.prefix || o.Key != "prefix" || o.Count != c.fires || len(o.Evidence) != c.fires || !out.Blocked {
						t.Errorf("%s: %+v", c.name, o)
					}
				}
			}
		}
		if fired != c.fires || b.told("prefix") != c.guard && c.guard != rules.GuardShare {
			t.Errorf("%s: fired after %d, told %q; want %d, %q", c.name, fired, b.told("prefix"), c.fires, c.guard)
		}
		if c.neighbour == "" {
			continue
		}
		if out := b.see(10600, connect(c.neighbour)); !out.Blocked {
			t.Errorf("%s: the neighbour isn't blocked", c.name)
		}
		b.d.ReleasePrefix(src(c.neighbour), b.d.Now())
		if out := b.see(10601, connect(c.neighbour)); out.Blocked {
			t.Errorf("%s: the neighbour is blocked after the release", c.name)
		}
	}
}

func TestSharedDictionary(t *testing.T) {
	set := enforced(t, "harvest", "dictionary-overlap")
	b := &bench{t: t, d: New(set, Options{Key: testKey}), set: set, act: true}
	names := []string{"anna.k", "bert.m", "info", "cleo.t", "dora.p", "emil.s", "fred.u", "gina.b", "hugo.w", "ines.c", "jan.d"}
	harvester := func(i int) {
		for _, n := range names {
			ev := unknown(bad, n+"@example.com")
			ev.Addr = bulk(uint32(i))
			b.see(int64(i*60), ev)
		}
	}
	guesses := func(from string, sec int64) int {
		for i, n := range names {
			if out := b.see(sec+int64(i), unknown(from, n+"@example.com")); out.Offence != nil {
				return i + 1
			}
		}
		return 0
	}
	for i := range 19 {
		harvester(i)
	}
	if n := guesses("192.0.2.1", 1200); n != 10 { // by harvest: and is the twentieth
		t.Errorf("after nineteen: %d", n)
	}
	if n := guesses("192.0.2.2", 1300); n != 6 { // five such names, and info, which is a role's
		t.Errorf("after twenty: %d", n)
	}
	if got := b.d.Stats().Dictionary; got != 9 {
		t.Errorf("%d names in the dictionary", got)
	}
	if n := guesses("192.0.2.3", 8*86400); n != 10 {
		t.Errorf("a week later: %d", n)
	}
}

// TestUnsharedNamesDoNotFire holds that a rule that asks for shared names leaves alone who tried other names, or too few
// that are shared, however many he tried.
func TestUnsharedNamesDoNotFire(t *testing.T) {
	for _, c := range []struct {
		name           string
		shared, others int // guesses, the others first
		fires          int // after so many of the shared ones
		good           int // recipients that it delivered to
		guard          string
	}{
		{"twelve unshared", 0, 12, 0, 0, ""}, {"five shared", 6, 0, 5, 0, ""}, {"two shared, beside eighteen", 2, 18, 0, 0, ""},
		{"three shared, beside eight", 3, 8, 3, 0, ""}, {"four shared, one other", 4, 1, 0, 0, ""}, {"four shared, two others", 4, 2, 4, 0, ""},
		{"six shared, beside mail for one", 6, 0, 6, 1, rules.GuardDeliveries},
	} {
		set := enforced(t, "harvest", "dictionary-overlap")
		b := &bench{t: t, d: New(set, Options{Key: testKey}), set: set, act: true}
		name := func(i int) string { return fmt.Sprintf("name%c@example.com", 'a'+i) }
		for i := range 200 { // ten names at a time, from a list of ten
			ev := unknown(bad, name(i%10))
			ev.Addr = bulk(uint32(i / 10))
			b.see(int64(i), ev)
		}
		for i := range c.others { // slower than one an hour: too slow for harvest
			if out := b.see(300+int64(i)*4000, unknown(bad, fmt.Sprintf("other%d@example.com", i))); out.Offence != nil {
				t.Fatalf("%s: fired after %d others: %+v", c.name, i+1, out.Offence)
			}
		}
		for i := range c.good {
			b.see(85000, delivered(bad, fmt.Sprintf("staff%d@example.com", i)))
		}
		fired := 0
		for i := range c.shared {
			if out := b.see(86000+int64(i), unknown(bad, name(i))); out.Offence != nil && fired == 0 {
				fired = i + 1
				if o := out.Offence; o.Rule != "dictionary-overlap" || o.Count < 10 || o.Count != len(o.Evidence)+fired || o.Threshold != 10+2*c.good {
					t.Errorf("%s: %+v", c.name, o)
				}
			}
		}
		if fired != c.fires || b.told("dictionary-overlap") != c.guard {
			t.Errorf("%s: fired after %d, told %q", c.name, fired, b.told("dictionary-overlap"))
		}
	}
}

// TestDictionaryIsBounded fills the dictionary and holds that what many tried stays.
func TestDictionaryIsBounded(t *testing.T) {
	w := dictionary{hot: 20}
	h := newHasher(testKey)
	name := func(i int) uint32 { return marked(h.address(fmt.Appendf(nil, "name%d@example.com", i))) }
	for i := range 100 {
		for range 20 {
			w.enter(name(i), 10)
		}
	}
	for i := range 600000 {
		w.enter(name(1000+i), 10)
	}
	if w.used > wordSets*wordWays || w.used < 190000 || len(w.words)*wordBytes != 4800000 {
		t.Errorf("%d words in %d bytes", w.used, len(w.words)*wordBytes)
	}
	for i := range 100 {
		if !w.known(name(i), 10, 7, 20) {
			t.Fatalf("name %d is lost", i)
		}
	}
	if w.known(name(0), 17, 7, 20) || !w.known(name(0), 16, 7, 20) {
		t.Error("seven days are not seven")
	}
}

func TestKeysAreBounded(t *testing.T) {
	set := enforced(t, "campaign", "harvest")
	b := &bench{t: t, d: New(set, Options{Key: testKey, MaxKeys: 1000}), set: set, act: true}
	for i := range 60 { // one that has reached its threshold
		b.see(int64(i), member(i, fmt.Sprintf("u%d@example.com", i)))
	}
	for i := range 20000 {
		ev := member(100+i, "x@example.com")
		ev.Helo = fmt.Appendf(nil, "%x.example", uint64(i)*0x9e3779b97f4a7c15|0xa000000000000000)
		ev.Sender = fmt.Appendf(nil, "a@d%d.example", i)
		b.see(100, ev)
	}
	s := b.d.Stats()
	if s.Keys > 3000 || s.KeysLost < 30000 {
		t.Errorf("%+v", s)
	}
	if out := b.see(200, member(30000, "y@example.com")); out.Offence == nil {
		t.Error("a campaign was pushed out")
	}
}

func TestIPv6Rotation(t *testing.T) {
	set := rules.Default()
	o := Options{Key: testKey}
	b := &bench{t: t, d: New(set, o), set: set, act: true}
	at := func(net48, net64 int) netip.Addr {
		return netip.MustParseAddr(fmt.Sprintf("2001:db8:%x:%x::1", net48, net64))
	}
	known := unknown(bad, "jo@example.com")
	known.Addr = at(7, 0)
	b.see(0, known)
	told := 0
	for i := range 3000 {
		ev := unknown(bad, fmt.Sprintf("u%d@example.com", i))
		ev.Addr = at(7, i)
		if out := b.see(int64(i/100), ev); out.Offence != nil {
			t.Fatalf("fired: %+v", out.Offence)
		}
		if i == 1500 {
			store := map[stateKey][]byte{}
			save(b.d, store)
			b.d = restored(t, set, o, store)
		}
	}
	for i := range b.held {
		if h := &b.held[i]; h.Guard == rules.GuardIPv6 && h.Prefix.String() == "2001:db8:7::/48" {
			told++
		}
	}
	if s := b.d.Stats(); s.Sources != 257 || s.Aggregates != 1 || told < 2 || told > 6 {
		t.Errorf("%+v, told %d", s, told)
	}
	known.Recipient = []byte("more@example.com")
	b.see(100, known)
	if n := b.d.counted(src("2001:db8:7::1"), 0, 0); n != 3 {
		t.Errorf("a source that was there counts %d", n)
	}
	for i := range 6000 {
		ev := unknown(bad, fmt.Sprintf("v%d@example.com", i))
		ev.Addr = at(0x100+i, 0)
		b.see(200, ev)
	}
	if s := b.d.Stats(); s.Sources > 257+4096+1 || s.Aggregates != 2 {
		t.Errorf("a flood of /48: %+v", s)
	}
	ev := unknown(bad, "w@example.com") // a day later there is room again
	ev.Addr = at(7, 5000)
	b.see(2*86400, ev)
	if n := b.d.counted(src("2001:db8:7:1388::1"), 0, 0); n != 1 {
		t.Errorf("a day later a new source counts %d by itself", n)
	}
}

// TestConnectOnlySourcesDieSoon holds that a rule with a week's memory keeps only what it counts.
func TestConnectOnlySourcesDieSoon(t *testing.T) {
	b := guarded(t, Options{})
	for i := range 20000 {
		ev := connect(bad)
		ev.Addr, ev.Session = bulk(uint32(i)), uint64(i+1)
		b.see(int64(i/50), ev)
		ev.Kind = harvestwatch.Disconnect
		ev.Began = 0
		b.see(int64(i/50), ev)
	}
	if s := b.d.Stats(); s.Sources > 8000 || s.Evicted != 0 {
		t.Errorf("%+v", s)
	}
	for i := range 40000 {
		b.see(400+int64(i/100), harvestwatch.Event{Kind: harvestwatch.ServerError, Addr: addr(bad)})
	}
	if s := b.d.Stats(); s.Sources > 100 {
		t.Errorf("later: %+v", s)
	}
}

func TestOpenSessions(t *testing.T) {
	set := mustSet(t, rules.Rule{Name: "hog", Text: "x", Mode: rules.Enforce, Events: []harvestwatch.Kind{harvestwatch.Connect},
		Conditions: []rules.Condition{{Window: 10 * time.Minute, Open: 20}}, Ladder: []time.Duration{time.Hour}})
	b := &bench{t: t, d: New(set, Options{Key: testKey}), set: set, act: true}
	session := uint64(0)
	open := func(sec int64, n int) bool {
		for range n {
			session++
			ev := connect(bad)
			ev.Session = session
			if b.see(sec, ev).Offence != nil {
				return true
			}
		}
		return false
	}
	for i := range int64(500) { // nineteen at a time, a new one for each that ends
		if open(i, 1) {
			t.Fatalf("fired at %d s", i)
		}
		if session >= 19 {
			b.see(i, harvestwatch.Event{Kind: harvestwatch.Disconnect, Addr: addr(bad), Session: session - 18})
		}
	}
	if open(500, 1) || !open(500, 1) {
		t.Error("the twentieth didn't fire")
	}
}
