package detector

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/detector/ledger"
	"github.com/harvestwatch/harvestwatch/rules"
)

// tallyOfTest is what the comparison with the oracle amounted to.
type tallyOfTest struct {
	counts, outcomes, offences, blocked, late, probation, credited, repeated int
	held, keyed, blocks, share, shared                                       int
	kinds                                                                    [8]int // by what is added up
	distinct                                                                 [8]int // by what is distinct
	keys                                                                     [numKeys]int
}

func TestOracle(t *testing.T) {
	var n tallyOfTest
	for seed := range uint64(600) {
		compareWithOracle(t, seed, 300, &n)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d comparisons of counts and %d of whole outcomes with the oracle, none different", n.counts, n.outcomes)
	t.Logf("counts by kind (events, seconds, open, no such user) %v, by distinct (each, recipient, user/minute, user, domain, source) %v, by key %v",
		n.kinds[:4], n.distinct[:6], n.keys)
	t.Logf("%d offences held back by a guard; of the others %d by a key, %d of prefixes with blocked sources, %d with a share, %d by shared names", n.held, n.keyed,
		n.blocks, n.share, n.shared)
	t.Logf("among them %d offences (%d on probation, %d by credited sources, %d not the first), %d events in blocks, %d late",
		n.offences, n.probation, n.credited, n.repeated, n.blocked, n.late)
	if n.counts+n.outcomes < 90000 || n.offences < 2000 || n.probation < 200 || n.credited < 200 || n.repeated < 200 || n.blocked < 2000 || n.late < 2000 || n.shared < 20 ||
		n.keyed < 200 || n.share < 50 || n.blocks < 30 || n.held < 500 {
		t.Errorf("too little was compared: %+v", n)
	}
}

// former are recipients that once existed, in the streams.
var former = []string{"user1@example.com", "user2@example.com"}

// quietSite makes the guards of the whole site see nothing.
func quietSite(d *Detector) { d.hours = ledger.Hours{} }

func compareWithOracle(t *testing.T, seed uint64, events int, n *tallyOfTest) {
	s := newStream(seed)
	set := mustSet(t, s.set()...)
	grace := []int64{0, 1, 10, 60}[s.IntN(4)]
	o := Options{Key: testKey, Grace: time.Duration(grace) * time.Second}
	if grace == 0 {
		o.Grace = -1
	}
	for _, f := range former {
		o.FormerUsers = append(o.FormerUsers, []byte(f))
	}
	d, want := New(set, o), newOracle(set, grace, former...)
	for i := range events {
		ev := s.event()
		out, v := d.Observe(&ev), want.observe(&ev)
		quietSite(d)
		n.outcomes++
		sameOutcome(t, d, &ev, out, v)
		sameCounts(t, d, want, &ev, n)
		sameMemory(t, d)
		if t.Failed() {
			t.Fatalf("seed %d, event %d: %+v\n%+v", seed, i, ev, set.Rules)
		}
		note(n, out, set)
		if o := out.Offence; o != nil && o.Guard != "" {
			d.Settle(&harvestwatch.Decision{Offence: *o, Action: harvestwatch.ActSuppress})
		} else if o != nil {
			dec := s.decision(o)
			d.Settle(&dec)
			want.settle(&dec, &ev)
		}
		if s.IntN(150) == 0 {
			at := time.Unix(s.now-s.Int64N(30), 0)
			key, _ := harvestwatch.SourceOf(ev.Addr)
			d.Release(key, at)
			want.release(key, at.Unix())
		}
	}
}

// sameMemory holds that each record knows until when its lists hold anything.
func sameMemory(t *testing.T, d *Detector) {
	t.Helper()
	for id := uint32(1); id <= d.table.high; id++ {
		if r := d.table.rec(id); r.key() != 0 && max(r[wUntil], d.now) != max(d.askedUntil(r), d.now) {
			t.Errorf("source %s: asked until %d, its lists say %d, now %d", r.key(), r[wUntil], d.askedUntil(r), d.now)
		}
	}
}

// sameCounts compares what every condition counts for the event's source and keys.
func sameCounts(t *testing.T, d *Detector, want *oracle, ev *harvestwatch.Event, n *tallyOfTest) {
	t.Helper()
	src, _ := harvestwatch.SourceOf(ev.Addr)
	x := sight{ev: ev, src: src}
	texts := textKeys(ev)
	for r := range want.set.Rules {
		ru := &want.set.Rules[r]
		for c := range ru.Conditions {
			cond := &d.rules[r].conds[c]
			compare := func(k rules.Key, counter int, w wants) {
				got, ct := 0, &d.counters[counter]
				if k == rules.BySource {
					if id := d.table.find(src); id != 0 {
						got = ct.total(d.live(d.table.rec(id), ct, cond.window))
					}
				} else if key := d.keyOf(k, &x); key != 0 {
					if rec := d.keyRecord(k, key, false); rec != nil {
						got = ct.total(d.liveKey(rec, counter, cond.window))
					}
				} else {
					return
				}
				f := want.tally(w, k, src, texts[k])
				should, limit := f.count, ct.limit
				if ct.bucket > 0 {
					limit = 1 << 30
				}
				n.kinds[ct.sums]++
				n.distinct[ct.mode]++
				n.keys[k]++
				if n.counts++; min(got, limit) != min(should, limit) {
					t.Errorf("rule %d, condition %d, key %s: counted %d, the oracle %d", r, c, k, got, should)
				}
			}
			if ru.Blocks {
				continue
			}
			keys := ru.Keys
			if len(keys) == 0 {
				keys = []rules.Key{rules.BySource}
			}
			for i, k := range keys {
				compare(k, cond.counted[i], wants{r: ru, c: &ru.Conditions[c]})
				if cond.sources[i] >= 0 {
					compare(k, cond.sources[i], wants{r: ru, c: &ru.Conditions[c], sources: true})
				}
				if cond.against[i] >= 0 {
					compare(k, cond.against[i], wants{r: ru, c: &ru.Conditions[c], against: true})
				}
			}
		}
	}
}

func note(n *tallyOfTest, out harvestwatch.Outcome, set *rules.Set) {
	if out.Blocked {
		n.blocked++
	}
	if out.Late {
		n.late++
	}
	if o := out.Offence; o != nil && o.Guard != "" {
		n.held++
	} else if o != nil {
		n.offences++
		r := &set.Rules[o.RuleIndex]
		if o.Key != "" {
			n.keyed++
		}
		if r.Blocks {
			n.blocks++
		}
		if r.Share > 0 {
			n.share++
		}
		if r.Shared.Names > 0 && len(o.Evidence) < o.Count {
			n.shared++
		}
		if o.Probation {
			n.probation++
		}
		if o.Deliveries > 0 {
			n.credited++
		}
		if o.Level > 1 {
			n.repeated++
		}
	}
}

func sameOutcome(t *testing.T, d *Detector, ev *harvestwatch.Event, out harvestwatch.Outcome, v verdict) {
	t.Helper()
	heldBack := out.Offence != nil && out.Offence.Guard != ""
	if out.Blocked != v.blocked || out.Grace != v.grace || out.Late != v.late || out.Ignored != v.ignored && out.Offence == nil {
		t.Errorf("%s: outcome %+v, the oracle %+v", ev.Kind, out, v)
	}
	if heldBack {
		out.Offence = nil
	}
	if (out.Offence == nil) != (v.offence == nil) {
		t.Errorf("%s: offence %+v, the oracle %+v", ev.Kind, out.Offence, v.offence)
		return
	}
	if out.Offence == nil {
		return
	}
	got, should := *out.Offence, *v.offence
	if got.Addr != ev.Addr || got.Session != ev.Session || got.Pos != ev.Pos {
		t.Errorf("the offence is told of another event: %+v", got)
	}
	refs := slices.Sorted(slices.Values(got.Evidence))
	capped := should.Count > d.limitOf(got.RuleIndex) && set(got.RuleIndex, d) == 0
	if capped { // then the oldest are not kept
		if got.Count < got.Threshold || len(refs) < min(got.Threshold, len(v.refs)) {
			t.Errorf("capped at %d, below the threshold %d", got.Count, got.Threshold)
		}
		got.Count, got.First = should.Count, should.First
	} else if !slices.Equal(refs, v.refs) {
		t.Errorf("evidence %v, the oracle %v", refs, v.refs)
	}
	got.Addr, got.Session, got.Pos, got.Evidence = should.Addr, should.Session, should.Pos, nil
	if got.Count != should.Count || got.Threshold != should.Threshold || got.Deliveries != should.Deliveries || got.Level != should.Level ||
		got.Probation != should.Probation || got.Rule != should.Rule || got.RuleIndex != should.RuleIndex || got.Window != should.Window ||
		!got.First.Equal(should.First) || !got.Fired.Equal(should.Fired) || got.Source != should.Source {
		t.Errorf("offence\n%+v, the oracle\n%+v", got, should)
	}
}

// set returns the bucket of the rule's counter.
func set(n int, d *Detector) uint32 { return d.counters[d.rules[n].conds[0].counted[0]].bucket }

// TestBatchesAndRestarts holds that when state is saved and restored, and however often, changes nothing.
func TestBatchesAndRestarts(t *testing.T) {
	offences, restarts, standings, notices, keys, words := 0, 0, 0, 0, 0, 0
	for seed := range uint64(150) {
		s := newStream(seed + 10000)
		s.overlap = seed%2 == 0
		set := mustSet(t, s.set()...)
		o := Options{Key: testKey, FormerUsers: [][]byte{[]byte(former[0])}}
		whole, cut := New(set, o), New(set, o)
		store := map[stateKey][]byte{}
		for i := range 400 {
			ev := s.event()
			a, b := whole.Observe(&ev), cut.Observe(&ev)
			sameBoth(t, seed, i, a, b)
			key, _ := harvestwatch.SourceOf(ev.Addr)
			if x, y := whole.Standing(key), cut.Standing(key); x != y {
				t.Fatalf("seed %d, event %d: standing %+v, after restarts %+v", seed, i, x, y)
			} else if x.Rule != "" {
				standings++
			}
			if a.Notice != nil {
				notices++
			}
			if a.Offence != nil {
				offences++
				dec := s.decision(a.Offence)
				if a.Offence.Guard != "" {
					dec.Action = harvestwatch.ActSuppress
				}
				whole.Settle(&dec)
				cut.Settle(&dec)
			}
			if s.IntN(100) == 0 {
				whole.Release(key, ev.When())
				cut.Release(key, ev.When())
			}
			if s.IntN(5) == 0 {
				save(cut, store)
			}
			if s.IntN(20) == 0 {
				save(cut, store)
				cut = restored(t, set, o, store)
				restarts++
			}
		}
		keys += cut.Stats().Keys
		words += cut.Stats().Dictionary
		if w, c := whole.Stats(), cut.Stats(); w.Dictionary != c.Dictionary || w.Aggregates != c.Aggregates || w.Late != c.Late || w.Offences != c.Offences || whole.Now() != cut.Now() {
			t.Errorf("seed %d: %+v, after restarts %+v", seed, w, c)
		}
	}
	t.Logf("%d restarts, %d offences, %d standings, %d notices, none different; %d keys and %d recipients in dictionaries at the ends", restarts, offences, standings,
		notices, keys, words)
	if offences < 1000 || restarts < 1000 || standings < 5000 || notices < 5 || keys < 500 || words < 100 {
		t.Error("too little was compared")
	}
}

func sameBoth(t *testing.T, seed uint64, i int, a, b harvestwatch.Outcome) {
	t.Helper()
	x, y := a, b
	x.Offence, y.Offence, x.Notice, y.Notice = nil, nil, nil, nil
	if x != y || (a.Offence == nil) != (b.Offence == nil) || !reflect.DeepEqual(a.Notice, b.Notice) {
		t.Fatalf("seed %d, event %d: %+v, after restarts %+v", seed, i, a, b)
	}
	if a.Offence == nil {
		return
	}
	if !reflect.DeepEqual(a.Offence, b.Offence) {
		t.Fatalf("seed %d, event %d: %+v, after restarts %+v", seed, i, a.Offence, b.Offence)
	}
}

func (d *Detector) limitOf(n int) int { return d.counters[d.rules[n].conds[0].counted[0]].limit }
