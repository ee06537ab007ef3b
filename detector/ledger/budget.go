package ledger

import (
	"math"
	"slices"
)

// maxBlocks is how many blocks with a cost a budget tells apart.
const maxBlocks = 20000

// cost is what a block, or several as one, holds up.
type cost struct {
	until, cost uint32
}

// Budget adds up the good mail that active blocks hold up, in thousandths of a message a day. Its zero value is ready
// for use. It isn't saved: after a restart the active blocks are added again. It is not safe for concurrent use.
type Budget struct {
	costs []cost // in the order of their ends
	total uint64
}

// Spent returns what the blocks that are active at a second cost together: those that end after it. What a later second
// has ended stays ended when seconds go back. More than the largest number is the largest number.
func (b *Budget) Spent(now uint32) uint32 {
	n := 0
	for n < len(b.costs) && b.costs[n].until <= now {
		b.total -= uint64(b.costs[n].cost)
		n++
	}
	b.costs = slices.Delete(b.costs, 0, n)
	return uint32(min(b.total, math.MaxUint32))
}

// Add enters a block: until when, and what it costs. Beyond 20,000 blocks with a cost, a further one is added to the one
// that ends last: it then costs until the later of both ends, so that too much is counted, never too little.
func (b *Budget) Add(until, amount uint32) {
	if amount == 0 {
		return
	}
	if len(b.costs) < maxBlocks {
		b.costs = slices.Insert(b.costs, b.after(until), cost{until, amount})
		b.total += uint64(amount)
		return
	}
	last := &b.costs[len(b.costs)-1]
	last.until = max(last.until, until)
	b.total -= uint64(last.cost)
	last.cost = add(last.cost, amount)
	b.total += uint64(last.cost)
}

// Remove takes out a block that was ended before its time, as it was added. It reports false when there is none such: it
// ended, cost nothing, or was added to another.
func (b *Budget) Remove(until, amount uint32) bool {
	for i := b.after(until) - 1; i >= 0 && b.costs[i].until == until; i-- {
		if b.costs[i].cost == amount {
			b.costs = slices.Delete(b.costs, i, i+1)
			b.total -= uint64(amount)
			return true
		}
	}
	return false
}

// after returns how many blocks end at a second or before.
func (b *Budget) after(until uint32) int {
	n, _ := slices.BinarySearchFunc(b.costs, until, func(c cost, until uint32) int {
		if c.until <= until {
			return -1
		}
		return 1
	})
	return n
}
