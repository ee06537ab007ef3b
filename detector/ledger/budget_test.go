package ledger

import (
	"math"
	"testing"
)

// TestBudgetAgainstAList holds the budget against a list of all blocks that is added up each time.
func TestBudgetAgainstAList(t *testing.T) {
	compared := 0
	for seed := range uint64(100) {
		rng := random(seed)
		var b Budget
		var all []cost
		c := &clock{rng, start, 60, 0}
		for range 500 {
			now := c.next()
			switch rng.IntN(8) {
			case 0, 1, 2:
				x := cost{now + rng.Uint32N(4*hour), rng.Uint32N(5)}
				b.Add(x.until, x.cost)
				all = append(all, x)
			case 3:
				if len(all) == 0 {
					continue
				}
				i := rng.IntN(len(all))
				x := all[i]
				b.Spent(now)
				if got, want := b.Remove(x.until, x.cost), x.until > now && x.cost > 0; got != want {
					t.Fatalf("seed %d: removed: %v, want %v", seed, got, want)
				}
				all[i] = all[len(all)-1]
				all = all[:len(all)-1]
			default:
				want := uint32(0)
				for _, x := range all {
					if x.until > now {
						want += x.cost
					}
				}
				if got := b.Spent(now); got != want {
					t.Fatalf("seed %d: spent %d, want %d", seed, got, want)
				}
				compared++
			}
		}
	}
	t.Logf("%d comparisons", compared)
}

func TestBudgetIsBounded(t *testing.T) {
	var b Budget
	for i := range uint32(maxBlocks + 1000) {
		b.Add(start+i%maxBlocks, 1)
	}
	if n := len(b.costs); n != maxBlocks {
		t.Errorf("%d blocks are kept, want %d", n, maxBlocks)
	}
	if got := b.Spent(start - 1); got != maxBlocks+1000 {
		t.Errorf("spent %d, want %d", got, maxBlocks+1000)
	}
	if got := b.Spent(start + maxBlocks - 2); got != 1001 {
		t.Errorf("the last block costs %d, want its own and those that were added to it", got)
	}
	for range maxBlocks {
		b.Add(start+2*maxBlocks, 1)
	}
	b.Add(start+3*maxBlocks, 1)
	if got := b.Spent(start + 3*maxBlocks - 1); got == 0 {
		t.Error("a block that was added to another ends before its time")
	}
	if got := b.Spent(start + 3*maxBlocks); got != 0 || b.total != 0 {
		t.Errorf("spent %d when all has ended", got)
	}
}

func TestBudgetStopsAtTheLargestNumber(t *testing.T) {
	var b Budget
	for range 3 {
		b.Add(math.MaxUint32, math.MaxUint32)
	}
	if got := b.Spent(start); got != math.MaxUint32 {
		t.Errorf("spent %d", got)
	}
	if got := b.Spent(math.MaxUint32); got != 0 {
		t.Errorf("spent %d after the end", got)
	}
}

// TestBudgetGoesBackALittle holds that a second that comes late neither brings back what has ended nor breaks the sum.
func TestBudgetGoesBackALittle(t *testing.T) {
	var b Budget
	b.Add(start+10, 5)
	b.Add(start+20, 7)
	for _, c := range []struct{ now, want uint32 }{{start + 9, 12}, {start + 10, 7}, {start + 9, 7}, {start + 19, 7}, {start + 20, 0}, {start, 0}} {
		if got := b.Spent(c.now); got != c.want {
			t.Errorf("at %d: spent %d, want %d", c.now-start, got, c.want)
		}
	}
}
