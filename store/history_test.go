package store

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/harvestwatch/harvestwatch"
)

func TestHistoryIsWhatWasCommitted(t *testing.T) {
	s := open(t)
	full := decision(source("192.0.2.1"), at(time.Minute), 3)
	six := decision(source("2001:db8:1:2::/64"), noon, 1)
	six.Decision.Offence.Addr = netip.MustParseAddr("2001:db8:1:2::25")
	six.Decision.Offence.Base, six.Decision.Offence.Key, six.Decision.Offence.Group = 10, "helo", "x\x1b[31m"
	six.Decision.Offence.Prefix, six.Decision.Offence.Name, six.Decision.Offence.Helo = netip.MustParsePrefix("2001:db8:1::/48"), "a.example", "b"
	guarded := Record{Decision: harvestwatch.Decision{Offence: harvestwatch.Offence{Source: source("198.51.100.1"), Rule: "harvest-slow",
		First: noon, Fired: at(2 * time.Minute), Window: 24 * time.Hour, Count: 30, Threshold: 20, Level: 1},
		Action: harvestwatch.ActSuppress, Guard: "provider", Reason: "delivers 300 messages a day", Until: at(time.Hour)}}
	alert := Record{Decision: harvestwatch.Decision{Offence: harvestwatch.Offence{Source: source("198.51.100.2"), Rule: "outage",
		First: noon, Fired: at(3 * time.Minute)}, Action: harvestwatch.ActAlert}}
	commit(t, s, &Batch{Decisions: []Record{full, six, guarded, alert}})
	byHand := must(s.AddBlock(t.Context(), *block("203.0.113.0/24", time.Hour), Audit{}))(t)
	full.Kept, six.Kept = 3, 1
	want := []Record{alert, guarded, full, six, {Block: &byHand}}
	if d := compare(want, must(s.History(t.Context(), Query{}))(t)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	full.Evidence, six.Evidence = nil, nil
	want = []Record{full, six, {Block: &byHand}}
	if d := compare(want, must(s.History(t.Context(), Query{Bare: true, Until: at(2 * time.Minute)}))(t)); d != "" {
		t.Errorf("bare, until (-want +got):\n%s", d)
	}
	want = []Record{alert, guarded}
	if d := compare(want, must(s.History(t.Context(), Query{Since: at(time.Minute), Limit: 2}))(t)); d != "" {
		t.Errorf("since, limit (-want +got):\n%s", d)
	}
}

// TestHistoryOfPrefix compares with looking at every record, for random prefixes over a small space of addresses.
func TestHistoryOfPrefix(t *testing.T) {
	s := open(t)
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 1))
	batch := &Batch{Now: noon}
	for i := range 300 {
		src, ok := harvestwatch.SourceOf(somePrefix(r).Addr())
		if !ok {
			src = 1<<63 + 5
		}
		rec := decision(src, at(time.Duration(i)*time.Second), 0)
		switch i % 3 {
		case 0: // a block wider or narrower than the source
			rec.Block.Prefix = somePrefix(r)
		case 1:
			rec.Block = nil
		}
		batch.Decisions = append(batch.Decisions, rec)
	}
	commit(t, s, batch)
	for range 40 {
		must(s.AddBlock(t.Context(), *block(somePrefix(r).String(), time.Hour), Audit{}))(t)
	}
	all := must(s.History(t.Context(), Query{}))(t)
	hits := 0
	for range 300 {
		p := somePrefix(r)
		var want []Record
		for _, rec := range all {
			own := rec.Decision.Offence.Source
			if own != 0 && own.Prefix().Overlaps(p) || rec.Block != nil && rec.Block.Prefix.Overlaps(p) {
				want = append(want, rec)
			}
		}
		hits += len(want)
		got := must(s.History(t.Context(), Query{Prefix: p}))(t)
		if d := compare(want, got); d != "" {
			t.Fatalf("seed %d, %v: %d records, want %d (-want +got):\n%s", seed, p, len(got), len(want), d)
		}
	}
	if hits < 300 {
		t.Errorf("seed %d: only %d hits, the test says little", seed, hits)
	}
}

// somePrefix returns a prefix of any length over few addresses, so that many have something in common.
func somePrefix(r *rand.Rand) netip.Prefix {
	if r.IntN(2) == 0 {
		a := [4]byte{[]byte{192, 10, 240}[r.IntN(3)], byte(r.IntN(3)), 2, byte(1 + r.IntN(5))}
		return netip.PrefixFrom(netip.AddrFrom4(a), 32-r.IntN(2)*r.IntN(33)).Masked()
	}
	a := [16]byte{[]byte{0x20, 0x2a, 0xfc}[r.IntN(3)], 1, 0xd, 0xb8, 0, 0, 0, byte(r.IntN(4)), 15: byte(r.IntN(3))}
	return netip.PrefixFrom(netip.AddrFrom16(a), 128-r.IntN(2)*r.IntN(129)).Masked()
}

// TestPlans holds the queries that grow with the history to their indexes.
func TestPlans(t *testing.T) {
	s := open(t)
	blocked, args := touches(prefix("2001:db8::/64"))
	for _, c := range []struct {
		query string
		args  []any
		never string // what its plan may not hold
	}{
		{"SELECT id FROM blocks WHERE " + blocked, args, "SCAN blocks"},
		{"SELECT id FROM blocks WHERE until > ?1 AND +start <= ?1", []any{1}, "SCAN blocks"},
		{"SELECT d.id FROM decisions d LEFT JOIN blocks b ON b.decision = d.id WHERE d.id IN (SELECT id FROM decisions WHERE source BETWEEN 1 AND 2)", nil, "SCAN"},
		{"SELECT d.id FROM decisions d LEFT JOIN blocks b ON b.decision = d.id ORDER BY d.fired DESC, d.id DESC LIMIT 5", nil, "TEMP B-TREE"},
		{"SELECT id FROM decisions WHERE evidence > 0 AND pruned = 0 AND fired < 9 ORDER BY fired LIMIT 9", nil, "TEMP B-TREE"},
		{"SELECT id FROM decisions d WHERE fired < 9 AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.decision = d.id) ORDER BY fired LIMIT 9", nil, "SCAN"},
		{"DELETE FROM evidence WHERE decision IN (SELECT id FROM decisions WHERE evidence > 0 AND pruned = 0 AND fired < 9 LIMIT 9)", nil, "SCAN evidence"},
	} {
		var plan []string
		err := eachRow(t.Context(), s.w, "the plan", func(rows *sql.Rows) error {
			var id, parent, unused int
			var step string
			err := rows.Scan(&id, &parent, &unused, &step)
			plan = append(plan, step)
			return err
		}, "EXPLAIN QUERY PLAN "+c.query, c.args...)
		if err != nil {
			t.Fatal(err)
		}
		if text := strings.Join(plan, "\n"); strings.Contains(text, c.never) {
			t.Errorf("%.150s\nhas %s in its plan:\n%s", c.query, c.never, text)
		}
	}
}

// TestReadsBesideWrites: many readers and two writers at once; every state that is seen is one that was committed.
func TestReadsBesideWrites(t *testing.T) {
	s := open(t)
	const each = 40
	errs := make(chan error, 6)
	for w := range 2 {
		go func() {
			for i := range each {
				b := &Batch{Now: noon, Decisions: []Record{decision(harvestwatch.Source(0xF0000000+w*1000+i), noon, 2)},
					Totals: []DayTotal{{1, "decisions", 1}}}
				if err := s.Commit(t.Context(), b); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range 4 {
		go func() {
			for seen := 0; seen < 2*each; {
				list, err := s.History(t.Context(), Query{})
				if err != nil {
					errs <- err
					return
				}
				if seen = len(list); seen > 0 && (len(list[0].Evidence) != 2 || list[0].Block == nil) {
					errs <- fmt.Errorf("half a commit: %+v", list[0])
					return
				}
			}
			errs <- nil
		}()
	}
	for range 6 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if d := cmp.Diff([]DayTotal{{1, "decisions", 2 * each}}, must(s.Totals(t.Context(), 0))(t)); d != "" {
		t.Error(d)
	}
}
