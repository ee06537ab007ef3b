package loggen

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"time"
)

// Classes returns the names of the classes of entities, as Source.Class has them.
func Classes() []string {
	var names []string
	for _, s := range specs() {
		names = append(names, s.name)
	}
	return names
}

func classOf(name string) (class, bool) {
	for c, s := range specs() {
		if s.name == name {
			return class(c), true
		}
	}
	return 0, false
}

// entity is one actor. All that it does comes from its own stream of random numbers, whose seed is made of the run's
// seed, its class and its number: so who else takes part doesn't change it.
type entity struct {
	rng   rand.Rand
	pcg   rand.PCG // what rng draws from
	at    int64    // when it wakes next, nanoseconds since 1970; negative once it is done
	then  int64    // when something changes for it, 0 for never or done
	gap   float64  // mean nanoseconds between its sessions
	pick  uint64   // where its dictionary, its names begin
	count int32    // how many recipients, attempts or sessions it has yet to make
	done  int32    // how many it has made
	per   int32    // how many of them it makes in one session
	good  int32    // how many successes it has had
	burst int32    // how many attempts are left of a burst
	turn  int32    // which of its addresses it has come to
	rush  float32  // factor of the time that its sessions take
	index uint32
	class class
	style uint8 // draws what its sessions look like
	v6    bool
	main  tally   // of its first source
	more  []tally // of its others
}

// tally is what is kept of a source while time passes.
type tally struct {
	addr   netip.Addr // one of its addresses
	first  int64      // its first connect
	last   int64
	out    int64 // of its unknown recipients, those that nobody could have known
	counts Counts
}

// start draws the time of an entity's first session so that what it needs of time fits before the end, if it can.
func (w *world) start(e *entity, needs float64) {
	span := float64(w.end - w.open)
	e.at = w.open + int64(max(span-needs, span/20)*e.rng.Float64())
}

// rest lets the entity wake again after its usual gap, half of it to one and a half times it; or never, if it is done.
func (e *entity) rest(w *world, s *session) {
	length := int64(0)
	for i := range s.steps {
		length += s.steps[i].wait
	}
	e.at += length + int64(e.gap*(.5+e.rng.Float64()))
	if e.count <= 0 {
		e.at = -1
	}
}

// working is the share of the busiest hour's traffic at a time: by day 1, in the evening .35, at night .15, and .3 of it
// at weekends.
func (w *world) working(at int64) float64 {
	t := time.Unix(0, at).In(w.cfg.Start.Location())
	f := .15
	switch h := t.Hour(); {
	case h >= 8 && h < 18:
		f = 1
	case h >= 6 && h < 23:
		f = .35
	}
	if d := t.Weekday(); d == time.Saturday || d == time.Sunday {
		f *= .3
	}
	return f
}

// later finds the entity's next time by day and night: a Poisson process whose rate follows working, with a mean gap of
// e.gap at the busiest hour.
func (e *entity) later(w *world) {
	for e.at < w.end {
		e.at += int64(e.rng.ExpFloat64()*e.gap) + 1
		if e.rng.Float64() < w.working(e.at) {
			return
		}
	}
	e.at = -1
}

// lognormal draws a number with that median, between lo and hi.
func (e *entity) lognormal(median, sigma, lo, hi float64) int32 {
	return int32(min(hi, max(lo, median*math.Exp(sigma*e.rng.NormFloat64()))))
}

// source returns the tally of the k-th source of the entity, which has that address.
func (e *entity) source(k int32, addr netip.Addr) *tally {
	t := &e.main
	if k > 0 {
		for int32(len(e.more)) < k {
			e.more = append(e.more, tally{})
		}
		t = &e.more[k-1]
	}
	if !t.addr.IsValid() {
		t.addr = addr
	}
	return t
}
