package report

import (
	"hash/maphash"
	"math"
	"time"

	"github.com/harvestwatch/harvestwatch"
)

// The remainder is what is left of an attack when each address that can be blocked is: the tries of sources that stayed
// below many. Which sources those are is known at the end only. So every try is noted down, 20 bytes with numbers for its
// texts, until its source reaches many, and what such a source left is thrown away when room is needed. Where that is
// not enough, one half of the sources is thrown away with all its tries, and of new ones as many, again and again: what
// is left is a fair sample of the sources, and each of them is in it with everything that it did. Every number that is
// counted in the sample, times the share of the sources, is then an unbiased estimate; up to the bounds below it is exact.
// Which sources are in the sample follows from the order in which they first came, so the same logs give the same report.
type remainder struct {
	tries []try
	texts [shareds]texts
	spare [shareds]texts // emptied; reused by sortOut
	shift uint8          // one source in 1<<shift is in the sample

	good     [shareds]seenSet // of HELO names and sender domains: those of deliveries
	goodSeen [shareds]int64   // deliveries that named one
	buf      []byte
}

// try is one try at an unknown recipient. The texts are numbers, 0 for none.
type try struct {
	source uint32 // its number
	at     uint32 // in seconds since 1970
	has    [shareds]uint32
}

// What sources can have in common.
const (
	byHelo = iota
	byDomain
	byName // the recipient
	shareds
)

// Bounds of the remainder: 0.7 MB of tries, and twice 1 MB of texts and at most 3 MB to find them again.
const (
	maxTries = 1 << 15
	maxTexts = 1 << 20
)

func newRemainder() *remainder {
	r := &remainder{}
	seed := maphash.MakeSeed()
	for i := range r.texts {
		r.texts[i].seed, r.spare[i].seed = seed, seed
	}
	return r
}

// sampled reports whether the source with that number is in the sample.
func (r *remainder) sampled(source uint32) bool { return again(uint64(source))&(1<<r.shift-1) == 0 }

// add notes down a try of a source that has not reached many yet. It reports that room must be made.
func (r *remainder) add(ev *harvestwatch.Event, source uint32) (full bool) {
	if !r.sampled(source) {
		return false
	}
	t := try{source: source, at: uint32(min(max(ev.Time/int64(time.Second), 0), math.MaxUint32))}
	r.buf = appendHelo(r.buf[:0], ev.Helo)
	t.has[byHelo] = r.texts[byHelo].number(r.buf)
	r.buf = senderDomain(r.buf[:0], ev)
	t.has[byDomain] = r.texts[byDomain].number(r.buf)
	r.buf = appendRecipient(r.buf[:0], ev.Recipient)
	t.has[byName] = r.texts[byName].number(r.buf)
	r.tries = append(r.tries, t)
	return len(r.tries) >= maxTries || r.size() >= maxTexts
}

// size returns how many bytes of texts are kept.
func (r *remainder) size() int {
	return len(r.texts[byHelo].kept) + len(r.texts[byDomain].kept) + len(r.texts[byName].kept)
}

// delivered notes down what a delivery has, so that nobody takes it for the mark of a campaign.
func (r *remainder) delivered(ev *harvestwatch.Event) {
	r.buf = appendHelo(r.buf[:0], ev.Helo)
	r.goodText(byHelo)
	r.buf = senderDomain(r.buf[:0], ev)
	r.goodText(byDomain)
}

func (r *remainder) goodText(by int) {
	if len(r.buf) > 0 {
		r.good[by].add(r.texts[by].hash(r.buf))
		r.goodSeen[by]++
	}
}

// makeRoom throws away the tries of sources that low no longer tells of, and then of ever more sources, until half of the
// room is free.
func (r *remainder) makeRoom(low func(source uint32) bool) {
	r.keep(low)
	for len(r.tries) > maxTries/2 {
		r.shift++
		r.keep(r.sampled)
	}
	r.sortOut()
	for r.size() > maxTexts/2 {
		r.shift++
		r.keep(r.sampled)
		r.sortOut()
	}
}

// keep throws away all tries but those of the sources that ok tells of.
func (r *remainder) keep(ok func(source uint32) bool) {
	kept := r.tries[:0]
	for i := range r.tries {
		if ok(r.tries[i].source) {
			kept = append(kept, r.tries[i])
		}
	}
	r.tries = kept
}

// sortOut throws away the texts that no try has any more.
func (r *remainder) sortOut() {
	r.texts, r.spare = r.spare, r.texts
	for by := range r.texts {
		now, old := &r.texts[by], &r.spare[by]
		now.clear()
		for i := range r.tries {
			if n := &r.tries[i].has[by]; *n != 0 {
				*n = now.place(old.hashes[*n-1], old.text(*n))
			}
		}
	}
}
