package nft

import (
	"errors"
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch/firewall"
	"github.com/harvestwatch/harvestwatch/firewall/fwtest"
	"github.com/harvestwatch/harvestwatch/internal/nstest"
)

// TestHundredThousand loads 100,000 blocks in one go and lists them at once, while the kernel is still moving the set
// to a table that fits: a listing made then has some elements twice and others not at all.
func TestHundredThousand(t *testing.T) {
	ns := nstest.New(t)
	e := open(t, ns, Options{})
	es := fwtest.Bulk(100_000, time.Now().Add(time.Hour))
	begin := time.Now()
	apply(t, e, firewall.Diff{Add: es})
	t.Logf("loaded, read back and compared in %s", time.Since(begin))
	for range 2 {
		begin = time.Now()
		have, _, err := e.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("listed in %s", time.Since(begin))
		if len(have) != len(es) {
			t.Fatalf("%d entries, want %d", len(have), len(es))
		}
		for i := range es {
			if have[i].Prefix != es[i].Prefix || have[i].Until.Sub(es[i].Until).Abs() > time.Second {
				t.Fatalf("entry %d is %v, want %v", i, have[i], es[i])
			}
		}
	}
	begin = time.Now()
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = open(t, ns, Options{Unprotected: true}) // makes the table anew
	t.Logf("made anew with its blocks in %s", time.Since(begin))
	if have, _, err := e.List(t.Context()); err != nil || len(have) != len(es) {
		t.Errorf("%d entries after the table was made anew, want %d: %v", len(have), len(es), err)
	}
}

func TestFullSet(t *testing.T) {
	e := open(t, nstest.New(t), Options{Size: 10})
	es := fwtest.Bulk(15, time.Now().Add(time.Hour))
	err := e.Apply(t.Context(), firewall.Diff{Add: es})
	var ae *firewall.ApplyError
	if !errors.Is(err, firewall.ErrFull) || !errors.As(err, &ae) || len(ae.Failed) != 5 {
		t.Fatalf("15 elements into a set of 10: %v", err)
	}
	t.Log(err)
	holds(t, e, "240.0.0.0/32", "240.0.0.1/32", "240.0.0.2/32", "240.0.0.3/32", "240.0.0.4/32",
		"240.0.0.5/32", "240.0.0.6/32", "240.0.0.7/32", "240.0.0.8/32", "240.0.0.9/32")
	for i := range es {
		es[i].Until = es[i].Until.Add(time.Hour)
	}
	for _, old := range []bool{false, true} { // what is there can be moved and removed though nothing more fits
		if old {
			e.feat.Update, e.feat.Destroy = false, false
		}
		apply(t, e, firewall.Diff{Extend: es[:10]})
		apply(t, e, firewall.Diff{Remove: prefixes("203.0.113.1/32", "203.0.113.2/32")})
		apply(t, e, firewall.Diff{Remove: prefixes("240.0.0.9/32"), Add: es[10:11]})
		apply(t, e, firewall.Diff{Remove: prefixes("240.0.0.10/32"), Add: es[9:10]})
	}
	apply(t, e, firewall.Diff{Add: []firewall.Entry{entry("2001:db8::/64", time.Hour)}})
}

// TestLostIsNoticed: an element that isn't there after a load is named.
func TestLostIsNoticed(t *testing.T) {
	e := open(t, nstest.New(t), Options{Unprotected: true})
	es := fwtest.Bulk(3000, time.Now().Add(time.Hour))
	apply(t, e, firewall.Diff{Add: es})
	if err := e.Apply(t.Context(), firewall.Diff{Remove: prefixes("240.0.0.7/32"), Extend: []firewall.Entry{entry("240.0.3.0/32", 5*time.Hour)}}); err != nil {
		t.Fatal(err)
	}
	jobs, _ := e.jobs(firewall.Diff{Add: es})
	lost, err := e.missing(kinds[0], &jobs[0])
	if err != nil || len(lost) != 2 || lost[0].String() != "240.0.0.7/32" || lost[1].String() != "240.0.3.0/32" {
		t.Errorf("lost are %v, %v", lost, err)
	}
}

// FuzzList holds that what a netlink socket delivers, however malformed, is read without panic or endless loop.
func FuzzList(f *testing.F) {
	f.Add([]byte{8, 0, 3, 128, 4, 0, 1, 0})
	f.Add([]byte{40, 0, 3, 128, 36, 0, 1, 128, 12, 0, 1, 128, 8, 0, 1, 0, 192, 0, 2, 1, 12, 0, 4, 0, 0, 0, 0, 0, 0, 0, 14, 16, 12, 0, 5, 0, 0, 0, 0, 0, 0, 0, 14, 15})
	f.Add([]byte{3, 0, 3, 128})
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		_ = list(b, func(e *element) error {
			if n++; e.expires < 0 || e.timeout < 0 || e.timeout > maxRemaining {
				t.Errorf("element %+v", *e)
			}
			return nil
		})
		if n > len(b)/4 {
			t.Errorf("%d elements in %d bytes", n, len(b))
		}
		namesTable(b)
		culprit(b)
	})
}
