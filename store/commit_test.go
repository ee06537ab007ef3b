package store

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/harvestwatch/harvestwatch"
)

// state loads everything that a daemon loads at its start.
func state(t *testing.T, r *Reader, inputs ...string) map[string]any {
	t.Helper()
	ctx := t.Context()
	parser, windows := map[string]string{}, map[harvestwatch.Source]string{}
	for _, input := range inputs {
		err := r.LoadParser(ctx, input, func(k, v []byte) error {
			if v == nil {
				t.Errorf("%s: the value of %q is nil", input, k)
			}
			parser[input+" "+string(k)] = string(v)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	err := r.LoadWindows(ctx, func(s harvestwatch.Source, v []byte) error { windows[s] = string(v); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return map[string]any{"cursors": must(r.LoadCursors(ctx))(t), "segments": must(r.LoadSegments(ctx))(t),
		"parser": parser, "windows": windows, "totals": must(r.Totals(ctx, 0))(t)}
}

func TestCommitAndLoad(t *testing.T) {
	s := open(t)
	commit(t, s, before())
	commit(t, s, everything())
	want := map[string]any{
		"cursors":  []Cursor{{"/a", []byte("g2"), 900, 9}, {"/c", []byte("g"), 1, 1}},
		"segments": []Segment{{0, "/a", []byte("g2"), 64 << 20}, {4095, "/c", []byte{}, 0}},
		"parser":   map[string]string{"/a k1": "v2", "/c \x00": ""},
		"windows":  map[harvestwatch.Source]string{1: "replaced", 3: "c", 9: "new"},
		"totals":   []DayTotal{{20779, "connect", 15}, {20780, "connect", 1}},
	}
	if d := cmp.Diff(want, state(t, &s.Reader, "/a", "/b", "/c")); d != "" {
		t.Errorf("loaded (-want +got):\n%s", d)
	}
	got := must(s.Deliveries(t.Context(), source("192.0.2.1"), 0))(t)
	if d := cmp.Diff([]Count{{source("192.0.2.1"), 20779, 3}}, got); d != "" {
		t.Error(d)
	}
	if got := must(s.AuditSince(t.Context(), time.Time{}, 0))(t); len(got) != 1 || got[0] != everything().Audit[0] {
		t.Errorf("audit: %v", got)
	}
}

func TestLaterElementHolds(t *testing.T) {
	s := open(t)
	commit(t, s, &Batch{
		Cursors: []Cursor{{"/a", []byte("g"), 1, 1}, {"/a", []byte("g"), 2, 2}},
		Parser:  []State{{"/a", []byte("x"), []byte("1")}, {"/a", nil, nil}, {"/a", []byte("y"), []byte("2")}, {"/a", []byte("y"), []byte("3")}, {"/a", nil, []byte("nil key")}},
		Windows: []Window{{7, []byte("1")}, {5, []byte("1")}, {7, nil}, {7, []byte("2")}, {5, nil}, {1 << 63, []byte("high")}},
	})
	want := map[string]any{
		"cursors": []Cursor{{"/a", []byte("g"), 2, 2}}, "segments": []Segment(nil), "totals": []DayTotal(nil),
		"parser":  map[string]string{"/a y": "3", "/a ": "nil key"},
		"windows": map[harvestwatch.Source]string{7: "2", 1 << 63: "high"},
	}
	if d := cmp.Diff(want, state(t, &s.Reader, "/a")); d != "" {
		t.Errorf("loaded (-want +got):\n%s", d)
	}
}

// TestMemoryIsKeptByKey: of equal keys the later holds, spaces don't mix, and nothing is a deletion.
func TestMemoryIsKeptByKey(t *testing.T) {
	s := open(t)
	commit(t, s, &Batch{Memory: []Memory{{2, 5, []byte("old")}, {1, 5, []byte("a")}, {2, 1 << 63, []byte("high")}, {3, 1, []byte("gone")}}})
	commit(t, s, &Batch{Memory: []Memory{{2, 5, []byte("x")}, {3, 1, nil}, {2, 5, []byte("new")}, {9, 9, nil}}})
	var got []string
	err := s.LoadMemory(t.Context(), func(space uint8, key uint64, value []byte) error {
		got = append(got, fmt.Sprintf("%d %d %s", space, key, value))
		return nil
	})
	if d := cmp.Diff([]string{"1 5 a", fmt.Sprintf("2 %d high", uint64(1<<63)), "2 5 new"}, got); d != "" || err != nil {
		t.Errorf("%v, loaded (-want +got):\n%s", err, d)
	}
}

// TestEndsKeepTheirPlace: of the decisions of its batch an end ends the blocks of those before it; whoever is blocked again
// after that stays blocked.
func TestEndsKeepTheirPlace(t *testing.T) {
	s := open(t)
	commit(t, s, &Batch{Decisions: []Record{decision(source("192.0.2.7"), noon, 0)}})
	one, two, three := source("192.0.2.1"), source("192.0.2.2"), source("192.0.2.3")
	end := func(src harvestwatch.Source, after int) End {
		return End{Prefix: src.Prefix(), At: at(time.Minute), After: after}
	}
	b := &Batch{
		Decisions: []Record{decision(one, noon, 0), decision(two, noon, 0), decision(three, noon, 0), decision(one, at(30*time.Second), 0)},
		Ends:      []End{end(source("192.0.2.7"), 0), end(three, 2), end(one, 3), end(two, 9)},
	}
	commit(t, s, b)
	if d := cmp.Diff([]string{"192.0.2.1/32 1h0m30s", "192.0.2.3/32 1h0m0s"}, active(t, &s.Reader, at(2*time.Minute))); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	got := must(s.History(t.Context(), Query{Prefix: one.Prefix()}))(t)
	if len(got) != 2 || !got[0].Ended.IsZero() || !got[1].Ended.Equal(at(time.Minute)) {
		t.Errorf("%+v", got)
	}
	for i := range b.Decisions {
		if block := must(s.BlockByID(t.Context(), b.Decisions[i].Block.ID))(t); block.From != b.Decisions[i].Block.From {
			t.Errorf("decision %d got the name of another block: %+v", i, block)
		}
	}
}

// TestEndsSpareWhatWasMadeByHand: an end ends what the program blocked, in whichever way it was added, and nothing that
// somebody blocked by hand.
func TestEndsSpareWhatWasMadeByHand(t *testing.T) {
	s := open(t)
	var ends []End
	for i, rule := range []string{"manual", "", "harvest", "deny-list"} {
		b := *block("192.0.2."+itoa(int64(i)+1)+"/32", time.Hour)
		b.Rule = rule
		must(s.AddBlock(t.Context(), b, Audit{}))(t)
		ends = append(ends, End{Prefix: b.Prefix, At: at(time.Minute)})
	}
	adopted := Record{Block: block("192.0.2.5/32", time.Hour)}
	adopted.Block.Rule = "adopted"
	commit(t, s, &Batch{Decisions: []Record{adopted, decision(source("192.0.2.1"), noon, 0)}})
	ends = append(ends, End{Prefix: adopted.Block.Prefix, At: at(time.Minute)})
	commit(t, s, &Batch{Ends: ends})
	if d := cmp.Diff([]string{"192.0.2.1/32 1h0m0s", "192.0.2.2/32 1h0m0s"}, active(t, &s.Reader, at(2*time.Minute))); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for _, r := range must(s.History(t.Context(), Query{Prefix: prefix("192.0.2.1/32")}))(t) {
		if r.Ended.IsZero() == (r.Block.Rule == "harvest") {
			t.Errorf("%s: ended %v", r.Block.Rule, r.Ended)
		}
	}
}

// TestSegmentsKeepTheirOrder: a number given again is the newest.
func TestSegmentsKeepTheirOrder(t *testing.T) {
	s := open(t)
	for _, seg := range []uint32{4094, 4095, 0, 1, 4094} {
		commit(t, s, &Batch{Segments: []Segment{{seg, "/a", nil, int64(seg)}}})
	}
	var got []uint32
	for _, seg := range must(s.LoadSegments(t.Context()))(t) {
		got = append(got, seg.Seg)
	}
	if d := cmp.Diff([]uint32{4095, 0, 1, 4094}, got); d != "" {
		t.Error(d)
	}
}

func TestYieldEndsLoading(t *testing.T) {
	s := open(t)
	commit(t, s, before())
	enough := errors.New("enough")
	calls := 0
	err := s.LoadWindows(t.Context(), func(harvestwatch.Source, []byte) error { calls++; return enough })
	if !errors.Is(err, enough) || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
	for range readers + 1 { // an abandoned one gives its connection back
		_ = s.LoadParser(t.Context(), "/a", func([]byte, []byte) error { return enough })
	}
	if got := count(t, &s.Reader); got != 3 {
		t.Error(got)
	}
}

func TestCommitRefuses(t *testing.T) {
	s := open(t)
	for name, b := range map[string]*Batch{
		"no time":       {},
		"no prefix":     {Now: noon, Decisions: []Record{{Block: &harvestwatch.Block{From: noon, Until: at(1)}}}},
		"empty block":   {Now: noon, Decisions: []Record{{Block: &harvestwatch.Block{Prefix: prefix("192.0.2.1/32"), From: noon, Until: noon}}}},
		"without a beg": {Now: noon, Decisions: []Record{{Block: &harvestwatch.Block{Prefix: prefix("192.0.2.1/32"), Until: noon}}}},
	} {
		if err := s.Commit(t.Context(), b); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	commit(t, s, &Batch{}) // nothing at all is a batch too
}

// TestBounds: what is too long is cut, what is too much left out, whatever its bytes.
func TestBounds(t *testing.T) {
	s := open(t)
	r := decision(source("192.0.2.1"), noon, 0)
	hostile := "\x00';DROP TABLE blocks;--\xff\xfe" + strings.Repeat("é", MaxText)
	for i := range MaxEvidence + 10 {
		r.Evidence = append(r.Evidence, Line{Path: hostile, Offset: int64(i), Time: noon, Text: fmt.Sprint(i, hostile)})
	}
	commit(t, s, &Batch{Decisions: []Record{r}, Audit: []Audit{{noon, hostile, hostile, hostile}}})
	got := must(s.History(t.Context(), Query{}))(t)[0]
	if len(got.Evidence) != MaxEvidence || got.Kept != MaxEvidence {
		t.Fatalf("%d lines, %d kept", len(got.Evidence), got.Kept)
	}
	for i, l := range got.Evidence {
		if want := fmt.Sprint(i, hostile)[:MaxText]; l.Text != want || l.Path != hostile {
			t.Fatalf("line %d: %.60q, want %.60q", i, l.Text, want)
		}
	}
	audit := must(s.AuditSince(t.Context(), noon, 0))(t)
	if len(audit) != 1 || audit[0].Text != hostile[:MaxText] || audit[0].Who != hostile {
		t.Errorf("audit %.80q", audit)
	}
}

// FuzzEvidence: any bytes come back as they went in, up to the bound.
func FuzzEvidence(f *testing.F) {
	s := open(f)
	f.Add("/var/log/mail.log", "Nov 22 12:00:00 mx postfix/smtpd[1]: connect from unknown[192.0.2.1]", "reason")
	f.Add("\x00", "\xff\x00", "")
	f.Fuzz(func(t *testing.T, path, text, reason string) {
		r := decision(source("192.0.2.1"), noon, 0)
		r.Decision.Reason, r.Evidence = reason, []Line{{path, 1, noon, text}}
		commit(t, s, &Batch{Decisions: []Record{r}})
		got := must(s.History(t.Context(), Query{Limit: 1}))(t)[0]
		if l := got.Evidence[0]; l.Path != path || l.Text != cut(text) || got.Decision.Reason != cut(reason) {
			t.Errorf("%q %q %q came back as %q %q %q", path, text, reason, l.Path, l.Text, got.Decision.Reason)
		}
	})
}

func TestDays(t *testing.T) {
	kiribati := time.FixedZone("", 14*3600)
	for _, c := range []struct {
		t    time.Time
		want string
	}{{noon, "2026-11-22"}, {noon.In(kiribati), "2026-11-23"}, {time.Date(1969, 12, 31, 23, 59, 59, 0, time.UTC), "1969-12-31"},
		{time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC), "2024-02-29"}} {
		if got := DayOf(c.t).String(); got != c.want {
			t.Errorf("%v is day %s, want %s", c.t, got, c.want)
		}
	}
	if got := moment(nanos(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))); got.Year() != 2262 {
		t.Errorf("the far future is stored as %v", got)
	}
	if got := moment(nanos(time.Time{})); !got.IsZero() {
		t.Errorf("the zero time is stored as %v", got)
	}
}

func TestDeliveriesFarApart(t *testing.T) {
	s := open(t)
	src := source("2001:db8::/64")
	if got := must(s.Deliveries(t.Context(), src, 0))(t); got != nil {
		t.Errorf("none: %v", got)
	}
	all := []Count{{src, -5, 1}, {src, 0, 2}, {src, 20779, 3}, {src, 20999, 4}}
	commit(t, s, &Batch{Deliveries: append(all, Count{1, 20780, 7}, Count{1, 1 << 30, 1})})
	for i, since := range []Day{-100, 0, 1, 20780} {
		got := must(s.Deliveries(t.Context(), src, since))(t)
		if d := cmp.Diff(all[i:], got); d != "" {
			t.Errorf("since %d: %s", since, d)
		}
	}
}
