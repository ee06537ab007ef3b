package store

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/harvestwatch/harvestwatch"
)

const day = 24 * time.Hour

func TestPruneByAge(t *testing.T) {
	s := open(t)
	long := decision(source("192.0.2.9"), at(-500*day), 2) // old, and its block still holds
	long.Block.Until = at(day)
	commit(t, s, &Batch{
		Decisions: []Record{long, decision(source("192.0.2.1"), at(-401*day), 2), decision(source("192.0.2.1"), at(-100*day), 2),
			decision(source("192.0.2.1"), at(-89*day), 2), decision(source("192.0.2.1"), noon, 2)},
		Audit:      []Audit{{at(-401 * day), "root", "block", "old"}, {at(-399 * day), "root", "block", "kept"}},
		Deliveries: []Count{{1, DayOf(at(-401 * day)), 5}, {1, DayOf(at(-400 * day)), 6}, {1, DayOf(noon), 7}},
		Totals:     []DayTotal{{DayOf(at(-4000 * day)), "connect", 1}},
		Windows:    []Window{{1, []byte("w")}}, Cursors: []Cursor{{"/a", []byte("g"), 1, 1}},
	})
	got := must(s.Prune(t.Context(), noon, Policy{}))(t)
	if d := cmp.Diff(Pruned{Decisions: 1, Blocks: 1, Lines: 6, Audit: 1, Deliveries: 1}, got); d != "" {
		t.Errorf("pruned (-want +got):\n%s", d)
	}
	var history []string
	for _, r := range must(s.History(t.Context(), Query{}))(t) {
		o := r.Decision.Offence
		history = append(history, fmt.Sprintf("%v %d %d %d", o.Source, o.Fired.Sub(noon)/day, len(r.Evidence), r.Kept))
	}
	want := []string{"192.0.2.1 0 2 2", "192.0.2.1 -89 2 2", "192.0.2.1 -100 0 2", "192.0.2.9 -500 0 2"}
	if d := cmp.Diff(want, history); d != "" {
		t.Errorf("history (-want +got):\n%s", d)
	}
	if got := active(t, &s.Reader, noon); len(got) != 2 {
		t.Errorf("active: %v", got)
	}
	if count(t, &s.Reader) != 1 || len(must(s.LoadCursors(t.Context()))(t)) != 1 || len(must(s.Totals(t.Context(), -1))(t)) != 1 {
		t.Error("what is not history was deleted")
	}
	if again := must(s.Prune(t.Context(), noon, Policy{}))(t); again != (Pruned{}) {
		t.Errorf("pruned twice: %+v", again)
	}
	sound(t, s)
}

// burden commits n decisions of a day, five minutes apart from one another at least, with 12 lines each.
func burden(t *testing.T, s *Store, d time.Time, n int) {
	t.Helper()
	b := &Batch{Now: d}
	for i := range n {
		src := harvestwatch.Source(0xF0000000 + i)
		b.Decisions = append(b.Decisions, decision(src, d.Add(time.Duration(i)*day/time.Duration(n)), 12))
		b.Deliveries = append(b.Deliveries, Count{src, DayOf(d), 1})
	}
	commit(t, s, b)
}

// TestFileIsBounded: many times what may be kept is written, and the file stays near the bound and shrinks at the end.
func TestFileIsBounded(t *testing.T) {
	s := open(t)
	const bound = 3 << 20
	var size Size
	for i := range 60 {
		now := at(time.Duration(i) * day)
		burden(t, s, now, 100)
		must(s.Prune(t.Context(), now.Add(day), Policy{MaxBytes: bound}))(t)
		size = must(s.Size(t.Context()))(t)
		if size.Used > bound || size.File > bound*12/10 || size.Log > journalBytes*12/10 {
			t.Fatalf("after day %d: %+v", i, size)
		}
	}
	if size.Used < bound*8/10 {
		t.Errorf("%d bytes are used of %d: more was deleted than had to be", size.Used, bound)
	}
	list := must(s.History(t.Context(), Query{}))(t)
	newest, oldest := list[0], list[len(list)-1]
	if len(newest.Evidence) != 12 || len(oldest.Evidence) != 0 || oldest.Kept != 12 || len(list) != 6000 {
		t.Errorf("%d records; the newest has %d lines, the oldest %d of %d", len(list), len(newest.Evidence), len(oldest.Evidence), oldest.Kept)
	}
	must(s.Prune(t.Context(), at(1000*day), Policy{}))(t)
	if size = must(s.Size(t.Context()))(t); size.File > 200<<10 {
		t.Errorf("empty, the file has %d bytes", size.File)
	}
	sound(t, s)
}

// TestHistoryGoesAfterEvidence: when no evidence is left the oldest decisions go, but no block that holds.
func TestHistoryGoesAfterEvidence(t *testing.T) {
	s := open(t)
	burden(t, s, at(-2*day), 1000)
	burden(t, s, noon, 50)
	got := must(s.Prune(t.Context(), noon, Policy{MaxBytes: 300 << 10}))(t)
	if got.Over != 0 || got.Decisions == 0 || got.Decisions == 1000 {
		t.Errorf("pruned %+v", got)
	}
	got = must(s.Prune(t.Context(), noon, Policy{MaxBytes: 1}))(t)
	if got.Over == 0 || got.Over > 400<<10 {
		t.Errorf("over the bound by %d", got.Over)
	}
	if list := must(s.Blocks(t.Context(), noon, 0))(t); len(list) != 50 {
		t.Errorf("%d blocks that hold or will are left, want 50", len(list))
	}
	sound(t, s)
}

// TestPruneStopped: ended at each point in turn, it goes on from there and comes to the same end.
func TestPruneStopped(t *testing.T) {
	s := open(t)
	burden(t, s, at(-500*day), 600)
	burden(t, s, at(-100*day), 300)
	var sum Pruned
	for n := 1; ; n++ {
		got, err := s.Prune(endingAfter(t.Context(), n), noon, Policy{})
		sum.Decisions, sum.Blocks, sum.Lines, sum.Deliveries = sum.Decisions+got.Decisions, sum.Blocks+got.Blocks, sum.Lines+got.Lines, sum.Deliveries+got.Deliveries
		if err == nil {
			break
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		sound(t, s)
	}
	if d := cmp.Diff(Pruned{Decisions: 600, Blocks: 600, Lines: 900 * 12, Deliveries: 600}, sum); d != "" {
		t.Error(d)
	}
}

// TestPruneBesideReader: a reader that holds an old state puts off the shrinking and nothing else.
func TestPruneBesideReader(t *testing.T) {
	s := open(t)
	burden(t, s, at(-500*day), 500)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = must(Open(s.path, Options{Now: noon}))(t)
	defer s.Close()
	tx := must(s.db.BeginTx(t.Context(), nil))(t)
	var n int
	if err := tx.QueryRow("SELECT count(*) FROM decisions").Scan(&n); err != nil || n != 500 {
		t.Fatal(n, err)
	}
	must(s.Prune(t.Context(), noon, Policy{}))(t)
	commit(t, s, &Batch{Windows: []Window{{1, []byte("w")}}})
	if err := tx.QueryRow("SELECT count(*) FROM decisions").Scan(&n); err != nil || n != 500 {
		t.Errorf("the reader sees %d decisions (%v)", n, err)
	}
	_ = tx.Rollback()
	must(s.Prune(t.Context(), noon, Policy{}))(t)
	if size := must(s.Size(t.Context()))(t); size.File > 200<<10 {
		t.Errorf("after the reader has gone the file has %d bytes", size.File)
	}
}
