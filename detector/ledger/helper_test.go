package ledger

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

const start = 1_699_833_600 // a Monday, 00:00 UTC

// keeper is what is saved and restored.
type keeper interface {
	Changes(yield func(key uint64, value []byte))
	Restore(key uint64, value []byte) error
}

// save puts what changed into a store.
func save(k keeper, store map[uint64][]byte) (values int) {
	k.Changes(func(key uint64, value []byte) {
		values++
		if value == nil {
			delete(store, key)
			return
		}
		store[key] = append([]byte(nil), value...)
	})
	return values
}

// load restores a store into something new, in the random order of a map.
func load[K keeper](t testing.TB, k K, store map[uint64][]byte) K {
	t.Helper()
	for key, value := range store {
		if err := k.Restore(key, value); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

func random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 7)) }

// clock gives seconds that go on by up to a step each time, a quarter of them late by up to a lag.
type clock struct {
	rng       *rand.Rand
	now       uint32
	step, lag uint32
}

func (c *clock) next() uint32 {
	c.now += c.rng.Uint32N(c.step + 1)
	if c.rng.IntN(4) == 0 {
		return c.now - c.rng.Uint32N(c.lag+1)
	}
	return c.now
}

func clockTime(sec uint32) string {
	s := sec % day
	return fmt.Sprintf("%02d:%02d:%02d", s/hour, s/60%60, s%60)
}
