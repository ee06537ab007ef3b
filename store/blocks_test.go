package store

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/harvestwatch/harvestwatch"
)

// compare tells what differs in two lists of anything that holds prefixes and addresses.
func compare(want, got any) string {
	return cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }))
}

func active(t *testing.T, r *Reader, when time.Time) (list []string) {
	t.Helper()
	for _, b := range must(r.ActiveBlocks(t.Context(), when))(t) {
		list = append(list, fmt.Sprint(b.Prefix, " ", b.Until.Sub(noon)))
		if !b.Active(when) {
			t.Errorf("%v does not hold at %v", b, when)
		}
	}
	return list
}

func TestActiveBlocksAreHalfOpen(t *testing.T) {
	s := open(t)
	commit(t, s, &Batch{Decisions: []Record{decision(source("192.0.2.1"), noon, 0)}})
	for when, want := range map[time.Time]int{at(-1): 0, noon: 1, at(time.Hour - 1): 1, at(time.Hour): 0} {
		if got := active(t, &s.Reader, when); len(got) != want {
			t.Errorf("at %v: %v, want %d", when, got, want)
		}
	}
}

// TestExtendingKeepsTheLaterEnd, whichever way and in whichever order blocks of one prefix come.
func TestExtendingKeepsTheLaterEnd(t *testing.T) {
	s := open(t)
	add := func(p string, d time.Duration) harvestwatch.Block {
		t.Helper()
		return must(s.AddBlock(t.Context(), *block(p, d), Audit{noon, "root", "block", p}))(t)
	}
	commit(t, s, &Batch{Decisions: []Record{decision(source("192.0.2.1"), noon, 0)}}) // an hour
	first := must(s.ActiveBlocks(t.Context(), noon))(t)[0]
	if got := add("192.0.2.1/32", 10*time.Minute); got != first {
		t.Errorf("a shorter one by hand: %v holds, want %v", got, first)
	}
	longer := add("192.0.2.1/32", 5*time.Hour)
	if longer.Until != at(5*time.Hour) || longer.ID == first.ID {
		t.Errorf("a longer one by hand: %v", longer)
	}
	commit(t, s, &Batch{Decisions: []Record{decision(source("192.0.2.1"), at(time.Minute), 0)}}) // ends sooner
	if got := add("::ffff:192.0.2.1/128", time.Hour); got != longer {
		t.Errorf("the same prefix, IPv4-mapped: %v holds, want %v", got, longer)
	}
	add("192.0.2.77/24", 2*time.Hour) // another prefix, given with host bits
	add("2001:db8:1:2::/64", 2*time.Hour)
	want := []string{"192.0.2.0/24 2h0m0s", "192.0.2.1/32 5h0m0s", "2001:db8:1:2::/64 2h0m0s"}
	if d := cmp.Diff(want, active(t, &s.Reader, at(2*time.Minute))); d != "" {
		t.Error(d)
	}
	if got := len(must(s.AuditSince(t.Context(), noon, 0))(t)); got != 5 {
		t.Errorf("%d lines of audit, want 5", got)
	}
}

func TestEndBlock(t *testing.T) {
	s := open(t)
	commit(t, s, &Batch{Decisions: []Record{decision(source("192.0.2.1"), noon, 2), decision(source("192.0.2.1"), at(30*time.Minute), 0),
		decision(source("192.0.2.2"), noon, 0)}})
	later := must(s.AddBlock(t.Context(), harvestwatch.Block{Prefix: prefix("192.0.2.1/32"), From: at(2 * time.Hour), Until: at(3 * time.Hour)},
		Audit{noon, "root", "block", ""}))(t)
	if later.Rule != "manual" {
		t.Errorf("the rule of a block by hand is %q", later.Rule)
	}
	when := at(10 * time.Minute)
	ended := must(s.EndBlock(t.Context(), prefix("192.0.2.1/32"), when, Audit{when, "root", "unblock", ""}))(t)
	if len(ended) != 3 || ended[0] != later {
		t.Errorf("ended %v, want three, the last to end first", ended)
	}
	for _, d := range []time.Duration{10 * time.Minute, 31 * time.Minute, 2*time.Hour + time.Minute} {
		for _, got := range active(t, &s.Reader, at(d)) {
			if strings.HasPrefix(got, "192.0.2.1/32") {
				t.Errorf("after %v: %s", d, got)
			}
		}
	}
	if got := active(t, &s.Reader, when); len(got) != 1 {
		t.Errorf("the other source's block: %v", got)
	}
	if got := active(t, &s.Reader, at(9*time.Minute)); len(got) != 2 {
		t.Errorf("before it was ended the block did hold: %v", got)
	}
	again := must(s.EndBlock(t.Context(), prefix("192.0.2.1/32"), when, Audit{when, "root", "unblock", "again"}))(t)
	if again != nil {
		t.Errorf("ended twice: %v", again)
	}
	got := must(s.History(t.Context(), Query{Prefix: prefix("192.0.2.1/32")}))(t)
	last := got[len(got)-1]
	if last.Ended != when || last.Block.Until != when || last.Decision.Until != at(time.Hour) || len(last.Evidence) != 2 {
		t.Errorf("the history of what was ended: %+v %+v", last, last.Block)
	}
	if _, err := s.EndBlock(t.Context(), netip.Prefix{}, when, Audit{}); err == nil {
		t.Error("no prefix was accepted")
	}
}

func TestBlockIDs(t *testing.T) {
	s := open(t)
	batch := &Batch{Now: noon}
	for i := range 50 {
		batch.Decisions = append(batch.Decisions, decision(harvestwatch.Source(0xF0000000+i), noon, 0))
	}
	commit(t, s, batch)
	seen := map[string]bool{}
	for _, r := range batch.Decisions {
		id := r.Block.ID
		if len(id) != 4 || seen[id] {
			t.Errorf("ID %q", id)
		}
		seen[id] = true
		for _, typed := range []string{id, strings.ToUpper(id), strings.NewReplacer("0", "O", "1", "l").Replace(id)} {
			if got := must(s.BlockByID(t.Context(), typed))(t); got != *r.Block {
				t.Errorf("%q is %v, want %v", typed, got, *r.Block)
			}
		}
	}
	for _, id := range []string{"", "zzzz", "u", "192.0.2.1", "-1", strings.Repeat("z", 100), "1000\x00"} {
		if _, err := s.BlockByID(t.Context(), id); !errors.Is(err, ErrNoBlock) {
			t.Errorf("%q: %v", id, err)
		}
	}
	// A name is never given again, also when the newest block has been pruned.
	must(s.Prune(t.Context(), at(1000*24*time.Hour), Policy{}))(t)
	fresh := must(s.AddBlock(t.Context(), *block("192.0.2.1/32", time.Hour), Audit{}))(t)
	if seen[fresh.ID] {
		t.Errorf("the name %q was given twice", fresh.ID)
	}
}

// FuzzBlockID: a name that is read means one row, and its canonical form the same.
func FuzzBlockID(f *testing.F) {
	for _, id := range []string{"b7k2", "1000", "O0l1", "zzzzzzzzzzzz", "é"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		row, err := blockRow(id)
		if err != nil {
			return
		}
		if again, err := blockRow(blockID(row)); row < 0 || row > 0 && (again != row || err != nil) {
			t.Errorf("%q is row %d, whose name %q is row %d (%v)", id, row, blockID(row), again, err)
		}
	})
}

func TestBlocks(t *testing.T) {
	s := open(t)
	for i := range 5 {
		commit(t, s, &Batch{Decisions: []Record{decision(harvestwatch.Source(0xF0000000+i), at(time.Duration(i)*time.Hour), 0)}})
	}
	for _, c := range []struct {
		since time.Time
		limit int
		want  []string
	}{{time.Time{}, 0, []string{"240.0.0.4/32", "240.0.0.3/32", "240.0.0.2/32", "240.0.0.1/32", "240.0.0.0/32"}},
		{at(3 * time.Hour), 0, []string{"240.0.0.4/32", "240.0.0.3/32"}}, {noon, 1, []string{"240.0.0.4/32"}}} {
		var got []string
		for _, b := range must(s.Blocks(t.Context(), c.since, c.limit))(t) {
			got = append(got, b.Prefix.String())
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("since %v, %d: %s", c.since, c.limit, d)
		}
	}
}
