package nft

import (
	"testing"
	"time"

	"github.com/harvestwatch/harvestwatch/firewall"
	"github.com/harvestwatch/harvestwatch/firewall/fwtest"
	"github.com/harvestwatch/harvestwatch/internal/nstest"
)

// BenchmarkLoad puts 100,000 blocks into effect in one go, read back and compared, into an empty table each time.
func BenchmarkLoad(b *testing.B) {
	for _, c := range []struct {
		name string
		opt  Options
	}{{"bare", Options{}}, {"counters", Options{Counters: true}}} {
		b.Run(c.name, func(b *testing.B) {
			e := open(b, nstest.New(b), c.opt)
			for b.Loop() {
				b.StopTimer()
				if err := e.Clear(b.Context()); err != nil {
					b.Fatal(err)
				}
				if _, _, err := e.List(b.Context()); err != nil {
					b.Fatal(err)
				}
				es := fwtest.Bulk(100_000, time.Now().Add(time.Hour))
				b.StartTimer()
				if err := e.Apply(b.Context(), firewall.Diff{Add: es}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkList reads 100,000 blocks back.
func BenchmarkList(b *testing.B) {
	e := open(b, nstest.New(b), Options{})
	if err := e.Apply(b.Context(), firewall.Diff{Add: fwtest.Bulk(100_000, time.Now().Add(time.Hour))}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if es, _, err := e.List(b.Context()); err != nil || len(es) != 100_000 {
			b.Fatal(len(es), err)
		}
	}
}

// BenchmarkSingle blocks one more prefix, as a decision does.
func BenchmarkSingle(b *testing.B) {
	e := open(b, nstest.New(b), Options{})
	es := fwtest.Bulk(50_000, time.Now().Add(time.Hour))
	i := 0
	for b.Loop() {
		if err := e.Apply(b.Context(), firewall.Diff{Add: es[i%len(es) : i%len(es)+1]}); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// BenchmarkChanged is the cheap check.
func BenchmarkChanged(b *testing.B) {
	e := open(b, nstest.New(b), Options{})
	for b.Loop() {
		if _, err := e.Changed(b.Context(), ""); err != nil {
			b.Fatal(err)
		}
	}
}
