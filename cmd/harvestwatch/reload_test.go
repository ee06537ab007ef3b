package main

import (
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/rules"
	"github.com/harvestwatch/harvestwatch/store"
)

// TestListsAreReadWhenNobodyWrites: a file that changes is read at the second look that finds it the same, not at the first,
// which may find it half written; and one that could not be read is tried again.
func TestListsAreReadWhenNobodyWrites(t *testing.T) {
	a, b, c := []stamp{{size: 1}}, []stamp{{size: 2}}, []stamp{{size: 3}}
	l := listFiles{read: a, seen: a}
	for i, x := range []struct {
		now         []stamp
		again, want bool
	}{{a, false, false}, {b, false, false}, {c, false, false}, {c, false, true}, {a, false, false}, {a, false, false}, {a, true, true}, {b, true, false}} {
		if got := l.look(x.now, x.again); got != x.want {
			t.Errorf("look %d: %t, want %t", i, got, x.want)
		}
	}
}

// TestUnreadableListIsTriedAgain: also where the file is as it was before, to the nanosecond.
func TestUnreadableListIsTriedAgain(t *testing.T) {
	g := newGuarded(t, "192.0.2.1\n", "")
	info, err := os.Stat(g.path("allow"))
	if err != nil {
		t.Fatal(err)
	}
	look := func() bool {
		due := g.seen.look(stampsOf(g.listFiles()), g.listProblem.get() != "")
		return due && g.reload(t.Context())
	}
	if err := os.Remove(g.path("allow")); err != nil {
		t.Fatal(err)
	}
	look()
	if look() || !strings.Contains(g.listProblem.get(), "no such file") {
		t.Fatalf("problem %q", g.listProblem.get())
	}
	g.write(t, "allow", []byte("192.0.2.1\n"))
	if err := os.Chtimes(g.path("allow"), time.Time{}, info.ModTime()); err != nil {
		t.Fatal(err)
	}
	g.start(t)
	if !eventually(func() bool { return g.listProblem.get() == "" }) {
		t.Errorf("problem %q", g.listProblem.get())
	}
}

// TestShrunkAcceptListIsTold: it is believed, and not silently.
func TestShrunkAcceptListIsTold(t *testing.T) {
	all := ""
	for _, host := range strings.Fields("1 2 3 4 5 6 7 8 9 10") {
		all += "192.0.2." + host + "\n"
	}
	g := newGuarded(t, all, "")
	for _, x := range []struct {
		allow string
		warns int
	}{{strings.Join(strings.SplitAfter(all, "\n")[:5], ""), 0}, {"", 0}, {all, 0}, {"192.0.2.1\n", 1}} {
		g.write(t, "allow", []byte(x.allow))
		lists, err := (&ListsConfig{Allow: g.path("allow")}).load()
		if err != nil {
			t.Fatal(err)
		}
		g.useLists(t.Context(), lists, nil)
		if n := strings.Count(g.told.String(), "has lost more than half"); n != x.warns || g.spared.lists.Load() != lists {
			t.Errorf("%q: %d warnings, want %d", x.allow, n, x.warns)
		}
	}
}

// TestDenierGoesOnAfterARestart: what was decided before is not decided again in the time that it was enough for.
func TestDenierGoesOnAfterARestart(t *testing.T) {
	g := newGuarded(t, attacker+"\n", attacker+"\n"+bystander+"\n")
	batch := &store.Batch{Now: g.p.now()}
	ask := func(at time.Time) (n int) {
		for _, from := range []string{attacker, bystander} {
			addr := netip.MustParseAddr(from)
			if dec := g.denier.decide(&harvestwatch.Event{Addr: addr, Time: at.UnixNano()}); dec != nil {
				batch.Decisions = append(batch.Decisions, store.Record{Decision: *dec})
				n++
			}
		}
		return n
	}
	at := g.p.now().Truncate(time.Second)
	if n := ask(at); n != 2 {
		t.Fatalf("%d decisions", n)
	}
	if err := g.st.Commit(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	g.denier.use(g.denier.lists)
	if err := g.resumeDenier(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		after time.Duration
		want  int
	}{{time.Second / 2, 0}, {time.Second, 1}, {time.Hour, 1}, {rules.DenyBlock, 2}} { // the one who is not spared is the detector's from then on
		if n := ask(at.Add(x.after)); n != x.want {
			t.Errorf("after %s: %d decisions, want %d", x.after, n, x.want)
		}
	}
}
