package detector

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/harvestwatch/harvestwatch/rules"
)

// TestListsKeepWhatIsNeeded holds that a list which must drop entries drops none that a rule can ask for: the latest of
// all, and where users are demanded, the latest of so many users.
func TestListsKeepWhatIsNeeded(t *testing.T) {
	compared := 0
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		c := counter{mode: rules.UserMinute, limit: 1 + r.IntN(20), users: r.IntN(6), longest: 20000}
		if c.users == 0 && r.IntN(2) == 0 {
			c.mode = rules.Recipient
		}
		s := newSlabs()
		h, now := uint32(0), uint32(100000)
		all := map[entry]uint32{} // what is distinct, without its time, to its latest time
		for range 500 {
			now += r.Uint32N(120)
			e := entry{now - r.Uint32N(600), 1 + r.Uint32N(1+r.Uint32N(12)), 0}
			key := entry{0, e.hash, 0}
			if c.mode == rules.UserMinute {
				key.sec = e.sec / 60
				if r.IntN(5) == 0 {
					e.hash, key.hash = 0, 0
				}
			}
			all[key] = max(all[key], e.sec)
			h, _ = s.put(h, &c, e, before(now, c.longest))
			list := s.at(h)
			if n := after(list, before(now, c.longest)); n > c.limit+c.users || !slices.IsSortedFunc(list[:n], func(a, b entry) int { return int(b.sec) - int(a.sec) }) {
				t.Fatalf("seed %d: %d entries: %v", seed, n, list)
			}
			for _, window := range []uint32{60, 600, 5000, c.longest} {
				cutoff, count, who := now-window, 0, map[uint32]bool{}
				for key, sec := range all {
					if sec > cutoff {
						count++
						if key.hash != 0 {
							who[key.hash] = true
						}
					}
				}
				live := s.live(h, cutoff)
				compared++
				if min(len(live), c.limit) != min(count, c.limit) {
					t.Fatalf("seed %d, window %d: %d entries, want %d, limit %d", seed, window, len(live), count, c.limit)
				}
				if got := users(live, c.users); c.users > 0 && got != min(len(who), c.users) {
					t.Fatalf("seed %d, window %d: %d users, want %d, limit %d", seed, window, got, len(who), c.users)
				}
			}
		}
	}
	t.Logf("%d comparisons", compared)
}

func TestSlabsGiveBack(t *testing.T) {
	s := newSlabs()
	r := rand.New(rand.NewPCG(8, 9))
	held := map[uint32]uint32{}
	for i := range uint32(50000) {
		if len(held) > 300 {
			for h, mark := range held {
				if block := s.at(h); block[0].sec != mark || block[len(block)-1].sec != mark {
					t.Fatalf("block %x was given out twice", h)
				}
				s.release(h)
				delete(held, h)
				break
			}
		}
		h := s.alloc(r.IntN(len(classSizes)))
		if held[h] != 0 {
			t.Fatalf("block %x is held", h)
		}
		block := s.at(h)
		for j := range block {
			if block[j] != (entry{}) {
				t.Fatal("a block is not empty")
			}
			block[j] = entry{i + 1, i, i}
		}
		held[h] = i + 1
	}
	if s.bytes > 40<<20 {
		t.Errorf("%d bytes for 300 blocks: nothing is used again", s.bytes)
	}
}
