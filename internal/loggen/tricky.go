package loggen

import (
	"strconv"
	"time"
)

// The harmless clients that look like attackers, each as the list of scenarios has it.

// within returns a time that lies at a share of the time in which things out of the ordinary happen.
func (w *world) within(share float64) int64 { return w.open + int64(share*float64(w.end-w.open)) }

// refuse has one message to a recipient that there isn't.
func (e *entity) refuse(s *session, from span, k uint64, name func([]byte, uint64) []byte) {
	s.do(opMail, 60, from, 0)
	lo := len(s.buf)
	s.buf = name(s.buf, k)
	s.do(opUnknown, 90, s.since(lo), 0)
}

// deliver has one message to a recipient that there is.
func (e *entity) deliver(s *session, from span, k uint64, name func([]byte, uint64) []byte) {
	s.do(opMail, 60, from, 0)
	lo := len(s.buf)
	s.buf = name(s.buf, k)
	s.do(opRcptOK, 90, s.since(lo), 0)
	s.do(opData, 500, span{}, e.size())
}

// bounces puts the sender that a mailing takes its bounces at.
func (s *session) bounces() span {
	domain := s.domain()
	lo := len(s.buf)
	s.buf = append(append(s.buf, "bounces@"...), domain...)
	return s.since(lo)
}

func planPhone(w *world, e *entity) float64 {
	e.at = w.begin + int64(e.rng.Float64()*2*hour)
	e.good = 3 // what it has sent before the password changes, at least
	e.count = 288 + int32(e.rng.IntN(288))
	return float64(e.count) * 4
}

// actPhone sends a message now and then, until one day the password has changed: from then on it tries the old one every
// five minutes, for a day or two, and then knows the new one.
func actPhone(w *world, e *entity, s *session) {
	e.business(s, "dsl")
	s.name = span{}
	s.helo = s.put("[192.168.178." + strconv.Itoa(20+int(e.index)) + "]")
	s.addr = hostV4(e.class, e.index)
	s.service = svcSubmission
	e.hello(s, true)
	user := s.valid(e.pick)
	if e.good > 0 || e.at < w.within(.1) || e.count == 0 {
		e.submit(s, user)
		e.good = max(e.good-1, 0)
		e.at += int64((1 + 2*e.rng.Float64()) * hour)
		return
	}
	s.do(opAuthFail, 300, user, 3)
	s.do(opQuit, 40, span{}, 0)
	e.count--
	e.at += int64(5 * minute)
}

// submit has a user send one message to somebody outside.
func (e *entity) submit(s *session, user span) {
	s.do(opAuthOK, 300, user, 0)
	s.do(opMail, 60, user, 0)
	lo := len(s.buf)
	s.buf = append(append(append(s.buf, "einkauf@"...), businesses[e.rng.IntN(len(businesses))]...), "-1.example"...)
	s.do(opRcptOK, 90, s.since(lo), 0)
	s.do(opData, 500, span{}, e.size())
	s.do(opQuit, 40, span{}, 0)
}

func planMonday(w *world, e *entity) float64 {
	e.gap = w.atPeak(30)
	e.at = w.begin
	e.then = w.monday()
	e.later(w)
	return 0
}

// monday returns seven o'clock of the first Monday of the time in which things out of the ordinary happen, or of the
// first working day if no Monday lies in it.
func (w *world) monday() int64 {
	t := time.Unix(0, w.open).In(w.cfg.Start.Location())
	first := int64(0)
	for day := range 8 {
		x := time.Date(t.Year(), t.Month(), t.Day()+day, 7, 0, 0, 0, t.Location())
		d := x.Weekday()
		if x.Before(t) || d == time.Saturday || d == time.Sunday || x.UnixNano() > w.end-int64(5*hour) {
			continue
		}
		if d == time.Monday {
			return x.UnixNano()
		}
		if first == 0 {
			first = x.UnixNano()
		}
	}
	return first
}

// actMonday has one of six colleagues behind one address send a message. On Monday morning all their passwords have
// expired: one after the other fails several times, and then knows the new one.
func actMonday(w *world, e *entity, s *session) {
	e.business(s, "nat")
	s.addr = hostV4(e.class, e.index)
	s.helo = s.put("[192.168.1." + strconv.Itoa(20+e.rng.IntN(60)) + "]")
	s.service = svcSubmission
	e.hello(s, true)
	if e.then != 0 && e.at >= e.then {
		e.then, e.burst = 0, 12
	}
	if e.burst == 0 {
		e.submit(s, s.valid(e.pick+e.rng.Uint64N(6)))
		e.later(w)
		return
	}
	e.burst--
	user := s.valid(e.pick + uint64(e.burst/2))
	for range 2 + e.rng.IntN(2) {
		s.do(opAuthFail, 12_000, user, 3)
	}
	if e.burst%2 == 0 {
		e.submit(s, user)
	} else {
		s.do(opQuit, 40, span{}, 0)
	}
	e.at += int64((70 + 60*e.rng.Float64()) * second)
}

func planCallout(w *world, e *entity) float64 {
	e.gap = 24 * hour / 40
	e.count = 1
	e.at = w.begin + int64(e.rng.Float64()*e.gap)
	return float64(w.end-w.begin) / e.gap * 3.5
}

// actCallout asks whether a sender exists whom a message over there has named: forged ones, mostly. Once in twelve it
// brings a message.
func actCallout(w *world, e *entity, s *session) {
	e.business(s, "mx")
	s.addr = hostV4(e.class, e.index)
	e.hello(s, false)
	if e.rng.IntN(12) == 0 {
		e.message(s, s.person(e.rng.Uint64()), 1)
	} else {
		s.do(opMail, 60, span{}, 0)
		if e.rng.IntN(5) == 0 {
			s.do(opRcptOK, 90, s.valid(e.rng.Uint64()), 0)
		} else {
			s.do(opUnknown, 90, s.guess(e.rng.Uint64N(1<<30)), 0)
		}
		s.do(opRset, 40, span{}, 0)
	}
	s.do(opQuit, 40, span{}, 0)
	e.rest(w, s)
}

func planForwarder(w *world, e *entity) float64 {
	e.gap = w.atPeak(60)
	e.at = w.begin
	e.later(w)
	return 0
}

// actForwarder hands on what comes to old addresses elsewhere, spam too; one in four leads to nobody any more.
func actForwarder(w *world, e *entity, s *session) {
	e.business(s, "fwd")
	s.addr = hostV4(e.class, e.index)
	e.hello(s, true)
	from := e.sender(s)
	switch r := e.rng.IntN(20); {
	case r < 5:
		e.refuse(s, from, e.pick+e.rng.Uint64N(15), appendGone)
	case r == 5:
		s.do(opMail, 60, from, 0)
		s.do(opRcptOK, 90, s.valid(e.pick+e.rng.Uint64N(40)), 0)
		s.do(opSpam, 900, span{}, e.size())
	default:
		e.deliver(s, from, e.pick+e.rng.Uint64N(40), appendValid)
	}
	s.do(opQuit, 40, span{}, 0)
	e.later(w)
}

func planLeavers(w *world, e *entity) float64 {
	e.per = 1 + int32(e.rng.IntN(5)) // readers
	e.gap = (1 + 2*e.rng.Float64()) * 24 * hour
	e.at = w.begin + int64(e.rng.Float64()*12*hour)
	return float64(w.end-w.begin) / (24 * hour) * float64(e.per) * 3.5
}

// actLeavers sends a newsletter to a few of whom the first leaves one day, and the others have left before the log began.
func actLeavers(w *world, e *entity, s *session) {
	e.business(s, "news")
	s.addr = hostV4(e.class, e.index)
	e.hello(s, true)
	from := s.bounces()
	k := e.pick + uint64(e.done)
	if e.done > 0 {
		e.refuse(s, from, k, appendGone)
	} else if e.at >= w.within(float64(mix64(k)%100)/100) {
		e.refuse(s, from, k, appendLeaver)
	} else {
		e.deliver(s, from, k, appendLeaver)
	}
	s.do(opQuit, 40, span{}, 0)
	e.done++
	e.at += int64(20 * second)
	if e.done == e.per {
		e.done = 0
		e.at += int64(e.gap)
	}
}

func planCRM(w *world, e *entity) float64 {
	e.gap = w.atPeak(12)
	e.at = w.begin
	e.count = 180
	e.good = 6 // messages before the import
	e.turn = int32(e.rng.IntN(60))
	e.later(w)
	return 180 * 4
}

// actCRM is a partner like others, who one day writes to a customer file that he bought: 120 wrong addresses, 60 right.
func actCRM(w *world, e *entity, s *session) {
	e.business(s, "mail")
	s.addr = hostV4(e.class, e.index)
	e.hello(s, true)
	from := s.person(e.pick)
	if e.good > 0 || e.count == 0 || e.at < w.within(.2+float64(e.turn)/100) {
		e.good = max(e.good-1, 0)
		e.message(s, from, 1)
		s.do(opQuit, 40, span{}, 0)
		e.later(w)
		return
	}
	e.mixed(s, from, 120, 60)
	e.at += int64((15 + 30*e.rng.Float64()) * second)
}

// mixed writes to the next of wrong and right addresses in random order; e.count are left of them, e.burst of the wrong
// ones have been used.
func (e *entity) mixed(s *session, from span, wrong, right int32) {
	if left := wrong - e.burst; e.rng.Int32N(e.count) < left {
		e.refuse(s, from, e.pick+uint64(e.burst), appendGone)
		e.burst++
	} else {
		e.deliver(s, from, e.pick+uint64(wrong+right-e.count-e.burst), appendValid)
	}
	s.do(opQuit, 40, span{}, 0)
	e.count--
}

func planNewpartner(w *world, e *entity) float64 {
	e.count = 12
	w.start(e, 6*hour)
	return 12 * 5
}

// actNewpartner has never written before, and has five wrong addresses and seven right ones.
func actNewpartner(w *world, e *entity, s *session) {
	e.business(s, "mail")
	s.addr = hostV4(e.class, e.index)
	e.hello(s, true)
	e.mixed(s, s.person(e.pick), 5, 7)
	e.gap = 15 * minute
	e.rest(w, s)
}
