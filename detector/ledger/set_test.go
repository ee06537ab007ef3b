package ledger

import (
	"slices"
	"testing"
)

// check holds that a set has the keys in their order, each at its home or behind it with no free slot between.
func (s *set) check(t *testing.T, want map[uint64]uint32) {
	t.Helper()
	n, previous := 0, uint64(0)
	for i := range s.slots {
		sl := &s.slots[i]
		if sl.key == 0 {
			if s.flags[i] != 0 {
				t.Fatalf("slot %d is free and has flags", i)
			}
			continue
		}
		if n++; sl.key <= previous {
			t.Fatalf("slot %d is out of order", i)
		}
		previous = sl.key
		for at := s.home(sl.key); at < i; at++ {
			if s.slots[at].key == 0 {
				t.Fatalf("slot %d: free room between home and key", i)
			}
		}
		if last, ok := want[sl.key]; !ok || last != sl.last || where(s, sl.key) != i {
			t.Fatalf("slot %d: key %x with %d, want %d, %v", i, sl.key, sl.last, last, ok)
		}
	}
	if n != len(want) || n != s.count {
		t.Fatalf("%d keys, counted as %d, want %d", n, s.count, len(want))
	}
}

func where(s *set, key uint64) int {
	i, ok := s.find(key)
	if !ok {
		return -1
	}
	return i
}

// TestSetIsAMap holds the table against a map, with keys that crowd its beginning and its end too.
func TestSetIsAMap(t *testing.T) {
	for seed := range uint64(40) {
		rng := random(seed)
		limit := 1 + rng.IntN(400)
		s, want := &set{limit: limit}, map[uint64]uint32{}
		var keys []uint64
		for i := range uint32(3000) {
			key := rng.Uint64N(600) + 1
			switch seed % 4 {
			case 1:
				key = ^uint64(0) - key
			case 2:
				key *= spread
			case 3:
				key <<= 54
			}
			_, there := want[key]
			switch at, ok := s.find(key); {
			case ok != there:
				t.Fatalf("seed %d: key %x is found: %v, want %v", seed, key, ok, there)
			case key == 0:
			case ok && rng.IntN(2) == 0:
				s.remove(at)
				delete(want, key)
			case !ok && s.count < limit:
				at = s.insert(key)
				s.slots[at].last = i
				want[key] = i
				keys = append(keys, key)
			}
			if i%500 == 0 {
				s.check(t, want)
			}
		}
		s.check(t, want)
		for _, key := range keys {
			if _, ok := want[key]; !ok && where(s, key) >= 0 {
				t.Fatalf("seed %d: key %x is still there", seed, key)
			}
		}
	}
}

// TestSampleDependsOnKeysOnly holds that which recipient goes does not depend on the way that the set came to be.
func TestSampleDependsOnKeysOnly(t *testing.T) {
	for seed := range uint64(100) {
		rng := random(seed)
		n := 1 + rng.IntN(200)
		var slots []slot
		for range n {
			slots = append(slots, slot{key: rng.Uint64() | 1, last: rng.Uint32N(50)})
		}
		former := func(key uint64) bool { return key%5 == 0 }
		var sets [2]set
		for k := range sets {
			s := &sets[k]
			s.limit = n * (1 + 9*k)
			for _, i := range rng.Perm(n) {
				if k == 1 && i%3 == 0 { // come, go and come again
					s.remove(s.insert(slots[i].key))
				}
				at := s.insert(slots[i].key)
				s.slots[at].last = slots[i].last
				if former(slots[i].key) {
					s.flags[at] = imported
				}
			}
		}
		slices.SortFunc(slots, func(a, b slot) int {
			if a.key < b.key {
				return -1
			}
			return 1
		})
		for range 50 {
			key, upTo := rng.Uint64(), rng.Uint32N(50)
			from, _ := slices.BinarySearchFunc(slots, key, func(s slot, key uint64) int {
				if s.key < key {
					return -1
				}
				return 1
			})
			var want *slot
			for i := range min(sample, n) {
				if s := &slots[(from+i)%n]; !former(s.key) && s.last <= upTo && (want == nil || s.last < want.last) {
					want = s
				}
			}
			for k := range sets {
				i, ok := sets[k].stale(key, upTo)
				if ok != (want != nil) || ok && sets[k].slots[i].key != want.key {
					t.Fatalf("seed %d: set %d names another recipient", seed, k)
				}
			}
		}
	}
}

func TestHashesComeBack(t *testing.T) {
	for _, hash := range []uint64{1, 2, 1 << 63, ^uint64(0), 0xfeedfacecafebeef} {
		if got := hashOf(keyOf(hash)); got != hash {
			t.Errorf("hash %x came back as %x", hash, got)
		}
	}
	if keyOf(0) != keyOf(1) || keyOf(1) == 0 {
		t.Error("hash 0 has no key of its own")
	}
}
