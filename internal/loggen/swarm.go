package loggen

import (
	"math"
	"strconv"
)

// campaign is how many members of a botnet work through one dictionary with one HELO name.
const campaign = 800

// geometric draws a number from 1 to most; without that bound its mean would be that.
func (e *entity) geometric(mean float64, most int32) int32 {
	return min(most, 1+int32(math.Log(1-e.rng.Float64())/math.Log(1-1/mean)))
}

func planBotnet(w *world, e *entity) float64 {
	e.member()
	seed := w.seedOf(e.class, e.index/campaign, 3)
	span := float64(w.end - w.open)
	lasts := min(span, 6*hour)
	e.at = w.open + int64(float64(seed>>11)/(1<<53)*(span-lasts)+lasts*e.rng.Float64())
	e.pick = mix64(seed)%(1<<20) + uint64(e.index%campaign)*3
	e.fit(w)
	return float64(e.count) * 3.25
}

// member makes the entity a member of a botnet.
func (e *entity) member() {
	e.count, e.per, e.rush = e.geometric(3.5, 30), 1, 1
	e.v6 = e.rng.IntN(20) == 0
	e.gap = 10 * minute
}

func planScatter(w *world, e *entity) float64 {
	e.member()
	e.wordList()
	w.start(e, float64(e.count)*e.gap)
	e.fit(w)
	return float64(e.count) * 3.25
}

func actBotnet(w *world, e *entity, s *session) { actHarvest(w, e, s) }

// uniform dresses a member of a campaign: its address and reverse name are its own, its HELO name is everybody's.
func (e *entity) uniform(s *session) {
	e.dress(s)
	id := mix64(uint64(e.index/campaign)<<8 | uint64(e.class))
	lo := len(s.buf)
	s.buf = append(append(s.buf, "mail."...), offers[id%uint64(len(offers))]...)
	s.buf = strconv.AppendUint(append(s.buf, '-'), uint64(e.index/campaign), 10)
	s.buf = append(s.buf, ".example"...)
	s.helo = s.since(lo)
}

// letterhead puts a sender whose domain is the campaign's.
func (e *entity) letterhead(s *session) span { return s.person(e.rng.Uint64()) }

func planSnowshoe(w *world, e *entity) float64 {
	e.burst = 30 + int32(e.rng.IntN(171)) // addresses
	e.per, e.rush = 1, 1
	for k := range e.burst {
		e.count += e.share(k)
	}
	e.gap = (.3 + .7*e.rng.Float64()) * 24 * hour / float64(e.count)
	w.start(e, float64(e.count)*e.gap)
	e.fit(w)
	return float64(e.count) * 3.3
}

// share is how many tries the k-th address of a snowshoe campaign makes: two to nine.
func (e *entity) share(k int32) int32 { return 2 + int32(mix64(e.pick<<8+uint64(k))%8) }

// actSnowshoe has one address after another try a few recipients, each with a name of its own.
func actSnowshoe(w *world, e *entity, s *session) {
	if e.good == 0 {
		e.good = e.share(e.turn)
	}
	e.good-- // what the address has left
	s.src, s.addr = e.turn, poolV4(e.class, e.index, 20+int(e.turn))
	if e.good == 0 {
		e.turn = (e.turn + 1) % e.burst
	}
	lo := len(s.buf)
	s.buf = append(append(s.buf, 'm'), byte('0'+s.src/100), byte('0'+s.src/10%10), byte('0'+s.src%10), '.')
	s.buf = append(s.buf, offers[e.pick%uint64(len(offers))]...)
	s.buf = strconv.AppendUint(append(s.buf, '-'), uint64(e.index), 10)
	s.buf = append(s.buf, ".example"...)
	s.name = s.since(lo)
	s.helo = s.name
	e.try(w, s)
}

func planRotator(w *world, e *entity) float64 {
	e.per, e.rush = 1+int32(e.rng.IntN(3)), 1
	e.count = e.lognormal(300, .9, 50, 5_000)
	e.gap = (2 + 58*e.rng.Float64()) * second
	sessions := float64(e.count) / float64(e.per)
	w.start(e, sessions*(e.gap+second))
	return float64(e.count) + sessions*2.3
}
