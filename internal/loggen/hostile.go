package loggen

import (
	"math/rand/v2"
	"strconv"
	"time"
)

const (
	second = float64(time.Second)
	minute = float64(time.Minute)
	hour   = float64(time.Hour)
)

// The last commands before a client goes away, for opLost.
const (
	cmdConnect = iota
	cmdEhlo
	cmdAuth
	cmdRcpt
)

// dress gives the session its address, reverse name and HELO name as a single hostile host has them.
func (e *entity) dress(s *session) {
	id := mix64(e.pick + uint64(e.index)<<24)
	if e.v6 {
		low := id | 1
		if e.style&1 == 1 { // it takes another address of its /64 each time
			low = e.rng.Uint64()
		}
		s.addr = hostV6(e.class, e.index, low)
	} else {
		s.addr = hostV4(e.class, e.index)
	}
	if e.style&6 != 0 { // three in four have a reverse name, made of their address as providers do it
		lo := len(s.buf)
		a := s.addr.As16()
		for i := range 4 {
			b := a[12+i]
			if e.v6 {
				b = a[4+i]
			}
			s.buf = append(strconv.AppendUint(s.buf, uint64(b), 10), '-')
		}
		s.buf = append(append(append(s.buf, "pool."...), isps[id>>24%uint64(len(isps))]...), ".example"...)
		s.name = s.since(lo)
	}
	lo := len(s.buf)
	switch e.style >> 4 & 3 {
	case 0:
		s.buf = append(append(s.buf, "mail."...), offers[id>>32%uint64(len(offers))]...)
		s.buf = append(s.buf, ".example"...)
	case 1:
		s.buf = append(s.buf, "WIN-"...)
		s.buf = strconv.AppendUint(s.buf, id>>20&0xffffffff, 36)
	case 2:
		s.buf = append(append(s.buf, "smtp"...), byte('0'+id>>40%10))
		s.buf = append(append(append(s.buf, '.'), businesses[id>>44%uint64(len(businesses))]...), ".example"...)
	default:
		s.buf = append(s.buf, '[')
		if e.v6 {
			s.buf = append(s.buf, "IPv6:"...)
		}
		s.buf = append(s.addr.AppendTo(s.buf), ']')
	}
	s.helo = s.since(lo)
}

// sender puts the sender of a harvester's or spammer's message.
func (e *entity) sender(s *session) span {
	lo := len(s.buf)
	k := e.pick
	if e.style&64 == 0 { // a new one each time
		k = e.rng.Uint64()
	}
	s.buf = append(append(append(s.buf, firstNames[k%32]...), '.'), lastNames[k>>5%32]...)
	s.buf = strconv.AppendUint(s.buf, k>>10%100, 10)
	s.buf = append(append(append(s.buf, '@'), offers[k>>17%uint64(len(offers))]...), ".example"...)
	return s.since(lo)
}

func (s *session) guess(k uint64) span {
	lo := len(s.buf)
	s.buf = appendGuess(s.buf, k)
	return s.since(lo)
}

func (s *session) valid(k uint64) span {
	lo := len(s.buf)
	s.buf = appendValid(s.buf, k)
	return s.since(lo)
}

func planFast(w *world, e *entity) float64 {
	per := [...]int32{1, 1, 1, 1, 1, 2, 2, 3, 4, 6, 20}
	e.per = per[e.rng.IntN(len(per))]
	e.count = e.lognormal(110, .9, 20, 4_000)
	e.gap = (1 + 29*e.rng.Float64()) * second
	e.v6 = e.rng.IntN(8) == 0
	sessions := float64(e.count) / float64(e.per)
	w.start(e, sessions*(e.gap+second))
	return float64(e.count) + sessions*(2.3+.02*float64(e.per))
}

func planSlow(w *world, e *entity) float64 {
	e.per, e.count = 1, 18+int32(e.rng.IntN(180))
	e.gap = 30 * minute
	e.v6 = e.rng.IntN(6) == 0
	w.start(e, float64(e.count)*e.gap)
	fits := float64(w.end-e.at) / e.gap
	return min(float64(e.count), fits) * 3.3
}

func planEvader(w *world, e *entity) float64 {
	e.per, e.count = 8, e.lognormal(90, .7, 32, 1_000)
	e.gap = (5 + 35*e.rng.Float64()) * second
	w.start(e, float64(e.count)/8*(e.gap+second))
	return float64(e.count) * (1 + 2.5/8)
}

// actHarvest tries the next recipients of the dictionary. A fast or slow harvester hits an address that exists once in
// fifty, an evader takes care to ask for one with every fourth; none of them ever sends a message.
func actHarvest(w *world, e *entity, s *session) {
	s.harvest = true
	e.dress(s)
	s.do(opHelo, 80, span{}, 0)
	s.do(opMail, 60, e.sender(s), 0)
	n := min(e.per, e.count)
	last := opUnknown
	for range n {
		hit := e.rng.IntN(50) == 0
		if e.class == evader {
			hit = e.done%4 == 3
		}
		last = opUnknown
		if hit {
			last = opRcptOK
			s.do(last, 150, s.valid(e.rng.Uint64()), 0)
		} else {
			s.do(last, 150, s.guess(e.pick+uint64(e.done)), 0)
		}
		e.done++
		e.count--
	}
	switch r := e.rng.IntN(10); {
	case n >= 20:
		s.do(opTooMany, 900, span{}, 0)
		s.do(opEnd, 1, span{}, 0)
	case r < 2:
		s.do(opLost, 400, span{}, cmdRcpt)
		s.do(opEnd, 1, span{}, 0)
	case r < 5 || last == opRcptOK:
		s.do(opRset, 50, span{}, 0)
		s.do(opQuit, 40, span{}, 0)
	default:
		s.do(opQuit, 50, span{}, 0)
	}
	e.rest(w, s)
}

// campaign is how many members of a botnet work through one dictionary with one HELO name.
const campaign = 400

func planBotnet(w *world, e *entity) float64 {
	e.count = 1 + int32(e.rng.IntN(3))
	e.v6 = e.rng.IntN(20) == 0
	c := rand.New(rand.NewPCG(w.seedOf(botnet, e.index/campaign, 3), 0))
	span := float64(w.end - w.begin)
	lasts := min(span, 6*hour)
	e.at = w.begin + int64(c.Float64()*(span-lasts)+lasts*e.rng.Float64())
	e.pick = c.Uint64N(1<<20) + uint64(e.index%campaign)*3
	e.style = uint8(c.Uint32())&0x30 | e.style&0xcf
	e.gap = 10 * minute
	return float64(e.count) * 3.25
}

func actBotnet(w *world, e *entity, s *session) {
	e.per = 1
	actHarvest(w, e, s)
}

func planSpammer(w *world, e *entity) float64 {
	e.count = e.lognormal(8, 1, 1, 200)
	e.gap = (1 + 39*e.rng.Float64()) * minute
	e.v6 = e.rng.IntN(10) == 0
	w.start(e, float64(e.count)*e.gap)
	if e.style&128 == 0 {
		return float64(e.count) * 3
	}
	return float64(e.count) * 5
}

// actSpammer sends what nobody wants: refused at RCPT because a block list has the client, or after DATA by the filter.
func actSpammer(w *world, e *entity, s *session) {
	e.dress(s)
	s.do(opHelo, 90, span{}, 0)
	s.do(opMail, 60, e.sender(s), 0)
	if e.style&128 == 0 {
		s.do(opRefused, 200, s.valid(e.rng.Uint64()), 0)
	} else {
		s.do(opRcptOK, 120, s.valid(e.rng.Uint64()), 0)
		s.do(opSpam, 900, span{}, 1_500+e.rng.IntN(30_000))
	}
	s.do(opQuit, 50, span{}, 0)
	e.count--
	e.rest(w, s)
}

func planGuesser(w *world, e *entity) float64 {
	e.count = e.lognormal(60, .8, 14, 1_500)
	e.gap = (4 + 16*e.rng.Float64()) * second
	e.v6 = e.rng.IntN(10) == 0
	w.start(e, float64(e.count)*(e.gap+second))
	return float64(e.count) * 3.5
}

// actGuesser tries one password: of another user each time, and of the same again after sixty.
func actGuesser(w *world, e *entity, s *session) {
	e.dress(s)
	s.service = svcSubmission
	s.do(opHelo, 80, span{}, 0)
	s.do(opAuthFail, 700, s.valid(e.pick+uint64(e.done%60)), int(e.style&3))
	if e.rng.IntN(2) == 0 {
		s.do(opLost, 60, span{}, cmdAuth)
		s.do(opEnd, 1, span{}, 0)
	} else {
		s.do(opQuit, 60, span{}, 0)
	}
	e.done++
	e.count--
	e.rest(w, s)
}

func planFlooder(w *world, e *entity) float64 {
	e.count = e.lognormal(400, .8, 140, 20_000)
	e.gap = (60 + 220*e.rng.Float64()) * float64(time.Millisecond)
	e.v6 = e.rng.IntN(10) == 0
	w.start(e, float64(e.count)*e.gap)
	return float64(e.count) * 2.5
}

// actFlooder connects and says nothing, whether or not the connections before are still open.
func actFlooder(_ *world, e *entity, s *session) {
	e.dress(s)
	if e.rng.IntN(2) == 0 {
		s.do(opLost, 1_500, span{}, cmdConnect)
	}
	s.do(opEnd, 500, span{}, 0)
	e.count--
	e.at += int64(e.gap * (.5 + e.rng.Float64()))
	if e.count <= 0 {
		e.at = -1
	}
}

func planBackscatter(w *world, e *entity) float64 {
	e.count = int32(min(200, 1/max(.005, 1-e.rng.Float64()))) // Pareto, with exponent 1
	e.gap = (1 + 29*e.rng.Float64()) * minute
	w.start(e, float64(e.count)*e.gap)
	return float64(e.count) * 3
}

// actBackscatter returns mail that it got in the name of somebody who doesn't exist here. It is somebody's real server.
func actBackscatter(w *world, e *entity, s *session) {
	e.business(s, "mta")
	s.addr = hostV4(e.class, e.index)
	s.do(opHelo, 80, span{}, 0)
	s.do(opMail, 60, span{}, 0)
	s.do(opUnknown, 120, s.guess(e.rng.Uint64N(1<<30)), 0)
	s.do(opQuit, 50, span{}, 0)
	e.count--
	e.rest(w, s)
}
