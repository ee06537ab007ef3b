package store

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

// TestChange: blocks end by their names and by their prefixes, others are added or made longer, and the detector's records
// and the audit go with that, or nothing of it all.
func TestChange(t *testing.T) {
	s := open(t)
	a, b := source("192.0.2.1"), source("192.0.2.2")
	commit(t, s, &Batch{Decisions: []Record{decision(a, noon, 0), decision(b, noon, 0)}})
	byHand := must(s.AddBlock(t.Context(), *block("192.0.2.1/32", 5*time.Hour), Audit{}))(t)
	third := must(s.AddBlock(t.Context(), *block("192.0.2.3/32", 5*time.Hour), Audit{}))(t)
	listed := harvestwatch.Block{Prefix: prefix("192.0.2.2/32"), From: at(time.Minute), Until: at(2 * time.Hour), Rule: "deny-list"}
	c := &Change{At: at(time.Minute), Prefixes: []netip.Prefix{prefix("192.0.2.1/32")}, IDs: []string{third.ID, "zzzz", "?", third.ID},
		Add: []harvestwatch.Block{listed}, Windows: []Window{{a, []byte("x")}}, Memory: []Memory{{1, 2, []byte("y")}}, Audit: []Audit{{noon, "root", "unblock", "z"}}}
	bad := *c
	bad.Add = append(bad.Add[:1:1], harvestwatch.Block{})
	before := dump(t, s)
	if _, err := s.Change(t.Context(), &bad); err == nil || dump(t, s) != before {
		t.Errorf("a bad change (%v) left something behind", err)
	}
	if ended := must(s.Change(t.Context(), c))(t); len(ended) != 3 || ended[0] != third || ended[1] != byHand && ended[2] != byHand {
		t.Errorf("ended: %v", ended)
	}
	if got := active(t, &s.Reader, at(time.Minute)); len(got) != 1 || got[0] != "192.0.2.2/32 2h0m0s" {
		t.Errorf("active: %v", got)
	}
	made := must(s.RuleBlocks(t.Context(), "deny-list", at(time.Minute)))(t)
	if len(made) != 1 || made[0] != c.Add[0] {
		t.Errorf("of the list: %v, want %v", made, c.Add)
	}
	if all := must(s.RuleBlocks(t.Context(), "", at(time.Minute)))(t); len(all) != 2 {
		t.Errorf("of all rules: %v", all)
	}
	listed.From, listed.Until = at(time.Hour), at(3*time.Hour)
	longer := &Change{At: at(time.Hour), Add: []harvestwatch.Block{listed}}
	must(s.Change(t.Context(), longer))(t)
	again := must(s.RuleBlocks(t.Context(), "deny-list", at(time.Hour)))(t)
	if len(again) != 1 || again[0].ID != made[0].ID || longer.Add[0].ID != made[0].ID || again[0].Until != at(3*time.Hour) {
		t.Errorf("renewed: %v", again)
	}
}

func TestInEffect(t *testing.T) {
	s := open(t)
	for i := range 3 {
		commit(t, s, &Batch{Decisions: []Record{decision(source("192.0.2.1"), at(time.Duration(i)*time.Hour), 2)}})
	}
	rule := decision(source("192.0.2.1"), noon, 0).Decision.Offence.Rule
	for _, x := range []struct {
		rule  string
		at    time.Time
		limit int
		want  int
	}{{"", time.Time{}, 0, 3}, {rule, time.Time{}, 2, 2}, {"other", time.Time{}, 0, 0}, {"", at(time.Hour), 0, 2}, {rule, at(3 * time.Hour), 0, 0}} {
		got := must(s.InEffect(t.Context(), x.rule, x.at, x.limit))(t)
		if len(got) != x.want {
			t.Errorf("%+v: %d", x, len(got))
		}
		if len(got) > 0 && (got[0].Decision.Offence.Fired != at(2*time.Hour) || got[0].Block == nil || got[0].Evidence != nil) {
			t.Errorf("%+v: the first is %+v", x, got[0])
		}
	}
}

// TestChangeOfManyBlocksFindsEachByItsPrefix: the time that a block takes doesn't grow with the number of the others.
func TestChangeOfManyBlocksFindsEachByItsPrefix(t *testing.T) {
	s := open(t)
	args := []any{[]byte{4}, 32, "1", 0}
	for what, query := range map[string]string{"renew": sameBlock, "end": activeOfPrefix} {
		found := ""
		rows := must(s.w.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, args[:min(4, strings.Count(query, "?"))]...))(t)
		for rows.Next() {
			var a, b, c int
			var text string
			if err := rows.Scan(&a, &b, &c, &text); err != nil {
				t.Fatal(err)
			}
			found += text + "; "
		}
		if err := rows.Err(); err != nil || !strings.Contains(found, "blocks_net (net=? AND bits=?)") {
			t.Errorf("%s: %s (%v)", what, found, err)
		}
		_ = rows.Close()
	}
}
