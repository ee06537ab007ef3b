package evaluate

import (
	"math/bits"
	"net/netip"
	"slices"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

// lane is the world as it is with one contender in force. An event that falls into a block does not happen: from the
// moment the block is in force, which is the lag after the contender asked for it, until its end. A delivery is judged
// by when the message was accepted. What was under way before still happens and is shown to the contender.
type lane struct {
	c      Contender
	k      *known
	lag    int64
	retry  int64
	index  []int32 // by the source's id: its place in states, 0 for a source that no block ever concerned
	states []state
	spans  []period // all blocks, for the peak
	wide   map[wideKey]period
	masks  []uint8          // lengths of wide prefixes; those of IPv6 plus 128
	cut    map[uint64]int64 // sessions that were hung up on, and when
	answer Answer
	seen   int64
	spent  time.Duration
	cuts   int64 // sessions hung up on
	freed  int64 // blocks taken back
	digest uint64
}

type period struct{ from, until int64 }

// wideKey is a prefix wider than a source.
type wideKey struct {
	net  harvestwatch.Source
	bits uint8
}

// state is what blocks did to one source.
type state struct {
	from, until int64 // its latest block: when it came into force, and its end
	fired       int64 // when its first block was decided
	firstUntil  int64
	waiting     int64           // since when good mail waits, in this chain of blocks; 0 for none
	waitEnd     int64           // until when, as far as is known
	delay       int64           // the longest that good mail had to wait
	so          [counted]uint32 // what it had done when its first block was decided
	kept        [deeds]uint32   // what blocks kept it from doing
	first       uint32          // tries that its first block kept out
	away        uint32          // tries that it had scheduled after its first block
	blocks      uint32
	session     uint64 // where its first block was no more than the end of this session
	span        int32  // of its latest block, in spans
	rule        string
}

func newLane(c Contender, k *known, o ReplayOptions) *lane {
	return &lane{c: c, k: k, lag: int64(max(o.Lag, 0)), retry: int64(o.Retry), states: make([]state, 1), wide: map[wideKey]period{},
		cut: map[uint64]int64{}}
}

func (l *lane) all(b *batch) {
	for i := range b.items {
		it := &b.items[i]
		if it.id >= 0 && l.prevented(it) {
			continue
		}
		l.seen++
		if l.c.See(&it.ev, it.id, &l.answer) {
			l.follow(it)
			l.answer = Answer{}
		}
	}
}

// known returns the state of a source that a block concerned already, or nil. It moves when another one is added.
func (l *lane) known(id int32) *state {
	if int(id) >= len(l.index) || l.index[id] == 0 {
		return nil
	}
	return &l.states[l.index[id]]
}

func (l *lane) state(id int32) *state {
	if int(id) >= len(l.index) {
		l.index = append(l.index, make([]int32, max(len(l.k.sources), int(id)+1)-len(l.index))...)
	}
	if l.index[id] == 0 {
		l.index[id] = int32(len(l.states))
		l.states = append(l.states, state{span: -1})
	}
	return &l.states[l.index[id]]
}

// prevented says whether the event falls into a block, and counts it then.
func (l *lane) prevented(it *item) bool {
	st := l.known(it.id)
	if st != nil && it.deed == tries && st.fired != 0 && it.at >= st.firstUntil {
		st.away++
	}
	if st != nil && it.at >= st.from && it.at < st.until {
		l.keepOut(st, it, st.until)
		return true
	}
	if len(l.cut) > 0 {
		if at, ok := l.cut[it.ev.Session]; ok && it.at >= at {
			st = l.state(it.id)
			l.keepOut(st, it, it.at)
			if it.deed == tries && st.session == it.ev.Session {
				st.first++
				st.away--
			}
			return true
		}
	}
	if len(l.wide) == 0 {
		return false
	}
	p, ok := l.widest(l.k.sources[it.id].source, it.at)
	if !ok {
		return false
	}
	st = l.state(it.id)
	if st.fired == 0 { // blocked for others' deeds
		st.fired, st.firstUntil, st.so, st.rule = p.from, p.until, it.so, "prefix"
		if it.deed < counted {
			st.so[it.deed]--
		}
	}
	l.keepOut(st, it, p.until)
	return true
}

func (l *lane) keepOut(st *state, it *item, until int64) {
	if it.deed == none {
		return
	}
	st.kept[it.deed]++
	switch {
	case it.ev.Kind == harvestwatch.RcptOK:
		st.kept[learned]++
	case it.deed == good:
		if it.at > st.waitEnd+l.retry {
			st.delivered()
		}
		if st.waiting == 0 {
			st.waiting = it.at
		}
		st.waitEnd = max(st.waitEnd, until)
	}
	if it.deed == tries && (st.fired == 0 || it.at < st.firstUntil) {
		st.first++
	}
}

// follow does what the contender said.
func (l *lane) follow(it *item) {
	a := &l.answer
	for _, src := range a.Release {
		l.release(src, it.ev.Time)
	}
	if a.Session && it.ev.Session != 0 {
		l.cut[it.ev.Session] = it.ev.Time
		l.cuts++
		if it.id >= 0 {
			st := l.state(it.id)
			if st.fired == 0 {
				st.session = it.ev.Session
			}
			l.begin(st, it, it.ev.Time)
		}
	}
	if a.Until <= it.ev.Time {
		return
	}
	p := period{it.ev.Time + l.lag, a.Until}
	l.spans = append(l.spans, p)
	if it.id >= 0 {
		l.digest = mix(l.digest, uint64(l.k.sources[it.id].source))
	}
	l.digest = mix(mix(l.digest, uint64(p.from)), uint64(p.until))
	if key, ok := wideOf(a.Prefix); ok {
		old := l.wide[key]
		l.wide[key] = period{p.from, max(p.until, old.until)}
		if old.until > p.from {
			l.wide[key] = period{old.from, max(p.until, old.until)}
		}
		if mask := key.mask(); !slices.Contains(l.masks, mask) {
			l.masks = append(l.masks, mask)
		}
		return
	}
	if it.id < 0 {
		return
	}
	st := l.state(it.id)
	l.begin(st, it, p.until)
	if p.from >= st.until { // else the one that is in force goes on
		st.from = p.from
	}
	st.until = max(st.until, p.until)
	st.span = int32(len(l.spans) - 1)
}

// begin notes that a block of the source begins.
func (l *lane) begin(st *state, it *item, until int64) {
	if st.fired == 0 {
		st.fired, st.firstUntil, st.so, st.rule = it.ev.Time, until, it.so, l.answer.Rule
	}
	st.blocks++
	if st.waiting == 0 {
		return
	}
	if it.ev.Time > st.waitEnd+l.retry {
		st.delivered()
		return
	}
	st.waitEnd = max(st.waitEnd, until) // the message tries again, and finds the next block
}

// delivered lets the good mail through that waited.
func (st *state) delivered() {
	if st.waiting != 0 {
		st.delay = max(st.delay, st.waitEnd-st.waiting)
	}
	st.waiting, st.waitEnd = 0, 0
}

// release ends a source's block.
func (l *lane) release(src harvestwatch.Source, now int64) {
	id, ok := l.k.ids[src]
	if !ok {
		return
	}
	st := l.known(id)
	if st == nil || st.until <= now {
		return
	}
	l.freed++
	l.digest = mix(mix(l.digest, uint64(src)), uint64(now))
	if st.firstUntil == st.until {
		st.firstUntil = now
	}
	st.until = now
	st.waitEnd = min(st.waitEnd, now)
	if st.span >= 0 {
		l.spans[st.span].until = now
	}
}

// wideOf returns the key of a prefix that is wider than a source.
func wideOf(p netip.Prefix) (wideKey, bool) {
	if !p.IsValid() {
		return wideKey{}, false
	}
	p = p.Masked()
	src, ok := harvestwatch.SourceOf(p.Addr())
	if !ok || p.Bits() >= src.Prefix().Bits() {
		return wideKey{}, false
	}
	return wideKey{src, uint8(p.Bits())}, true
}

// mask is the prefix's length, plus 128 for IPv6.
func (k wideKey) mask() uint8 {
	if k.net > 1<<32-1 {
		return k.bits + 128
	}
	return k.bits
}

// widest returns the block of a wider prefix that holds for a source at that time.
func (l *lane) widest(src harvestwatch.Source, at int64) (period, bool) {
	v6 := src > 1<<32-1
	for _, m := range l.masks {
		if v6 != (m >= 128) {
			continue
		}
		shift := 32 - m
		if v6 {
			shift = 64 - (m - 128)
		}
		if p, ok := l.wide[wideKey{src >> shift << shift, m & 127}]; ok && at >= p.from && at < p.until {
			return p, true
		}
	}
	return period{}, false
}

// mix adds a number to a digest that depends on the numbers' order and is no secret.
func mix(digest, x uint64) uint64 { return bits.RotateLeft64((digest^x)*0x100000001b3, 29) + x }

// peak returns the greatest number of blocks that were active at a time.
func (l *lane) peak() int {
	var starts, ends []int64
	for _, p := range l.spans {
		if p.until > p.from {
			starts, ends = append(starts, p.from), append(ends, p.until)
		}
	}
	slices.Sort(starts)
	slices.Sort(ends)
	most, i := 0, 0
	for n, at := range starts {
		for ends[i] <= at {
			i++
		}
		most = max(most, n+1-i)
	}
	return most
}
