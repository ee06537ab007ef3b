package loggen

import (
	"math"
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

// wordList lets half of the harvesters begin near the start of one of four word lists, and the others anywhere.
func (e *entity) wordList() {
	if e.style&8 != 0 {
		e.pick = e.pick%4<<18 + e.pick>>2%200
	}
}

func planFast(w *world, e *entity) float64 {
	per := [...]int32{1, 1, 1, 1, 1, 2, 2, 3, 4, 6, 20}
	e.per = per[e.rng.IntN(len(per))]
	e.count = e.lognormal(114, 1.2, 4, 20_000)          // with a mean of 234
	rate := .2 * math.Exp(e.rng.Float64()*math.Log(50)) // tries a second, up to 10
	e.rush = float32(min(1, 2.5/rate))
	e.gap = float64(e.per) / rate * second
	e.v6 = e.rng.IntN(8) == 0
	e.wordList()
	sessions := float64(e.count) / float64(e.per)
	w.start(e, sessions*e.gap)
	return float64(e.count) + sessions*(2.3+.02*float64(e.per))
}

func planSlow(w *world, e *entity) float64 {
	e.per, e.rush = 1, 1
	e.gap = 2 * minute * math.Exp(e.rng.Float64()*math.Log(30)) // up to an hour
	e.count = 18 + int32(min(2_000, (.3+3.7*e.rng.Float64())*24*hour/e.gap))
	e.v6 = e.rng.IntN(6) == 0
	e.wordList()
	w.start(e, float64(e.count)*e.gap)
	e.fit(w)
	return float64(e.count) * 3.3
}

// fit gives up the sessions that would come after the end, about.
func (e *entity) fit(w *world) {
	e.count = min(e.count, 1+int32(max(0, float64(w.end-e.at))/e.gap))
}

func planEvader(w *world, e *entity) float64 {
	e.per, e.count, e.rush = 8, e.lognormal(114, 1.2, 32, 4_000), 1 // with a mean of 230
	e.gap = (5 + 35*e.rng.Float64()) * second
	e.wordList()
	w.start(e, float64(e.count)/8*(e.gap+second))
	return float64(e.count) * (1 + 2.5/8)
}

// actHarvest tries the next recipients of the dictionary. A fast or slow harvester hits an address that exists once in
// fifty, an evader takes care to ask for one with every fourth; none of them ever sends a message.
func actHarvest(w *world, e *entity, s *session) {
	e.costume(s)
	e.try(w, s)
}

// costume gives a session of a harvester its looks.
func (e *entity) costume(s *session) {
	switch e.class {
	case botnet:
		e.uniform(s)
	case rotator:
		e.dress(s)
		s.src = e.turn
		s.addr = poolV6(e.index, uint16(e.turn), e.rng.Uint64()|1)
		s.name = span{}
		e.turn = min(e.turn+1, 1<<16-1)
	default:
		e.dress(s)
	}
}

// try is a harvester's session behind its looks.
func (e *entity) try(w *world, s *session) {
	s.harvest = true
	rush := float64(e.rush)
	s.do(opHelo, 80*rush, span{}, 0)
	from := span{}
	if e.class == botnet {
		from = e.letterhead(s)
	} else {
		from = e.sender(s)
	}
	s.do(opMail, 60*rush, from, 0)
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
			s.do(last, 150*rush, s.valid(e.rng.Uint64()), 0)
		} else {
			s.do(last, 150*rush, s.guess(e.pick+uint64(e.done)), 0)
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
	if e.class == fast { // its pace is its own, however long the sessions last
		e.pace()
	} else {
		e.rest(w, s)
	}
}

// pace lets the entity wake again after its gap, whether or not its session has ended then.
func (e *entity) pace() {
	e.at += int64(e.gap * (.5 + e.rng.Float64()))
	if e.count <= 0 {
		e.at = -1
	}
}

func planSpammer(w *world, e *entity) float64 {
	e.count = e.lognormal(8, 1, 1, 200)
	e.gap = (1 + 39*e.rng.Float64()) * minute
	e.v6 = e.rng.IntN(10) == 0
	w.start(e, float64(e.count)*e.gap)
	if e.style&128 == 0 {
		return float64(e.count) * 3
	}
	return float64(e.count) * 3.95
}

// actSpammer sends what nobody wants: refused at RCPT because a block list has the client, or after DATA by the filter.
func actSpammer(w *world, e *entity, s *session) {
	e.dress(s)
	s.do(opHelo, 90, span{}, 0)
	s.do(opMail, 60, e.sender(s), 0)
	if e.style&128 == 0 {
		s.do(opRefused, 200, s.valid(e.rng.Uint64()), 0)
	} else if e.rng.IntN(100) < 53 { // a dirty list: every second address on it is dead
		lo := len(s.buf)
		s.buf = appendDead(s.buf, e.rng.Uint64())
		s.do(opUnknown, 120, s.since(lo), 0)
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

// user puts the k-th name that a guesser tries: of somebody real, or one from the list that everybody has.
func (e *entity) user(s *session, k uint64) (name span, flag int) {
	if e.style&128 != 0 {
		return s.valid(e.pick + k), 0
	}
	lo := len(s.buf)
	if k < uint64(len(roles)) {
		s.buf = append(append(append(s.buf, roles[k]...), '@'), ourDomains[0]...)
		return s.since(lo), noUser
	}
	return s.guess(e.pick + k), noUser
}

// actGuesser tries one password: of another user each time, and of the same again after sixty.
func actGuesser(w *world, e *entity, s *session) {
	e.dress(s)
	s.service = svcSubmission
	s.do(opHelo, 80, span{}, 0)
	name, flag := e.user(s, uint64(e.done%60))
	s.do(opAuthFail, 700, name, flag|int(e.style&3))
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
	e.pace()
}

func planBackscatter(w *world, e *entity) float64 {
	e.count = int32(min(200, math.Pow(1-e.rng.Float64(), -1/1.1))) // Pareto
	e.gap = (1 + 29*e.rng.Float64()) * minute
	w.start(e, float64(e.count)*e.gap)
	return float64(e.count) * 3
}

// actBackscatter returns mail that it got in the name of somebody who doesn't exist here. It is somebody's real server.
func actBackscatter(w *world, e *entity, s *session) {
	e.business(s, "mta")
	s.addr = hostV4(e.class, e.index)
	s.do(opHelo, 80, span{}, 0)
	if e.index%33 == 7 { // one in thirty writes to us by itself, too
		e.message(s, s.person(e.rng.Uint64()), 1)
	}
	s.do(opMail, 60, span{}, 0)
	s.do(opUnknown, 120, s.guess(e.rng.Uint64N(1<<30)), 0)
	s.do(opQuit, 50, span{}, 0)
	e.count--
	e.rest(w, s)
}
