package detector

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/rules"
)

// start is where the tests' time begins.
const start = 1_700_000_000

var testKey = [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}

func mustSet(t testing.TB, list ...rules.Rule) *rules.Set {
	t.Helper()
	s, err := rules.New(list...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func byDefault(t testing.TB) *bench {
	set := classic(t)
	return &bench{t: t, d: New(set, Options{Key: testKey}), set: set, act: true}
}

// bench drives a detector with the judge's actions made simple.
type bench struct {
	t    testing.TB
	d    *Detector
	set  *rules.Set
	act  bool                   // settle offences by blocking along the ladder
	site bool                   // the site's good mail is watched
	held []harvestwatch.Offence // that a guard held back: they are not returned
}

func addr(text string) netip.Addr { return netip.MustParseAddr(text) }

func src(text string) harvestwatch.Source {
	s, ok := harvestwatch.ParseSource(text)
	if !ok {
		panic(text)
	}
	return s
}

// see observes an event at a number of seconds after start and settles what comes of it.
func (b *bench) see(sec int64, ev harvestwatch.Event) harvestwatch.Outcome {
	b.t.Helper()
	ev.Time = (start + sec) * int64(time.Second)
	out := b.d.Observe(&ev)
	if !b.site {
		quietSite(b.d)
	}
	if o := out.Offence; o != nil && (b.act || o.Guard != "") {
		if o.Guard != "" {
			b.d.Settle(&harvestwatch.Decision{Offence: *o, Action: harvestwatch.ActSuppress, Guard: o.Guard})
			b.held = append(b.held, *o)
			out.Offence = nil
			return out
		}
		settle(b.d, b.set, o)
	}
	return out
}

func unknown(from, rcpt string) harvestwatch.Event {
	return harvestwatch.Event{Kind: harvestwatch.RcptUnknown, Addr: addr(from), Code: 550, Recipient: []byte(rcpt)}
}

func delivered(from, rcpt string) harvestwatch.Event {
	return harvestwatch.Event{Kind: harvestwatch.Delivered, Addr: addr(from), Code: 250, Recipient: []byte(rcpt)}
}

func connect(from string) harvestwatch.Event {
	return harvestwatch.Event{Kind: harvestwatch.Connect, Addr: addr(from)}
}

func authFail(from, user string) harvestwatch.Event {
	return harvestwatch.Event{Kind: harvestwatch.AuthFail, Addr: addr(from), Code: 535, User: []byte(user)}
}

func authOK(from string) harvestwatch.Event {
	return harvestwatch.Event{Kind: harvestwatch.AuthOK, Addr: addr(from), Code: 235, User: []byte("jo")}
}

// counted returns what a rule's condition would count for a source now, capped at what is kept.
func (d *Detector) counted(s harvestwatch.Source, n, cond int) int {
	id := d.table.find(s)
	if id == 0 {
		return 0
	}
	c := &d.rules[n].conds[cond]
	ct := &d.counters[c.counted[0]]
	return d.cap(n, cond, ct.total(d.live(d.table.rec(id), ct, c.window)))
}

// cap limits a count to what is kept for a rule's condition.
func (d *Detector) cap(n, cond, count int) int {
	if ct := &d.counters[d.rules[n].conds[cond].counted[0]]; ct.bucket == 0 {
		return min(count, ct.limit)
	}
	return count
}

// stateKey is a space and a key of saved state.
type stateKey struct {
	space uint8
	key   uint64
}

// sourceKey is that of a source.
func sourceKey(text string) stateKey { return stateKey{spaceSources, uint64(src(text))} }

func save(d *Detector, store map[stateKey][]byte) {
	d.Changes(func(space uint8, key uint64, value []byte) {
		if value == nil {
			delete(store, stateKey{space, key})
		} else {
			store[stateKey{space, key}] = bytes.Clone(value)
		}
	})
}

func restored(t *testing.T, set *rules.Set, o Options, store map[stateKey][]byte) *Detector {
	t.Helper()
	d := New(set, o)
	for k, value := range store {
		if err := d.Restore(k.space, k.key, value); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// classic is a set of four plain rules, by which the windows are told exactly.
func classic(t testing.TB) *rules.Set {
	hour, minute := time.Hour, time.Minute
	harvest := rules.Rule{Name: "harvest", Text: "x", Mode: rules.Enforce, Events: []harvestwatch.Kind{harvestwatch.RcptUnknown}, Distinct: rules.Recipient,
		Conditions: []rules.Condition{{Window: hour, AtLeast: 10}}, GoodFactor: 2, GoodWindow: 24 * hour, CreditFactor: 1, Ladder: []time.Duration{hour, 4 * hour, 24 * hour, 168 * hour}}
	slow := harvest
	slow.Name, slow.Conditions, slow.Ladder = "harvest-slow", []rules.Condition{{Window: 24 * hour, AtLeast: 15}}, []time.Duration{4 * hour, 24 * hour, 24 * hour, 168 * hour}
	return mustSet(t, harvest, slow,
		rules.Rule{Name: "auth-bruteforce", Text: "x", Mode: rules.Enforce, Events: []harvestwatch.Kind{harvestwatch.AuthFail}, Distinct: rules.UserMinute,
			Conditions:   []rules.Condition{{Window: 10 * minute, AtLeast: 10}, {Window: 24 * hour, AtLeast: 20}},
			AfterSuccess: rules.AfterSuccess{Within: 720 * hour, AtLeast: 50, Users: 5}, Ladder: []time.Duration{hour, 24 * hour, 168 * hour}},
		rules.Rule{Name: "conn-flood", Text: "x", Mode: rules.Enforce, Events: []harvestwatch.Kind{harvestwatch.Connect}, Bucket: 5 * time.Second,
			Conditions: []rules.Condition{{Window: minute, AtLeast: 100}}, UnlessDeliveredWithin: 10 * minute, Ladder: []time.Duration{15 * minute, hour, 4 * hour}})
}

// recipient returns the hash of a recipient as lists have it.
func (h *hasher) recipient(addr []byte) uint32 { return marked(h.address(addr)) }
