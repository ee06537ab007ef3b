package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/rules"
)

// play shows one event to lanes, with the outcome that each of their detectors would give.
func play(ev harvestwatch.Event, lanes map[*Lane]bool) {
	for l, blocked := range lanes {
		l.Event(&ev, &harvestwatch.Outcome{Blocked: blocked})
	}
}

// week plays the same events to a careful lane and a bold one: a harvester that both block, the bold one sooner; a partner
// with a bad list that only the bold one blocks; a storm that only the careful one blocks, and the bold one has on trial.
func week(t *testing.T) (careful, bold *Lane) {
	a, b := NewLane("built-in rules", time.UTC), NewLane("bold.toml", time.UTC)
	at := func(sec int) int64 { return noon.Add(time.Duration(sec) * time.Second).UnixNano() }
	ev := func(kind harvestwatch.Kind, addr string, sec int) harvestwatch.Event {
		return harvestwatch.Event{Kind: kind, Addr: netip.MustParseAddr(addr), Time: at(sec)}
	}
	block := func(l *Lane, addr, rule string, action harvestwatch.Action, sec int) {
		l.Decision(decided(t, addr, rule, action, "", noon.Add(time.Duration(sec)*time.Second)))
	}
	for i := range 100 {
		if i == 9 {
			block(a, "198.51.100.7", "harvest", harvestwatch.ActBlock, i)
		}
		if i == 4 {
			block(b, "198.51.100.7", "harvest", harvestwatch.ActBlock, i)
		}
		lanes := map[*Lane]bool{a: i > 9, b: i > 4}
		play(ev(harvestwatch.Connect, "198.51.100.7", i), lanes)
		play(ev(harvestwatch.RcptUnknown, "198.51.100.7", i), lanes)
		end := ev(harvestwatch.Disconnect, "198.51.100.7", i)
		if end.Began = at(i - 2); i >= 90 {
			end.Began = 0
		}
		play(end, lanes)
	}
	for i := range 6 {
		play(ev(harvestwatch.RcptUnknown, "192.0.2.7", 100+i), map[*Lane]bool{a: false, b: i == 5})
		if i == 4 {
			block(b, "192.0.2.7", "harvest", harvestwatch.ActBlock, 104)
			b.hold(t, "192.0.2.8", rules.GuardCredit)
			a.hold(t, "192.0.2.7", rules.GuardDeliveries)
		}
	}
	for i := range 5 {
		good := ev(harvestwatch.Delivered, "192.0.2.7", 200+60*i)
		good.Began, good.Sender = at(198+60*i), []byte("news@Partner\x1b[2J.example")
		if i == 4 {
			good.Sender, good.Null = nil, true
		}
		play(good, map[*Lane]bool{a: false, b: true})
	}
	early := ev(harvestwatch.Delivered, "192.0.2.7", 300) // accepted before the block, delivered under it
	early.Began = at(50)
	play(early, map[*Lane]bool{a: false, b: false})
	block(a, "203.0.113.9", "conn-flood", harvestwatch.ActBlock, 400)
	block(b, "203.0.113.9", "conn-flood", harvestwatch.ActObserve, 400)
	for i := range 20 {
		play(ev(harvestwatch.Connect, "203.0.113.9", 400+i), map[*Lane]bool{a: i > 0, b: false})
		play(ev(harvestwatch.AuthFail, "203.0.113.9", 400+i), map[*Lane]bool{a: i > 0, b: false})
	}
	b.Notice(&harvestwatch.Notice{Guard: rules.GuardGoodMail, At: noon.Add(time.Hour), Reason: "9 deliveries in the last hour, 30 are usual"})
	return a, b
}

// hold plays an offence that a guard held back.
func (l *Lane) hold(t *testing.T, addr, guard string) {
	l.Decision(decided(t, addr, "harvest", harvestwatch.ActSuppress, guard, noon))
}

func TestBacktestCountsBothSides(t *testing.T) {
	a, b := week(t)
	r := Compare(a, b, BacktestOptions{Evidence: allLines{}})
	if want := (BacktestTotals{Connections: 120, ConnectionSeconds: 180, Ended: 100, Unmeasured: 10, Guesses: 106, Deliveries: 6, AuthFailures: 20}); r.Totals != want {
		t.Errorf("totals %+v", r.Totals)
	}
	// A's block begins at 9: the connections 8–10 and 9–11 lie partly in it, 10–12 to 87–89 wholly.
	if want := (Effect{Blocks: 2, Blocked: 2, Guesses: 90, GuessShare: 90. / 106, Connections: 109, ConnectionSeconds: 1 + 2*79, Unmeasured: 10,
		AuthFailures: 19}); r.Against.InForce != want {
		t.Errorf("A %+v", r.Against.InForce)
	}
	if want := (Effect{Blocks: 2, Blocked: 2, Guesses: 96, GuessShare: 96. / 106, Connections: 95, ConnectionSeconds: 1 + 2*84, Unmeasured: 10,
		Deliveries: 5, LongestDelay: 3506}); r.Candidate.InForce != want {
		t.Errorf("B %+v", r.Candidate.InForce)
	}
	if want := (Effect{Blocks: 1, Blocked: 1, Connections: 19, AuthFailures: 19}); r.Candidate.OnTrial != want {
		t.Errorf("B on trial %+v", r.Candidate.OnTrial)
	}
	if r.OnlyCandidate.Blocked != 1 || r.OnlyCandidate.Top[0].Blocked != "192.0.2.7" || r.OnlyCandidate.Top[0].Deliveries != 5 ||
		r.OnlyAgainst.Blocked != 1 || r.OnlyAgainst.Top[0].Blocked != "203.0.113.9" || r.OnlyAgainst.Top[0].Connections != 19 {
		t.Errorf("only B %+v, only A %+v", r.OnlyCandidate, r.OnlyAgainst)
	}
	p := r.Candidate.Price
	if p.Deliveries != 5 || len(p.Domains) != 2 || p.Domains[0].Deliveries != 4 || p.Domains[1].Domain != "<>" || len(p.Hits) != 5 {
		t.Fatalf("price %+v", p)
	}
	k := p.Domains[0].Blocks[0]
	if k.Blocked != "192.0.2.7" || k.Rule != "harvest" || k.Deliveries != 4 || !k.From.Equal(noon.Add(104*time.Second)) || k.Level != 1 ||
		!k.First.Equal(noon.Add(198*time.Second)) || len(k.Evidence) != 1 || p.Hits[0].Delay != 3506 {
		t.Errorf("block %+v, hit %+v", k, p.Hits[0])
	}
	if !r.HitsAny() || Compare(b, a, BacktestOptions{}).HitsAny() {
		t.Error("a delivery is hit by B only")
	}
	if len(r.Candidate.HeldBack) != 1 || r.Candidate.HeldBack[0] != (GuardCount{rules.GuardCredit, 1}) || len(r.Candidate.NoticesBy) != 1 {
		t.Errorf("held back %+v, notices %+v", r.Candidate.HeldBack, r.Candidate.NoticesBy)
	}
}

func TestBacktestText(t *testing.T) {
	a, b := week(t)
	r := Compare(a, b, BacktestOptions{Evidence: allLines{}})
	r.Inputs = []Input{{Path: "mail\x1b.log", Format: "postfix", Lines: 400, Events: 400}}
	var out bytes.Buffer
	if err := r.Text(&out, TextOptions{Evidence: 2}); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(out.String(), "\x1b\u202e") {
		t.Errorf("a log's bytes reach the terminal: %q", out.String())
	}
	golden(t, "backtest.txt", out.Bytes())
	js, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "backtest.json", append(js, '\n'))
}

func TestBacktestOfNothing(t *testing.T) {
	var out bytes.Buffer
	r := Compare(NewLane("a", time.UTC), NewLane("b", time.UTC), BacktestOptions{})
	if err := r.Text(&out, TextOptions{}); err != nil || !strings.Contains(out.String(), "No events") || r.HitsAny() {
		t.Errorf("%v:\n%s", err, out.String())
	}
}

func TestVerdicts(t *testing.T) {
	for want, k := range map[string]struct{ all, a, c, hitA, hitC int64 }{
		"There were neither guesses nor failed logins in these logs: B prevents nothing that A lets pass, and neither would have held up a single delivery.": {},
		"B prevents as many guesses as A does (50.0 % of all), and neither would have held up a single delivery.":                                            {100, 50, 50, 0, 0},
		"B prevents 10.0 % more guesses than A (55.0 % of all instead of 50.0 %), and would have held up 2 deliveries more (3 instead of 1): \"x.example\", the longest for 1h.": {
			100, 50, 55, 1, 3},
		"B prevents 20.0 % fewer guesses than A (40.0 % of all instead of 50.0 %), and would have held up 1 delivery fewer (1 instead of 2).": {100, 50, 40, 2, 1},
		"B prevents 5 guesses (5.0 % of all), A none, and would have held up no delivery, where A holds up 1.":                                {100, 0, 5, 1, 0},
	} {
		b := &Backtest{Totals: BacktestTotals{Guesses: k.all}}
		b.Against.InForce = Effect{Guesses: k.a, Deliveries: k.hitA}
		b.Candidate.InForce = Effect{Guesses: k.c, Deliveries: k.hitC, LongestDelay: 3600}
		b.Against.Price.Domains = []DomainPrice{{Domain: "x.example", Deliveries: k.hitA}}
		b.Candidate.Price.Domains = []DomainPrice{{Domain: "x.example", Deliveries: k.hitC}}
		if got := b.verdict(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// TestPrefixBlocks covers sources, and what a notice takes back ends.
func TestPrefixBlocks(t *testing.T) {
	l, other := NewLane("prefix", time.UTC), NewLane("none", time.UTC)
	wide := decided(t, "203.0.113.6", "prefix", harvestwatch.ActBlock, "", noon)
	wide.Offence.Prefix = netip.MustParsePrefix("203.0.113.0/24")
	l.Decision(wide)
	other.Decision(decided(t, "203.0.113.77", "harvest", harvestwatch.ActBlock, "", noon))
	hit := func(addr string, sec int) {
		ev := event(harvestwatch.Delivered, addr, noon.Add(time.Duration(sec)*time.Second))
		ev.Sender = []byte("a@partner.example")
		l.Event(ev, &harvestwatch.Outcome{Blocked: true})
	}
	hit("203.0.113.200", 10)
	r := Compare(other, l, BacktestOptions{})
	if h := r.Candidate.Price.Hits[0]; h.Block.Blocked != "203.0.113.0/24" || h.Source != "203.0.113.200" || h.Delay != 3590 {
		t.Errorf("hit %+v", h)
	}
	if r.OnlyAgainst.Blocked != 0 || r.OnlyCandidate.Blocked != 1 {
		t.Errorf("the prefix covers the source: %+v %+v", r.OnlyAgainst, r.OnlyCandidate)
	}
	trial := decided(t, "198.51.100.1", "mine", harvestwatch.ActObserve, "", noon)
	l.Decision(trial)
	guess := event(harvestwatch.RcptUnknown, "198.51.100.1", noon.Add(time.Minute))
	l.Event(guess, &harvestwatch.Outcome{})
	l.Notice(&harvestwatch.Notice{Guard: rules.GuardOutage, At: noon.Add(time.Minute), Release: []harvestwatch.Source{sourceOf(t, "198.51.100.1")}})
	l.Event(guess, &harvestwatch.Outcome{})
	if n := l.effects[onTrial].guesses; n != 1 {
		t.Errorf("%d guesses on trial: the notice ends the block", n)
	}
}

func TestALaneIsBounded(t *testing.T) {
	l := NewLane("many", time.UTC)
	for i := range 5 * maxHits {
		d := decided(t, "192.0.2.1", "harvest", harvestwatch.ActBlock, "", noon)
		d.Offence.Source, _ = harvestwatch.SourceOf(bulk(i))
		l.Decision(d)
		l.Event(&harvestwatch.Event{Kind: harvestwatch.Delivered, Addr: bulk(i), Time: noon.Add(time.Minute).UnixNano(),
			Sender: fmt.Appendf(nil, "a@%0300d.example", i)}, &harvestwatch.Outcome{Blocked: true})
		l.Notice(&harvestwatch.Notice{Guard: rules.GuardOutage, At: noon})
	}
	r := Compare(NewLane("none", time.UTC), l, BacktestOptions{Evidence: allLines{}})
	p := r.Candidate.Price
	if len(p.Hits) != maxHits || len(p.Domains) != maxDomains || p.Deliveries != 5*maxHits || p.Others != 4*maxHits || len(r.Candidate.Notices) != maxNotices {
		t.Errorf("%d hits, %d domains, %d deliveries, %d others", len(p.Hits), len(p.Domains), p.Deliveries, p.Others)
	}
}
