package firewall_test

import (
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/firewall"
	"github.com/harvestwatch/harvestwatch/firewall/fwtest"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func block(prefix string, left time.Duration) harvestwatch.Block {
	return harvestwatch.Block{ID: prefix, Prefix: netip.MustParsePrefix(prefix), From: noon.Add(-time.Hour), Until: noon.Add(left)}
}

func entry(prefix string, left time.Duration) firewall.Entry {
	return firewall.Entry{Prefix: netip.MustParsePrefix(prefix), Until: noon.Add(left)}
}

func TestPlan(t *testing.T) {
	const a, b, c, mapped = "192.0.2.1/32", "198.51.100.0/24", "2001:db8::/64", "::ffff:192.0.2.1/128"
	future := block(a, time.Hour)
	future.From = noon.Add(time.Minute)
	type (
		blocks  = []harvestwatch.Block
		entries = []firewall.Entry
	)
	remove := func(ps ...string) (out []netip.Prefix) {
		for _, p := range ps {
			out = append(out, netip.MustParsePrefix(p))
		}
		return out
	}
	for _, tc := range []struct {
		name string
		want blocks
		have entries
		diff firewall.Diff
	}{
		{"nothing", nil, nil, firewall.Diff{}},
		{"new, sorted", blocks{block(c, 3*time.Hour), block(b, 2*time.Hour), block(a, time.Hour)}, nil,
			firewall.Diff{Add: entries{entry(a, time.Hour), entry(b, 2*time.Hour), entry(c, 3*time.Hour)}}},
		{"in step", blocks{block(a, time.Hour)}, entries{entry(a, time.Hour)}, firewall.Diff{}},
		{"unknown goes", blocks{block(b, time.Hour)}, entries{entry(c, time.Hour), entry(b, time.Hour), entry(a, time.Hour)}, firewall.Diff{Remove: remove(a, c)}},
		{"latest end wins", blocks{block(a, time.Hour), block(a, 3*time.Hour), block(a, 2*time.Hour)}, entries{entry(a, time.Hour)},
			firewall.Diff{Extend: entries{entry(a, 3*time.Hour)}}},
		{"run out", blocks{block(a, 0), block(b, -time.Hour)}, nil, firewall.Diff{}},
		{"run out and still there", blocks{block(a, 0)}, entries{entry(a, time.Minute)}, firewall.Diff{Remove: remove(a)}},
		{"not begun", blocks{future}, nil, firewall.Diff{}},
		{"never below a second", blocks{block(a, time.Microsecond)}, nil, firewall.Diff{Add: entries{entry(a, time.Second)}}},
		{"its last moment is left alone", blocks{block(a, 300*time.Millisecond)}, entries{entry(a, 300*time.Millisecond)}, firewall.Diff{}},
		{"a little short", blocks{block(a, time.Hour)}, entries{entry(a, time.Hour-2*time.Second)}, firewall.Diff{}},
		{"seconds short", blocks{block(a, time.Hour)}, entries{entry(a, time.Hour-4*time.Second)}, firewall.Diff{Extend: entries{entry(a, time.Hour)}}},
		{"a tenth short", blocks{block(a, 20*time.Second)}, entries{entry(a, 17500*time.Millisecond)}, firewall.Diff{Extend: entries{entry(a, 20*time.Second)}}},
		{"too long", blocks{block(a, time.Hour)}, entries{entry(a, 2*time.Hour)}, firewall.Diff{Extend: entries{entry(a, time.Hour)}}},
		{"for ever", blocks{block(a, time.Hour)}, entries{{Prefix: netip.MustParsePrefix(a)}}, firewall.Diff{Extend: entries{entry(a, time.Hour)}}},
		{"mapped is IPv4", blocks{block(mapped, time.Hour)}, entries{entry(a, time.Hour)}, firewall.Diff{}},
		{"overlap", blocks{block("192.0.2.0/24", time.Hour), block(a, time.Hour)}, entries{entry(a, time.Hour)},
			firewall.Diff{Add: entries{entry("192.0.2.0/24", time.Hour)}}},
		{"no prefix is passed on", blocks{{Until: noon.Add(time.Hour)}}, nil, firewall.Diff{Add: entries{{Until: noon.Add(time.Hour)}}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if d := firewall.Plan(tc.want, tc.have, noon); !reflect.DeepEqual(d, tc.diff) {
				t.Errorf("got  %+v\nwant %+v", d, tc.diff)
			}
		})
	}
}

// TestPlanConverges applies plans of random wants to a device: one plan is enough, whatever the order of want.
func TestPlanConverges(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	now := noon
	m := fwtest.NewMemory(func() time.Time { return now }, 0)
	for range 300 {
		var want []harvestwatch.Block
		for range rnd.IntN(40) {
			a := netip.AddrFrom4([4]byte{192, 0, 2, byte(rnd.IntN(16))})
			p := netip.PrefixFrom(a, []int{24, 32}[rnd.IntN(2)])
			want = append(want, harvestwatch.Block{Prefix: p, Until: now.Add(time.Duration(rnd.IntN(7200)-600) * time.Second)})
		}
		have, _, err := m.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		d := firewall.Plan(want, have, now)
		rnd.Shuffle(len(want), func(i, j int) { want[i], want[j] = want[j], want[i] })
		rnd.Shuffle(len(have), func(i, j int) { have[i], have[j] = have[j], have[i] })
		if again := firewall.Plan(want, have, now); !reflect.DeepEqual(d, again) {
			t.Fatalf("the order matters: %+v and %+v", d, again)
		}
		if err := m.Apply(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		have, _, err = m.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if d := firewall.Plan(want, have, now); !d.Empty() {
			t.Fatalf("not in step after one plan: %+v", d)
		}
		for _, b := range want {
			if i := slices.IndexFunc(have, func(e firewall.Entry) bool { return e.Prefix == b.Prefix.Masked() }); b.Until.After(now) &&
				(i < 0 || have[i].Until.Before(b.Until.Add(-3*time.Second))) {
				t.Fatalf("%s until %s is not in effect", b.Prefix, b.Until)
			}
		}
		now = now.Add(time.Duration(rnd.IntN(300)) * time.Second)
	}
}

func BenchmarkPlan(b *testing.B) {
	have := fwtest.Bulk(100_000, noon.Add(time.Hour))
	want := make([]harvestwatch.Block, len(have))
	for i, e := range have {
		want[i] = harvestwatch.Block{Prefix: e.Prefix, Until: e.Until}
	}
	for b.Loop() {
		if d := firewall.Plan(want, have[1:], noon); len(d.Add) != 1 {
			b.Fatal(len(d.Add))
		}
	}
}
