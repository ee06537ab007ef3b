package detector

import (
	"fmt"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/rules"
)

// A server that knows no tags denies anna+x while anna lives. Whoever asks for that must not be able to blind the rules.
func TestTagsOfLivingUsersAreNoOutage(t *testing.T) {
	b := guarded(t, Options{})
	b.learn(0, 20)
	for i := range 12 {
		from := fmt.Sprintf("192.0.2.%d", 60+i%4)
		if out := b.see(3*86400+int64(i), unknown(from, fmt.Sprintf("staff%d+x@example.com", i))); out.Notice != nil {
			t.Fatalf("%d refusals: %+v", i+1, out.Notice)
		}
	}
	if n := b.guess(3*86400+30, 30, nil); n != 10 {
		t.Errorf("fired after %d", n)
	}
}

// Many machines that got one message through each use the collateral budget up. Plain harvesting is blocked all the same.
func TestBudgetDoesNotShieldPlainHarvesting(t *testing.T) {
	set := mustSet(t, rules.Rule{Name: "harvest", Text: "x", Mode: rules.Enforce, Events: []harvestwatch.Kind{harvestwatch.RcptUnknown}, Distinct: rules.Recipient,
		Conditions: []rules.Condition{{Window: time.Hour, AtLeast: 10}}, GoodFactor: 2, Ladder: []time.Duration{time.Hour}})
	b := &bench{t: t, d: New(set, Options{Key: testKey}), set: set, act: true, site: true}
	for sec := int64(0); sec < 10*86400; sec += 600 {
		ev := delivered(fmt.Sprintf("192.0.2.%d", 1+sec/600%50), "staff@example.com")
		ev.Join = uint64(sec + 1)
		b.see(sec, ev)
	}
	late, early := 0, 0
	for i := range 20 {
		from := fmt.Sprintf("203.0.113.%d", i+1)
		start := int64(10*86400 + i*100)
		b.see(start, delivered(from, "staff@example.com"))
		switch n := b.guess(start, 60, func(_ int, ev *harvestwatch.Event) { ev.Addr = addr(from) }); n {
		case 12: // ten, and two for the delivery
			early++
		case 42: // four times ten, and two
			late++
		default:
			t.Errorf("%s: fired after %d", from, n)
		}
	}
	if late == 0 || early+late != 20 {
		t.Errorf("%d within the budget, %d beyond it", early, late)
	}
	if got := b.told("harvest"); got == "" || !wasTold(b, rules.GuardBudget) {
		t.Errorf("the budget isn't named: %q", got)
	}
}

// wasTold says whether a guard was told, be it after another one.
func wasTold(b *bench, guard string) bool {
	for i := range b.held {
		if b.held[i].Guard == guard {
			return true
		}
	}
	return false
}

// What speaks for a source can be counted by a rule of the user's own: one account from many places, or mail itself.
func TestOwnRulesCountWhatSpeaksForASource(t *testing.T) {
	own := append([]rules.Rule(nil), rules.Default().Rules...)
	own = append(own, rules.Rule{Name: "stolen-account", Text: "x", Mode: rules.Alert, Events: []harvestwatch.Kind{harvestwatch.AuthOK}, Keys: []rules.Key{rules.ByUser},
		Distinct: rules.Client, Conditions: []rules.Condition{{Window: time.Hour, AtLeast: 5}}},
		rules.Rule{Name: "much-mail", Text: "x", Mode: rules.Alert, Events: []harvestwatch.Kind{harvestwatch.Delivered},
			Conditions: []rules.Condition{{Window: time.Hour, AtLeast: 7}}, CreditFactor: 1}) // who delivers has credit soon
	set := mustSet(t, own...)
	b := &bench{t: t, d: New(set, Options{Key: testKey}), set: set}
	fired := map[string]int{}
	for i := range 10 {
		ev := harvestwatch.Event{Kind: harvestwatch.AuthOK, Addr: addr(fmt.Sprintf("192.0.2.%d", i+1)), User: []byte("jo")}
		if out := b.see(int64(i), ev); out.Offence != nil && fired[out.Offence.Rule] == 0 {
			fired[out.Offence.Rule] = i + 1
		}
		if out := b.see(int64(i), delivered("198.51.100.20", "jo@example.com")); out.Offence != nil && fired[out.Offence.Rule] == 0 {
			fired[out.Offence.Rule] = i + 1
		}
	}
	if fired["stolen-account"] != 5 || fired["much-mail"] != 7 || len(fired) != 2 {
		t.Errorf("fired %v", fired)
	}
}

// What own users send out earns no credit against rules about recipients, but an office whose users do so may mistype more.
func TestOwnUsersMailSpeaksForTypistsOnly(t *testing.T) {
	b := guarded(t, Options{})
	for i := range 8 {
		ev := delivered(bad, fmt.Sprintf("customer%d@example.org", i))
		ev.User, ev.Join = []byte("jo"), uint64(i+1)
		b.see(int64(i*60), ev)
		b.see(int64(i*60), harvestwatch.Event{Kind: harvestwatch.AuthOK, Addr: addr(bad), User: []byte("jo")})
	}
	fired := 0
	for i := range 120 { // six users, one failure a minute each
		if out := b.see(int64(1000+i*10), authFail(bad, fmt.Sprintf("user%d", i%6))); out.Offence != nil && out.Offence.Guard == "" && fired == 0 {
			fired = i + 1
		}
	}
	if fired != 0 {
		t.Errorf("an office fired after %d failures", fired)
	}
	if n := b.guess(3000, 60, nil); n != 26 { // ten, and two for each recipient that it delivered to; forty more with credit
		t.Errorf("guesses fired after %d", n)
	}
}
