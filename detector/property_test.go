package detector

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/rules"
)

// tallyOfTest is what the comparison with the oracle amounted to.
type tallyOfTest struct{ counts, outcomes, offences, blocked, late, probation, credited, repeated int }

func TestOracle(t *testing.T) {
	var n tallyOfTest
	for seed := range uint64(600) {
		compareWithOracle(t, seed, 300, &n)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d comparisons of counts and %d of whole outcomes with the oracle, none different", n.counts, n.outcomes)
	t.Logf("among them %d offences (%d on probation, %d by credited sources, %d not the first), %d events in blocks, %d late",
		n.offences, n.probation, n.credited, n.repeated, n.blocked, n.late)
	if n.counts+n.outcomes < 90000 || n.offences < 2000 || n.probation < 200 || n.credited < 200 || n.repeated < 200 || n.blocked < 2000 || n.late < 2000 {
		t.Errorf("too little was compared: %+v", n)
	}
}

func compareWithOracle(t *testing.T, seed uint64, events int, n *tallyOfTest) {
	s := newStream(seed)
	set := mustSet(t, s.set()...)
	grace := []int64{0, 1, 10, 60}[s.IntN(4)]
	o := Options{Key: testKey, Grace: time.Duration(grace) * time.Second}
	if grace == 0 {
		o.Grace = -1
	}
	d, want := New(set, o), newOracle(set, grace)
	for i := range events {
		ev := s.event()
		out, v := d.Observe(&ev), want.observe(&ev, i)
		n.outcomes++
		sameOutcome(t, d, &ev, out, v)
		key, _ := harvestwatch.SourceOf(ev.Addr)
		for r := range set.Rules {
			for c, cond := range set.Rules[r].Conditions {
				n.counts++
				got, should := d.counted(key, r, c), d.cap(r, want.tally(&set.Rules[r], cond.Window, want.source(key)).count)
				if got != should {
					t.Fatalf("seed %d, event %d, rule %d, condition %d: counted %d, the oracle %d", seed, i, r, c, got, should)
				}
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d, event %d: %+v", seed, i, set.Rules)
		}
		note(n, out)
		if out.Offence != nil {
			dec := s.decision(out.Offence)
			d.Settle(&dec)
			want.settle(&dec)
		}
		if s.IntN(150) == 0 {
			at := time.Unix(s.now-s.Int64N(30), 0)
			d.Release(key, at)
			want.release(key, at.Unix())
		}
	}
}

func note(n *tallyOfTest, out harvestwatch.Outcome) {
	if out.Blocked {
		n.blocked++
	}
	if out.Late {
		n.late++
	}
	if o := out.Offence; o != nil {
		n.offences++
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
	if out.Blocked != v.blocked || out.Grace != v.grace || out.Late != v.late || out.Ignored != v.ignored {
		t.Errorf("%s: outcome %+v, the oracle %+v", ev.Kind, out, v)
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
	capped := should.Count > d.counters[d.rules[got.RuleIndex].counter].limit && set(got.RuleIndex, d) == 0
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
func set(n int, d *Detector) uint32 { return d.counters[d.rules[n].counter].bucket }

// TestBatchesAndRestarts holds that when state is saved and restored, and however often, changes nothing.
func TestBatchesAndRestarts(t *testing.T) {
	offences, restarts, standings := 0, 0, 0
	for seed := range uint64(150) {
		s := newStream(seed + 10000)
		set := mustSet(t, s.set()...)
		o := Options{Key: testKey}
		whole, cut := New(set, o), New(set, o)
		store := map[harvestwatch.Source][]byte{}
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
			if a.Offence != nil {
				offences++
				dec := s.decision(a.Offence)
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
		if w, c := whole.Stats(), cut.Stats(); w.Late != c.Late || w.Offences != c.Offences || whole.Now() != cut.Now() {
			t.Errorf("seed %d: %+v, after restarts %+v", seed, w, c)
		}
	}
	t.Logf("%d restarts, %d offences, %d standings, none different", restarts, offences, standings)
	if offences < 1000 || restarts < 1000 || standings < 5000 {
		t.Error("too little was compared")
	}
}

func save(d *Detector, store map[harvestwatch.Source][]byte) {
	d.Changes(func(src harvestwatch.Source, value []byte) {
		if value == nil {
			delete(store, src)
		} else {
			store[src] = bytes.Clone(value)
		}
	})
}

func restored(t *testing.T, set *rules.Set, o Options, store map[harvestwatch.Source][]byte) *Detector {
	t.Helper()
	d := New(set, o)
	for src, value := range store {
		if err := d.Restore(src, value); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func sameBoth(t *testing.T, seed uint64, i int, a, b harvestwatch.Outcome) {
	t.Helper()
	x, y := a, b
	x.Offence, y.Offence = nil, nil
	if x != y || (a.Offence == nil) != (b.Offence == nil) {
		t.Fatalf("seed %d, event %d: %+v, after restarts %+v", seed, i, a, b)
	}
	if a.Offence == nil {
		return
	}
	p, q := *a.Offence, *b.Offence
	if !slices.Equal(p.Evidence, q.Evidence) || p.Count != q.Count || p.Threshold != q.Threshold || p.Level != q.Level || p.First != q.First ||
		p.Fired != q.Fired || p.Rule != q.Rule || p.Deliveries != q.Deliveries || p.Probation != q.Probation {
		t.Fatalf("seed %d, event %d: %+v, after restarts %+v", seed, i, p, q)
	}
}
