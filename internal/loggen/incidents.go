package loggen

import (
	"strconv"
	"time"
)

// What happens to the server, and who shows it.

func planMigration(w *world, e *entity) float64 {
	w.moved = w.within(.4)
	e.gap, e.per = w.atPeak(4), 10
	if e.index == 0 {
		e.gap, e.per = w.atPeak(40), 60 // whom it writes to
	}
	e.at = w.begin
	e.later(w)
	return 0
}

// actMigration writes to people at a domain that is given up one day, and goes on doing so; the first of them much.
func actMigration(w *world, e *entity, s *session) {
	e.business(s, "mail")
	s.addr = hostV4(e.class, e.index)
	e.hello(s, true)
	from := s.person(e.rng.Uint64())
	k := e.pick + e.rng.Uint64N(uint64(e.per))
	if e.at < w.moved {
		e.deliver(s, from, k, appendOld)
	} else {
		e.refuse(s, from, k, appendOld)
	}
	s.do(opQuit, 40, span{}, 0)
	e.later(w)
}

// planOutage has the directory out of order for 20 minutes: on the first working day at 10:40 behind the middle of the
// time, or in the middle if there is none.
func planOutage(w *world, e *entity) float64 {
	e.at = -1
	if !w.takesPart(e) {
		return 0
	}
	w.outFrom = w.within(.5)
	t := time.Unix(0, w.outFrom).In(w.cfg.Start.Location())
	for day := range 8 {
		x := time.Date(t.Year(), t.Month(), t.Day()+day, 10, 40, 0, 0, t.Location())
		if d := x.Weekday(); x.Before(t) || d == time.Saturday || d == time.Sunday {
			continue
		}
		if x.UnixNano() < w.end {
			w.outFrom = x.UnixNano()
		}
		break
	}
	w.outTo = w.outFrom + int64(20*minute)
	return 0
}

// planRestart has the server restarted, with all that was connected.
func planRestart(w *world, e *entity) float64 {
	e.at = -1
	if w.takesPart(e) {
		w.restarted = w.within(.7)
	}
	return 0
}

func planBackupMX(w *world, e *entity) float64 {
	e.gap = 40 * second
	e.at = w.begin + int64(e.rng.Float64()*e.gap)
	e.count = 1
	return float64(w.end-w.begin) / e.gap * 3.5
}

// actBackupMX hands on what was tried at the site's other server: harvest, mostly. One in forty is a good message.
func actBackupMX(w *world, e *entity, s *session) {
	s.name = s.put("mx2.kontor.example")
	s.helo = s.name
	s.addr = hostV4(e.class, e.index)
	e.hello(s, true)
	if e.rng.IntN(40) == 0 {
		e.message(s, e.sender(s), 1)
	} else if e.at >= w.open {
		e.refuse(s, e.sender(s), e.rng.Uint64N(1<<30), appendGuess)
	}
	s.do(opQuit, 40, span{}, 0)
	e.rest(w, s)
}

func planClock(w *world, e *entity) float64 {
	e.gap = w.atPeak(80)
	e.at = w.begin
	e.later(w)
	return 0
}

// actClock is a partner whose sessions are dated by another clock: their lines stand where they were written, with times
// up to two minutes old, and once in fifty an hour, as if summer time had ended.
func actClock(w *world, e *entity, s *session) {
	e.business(s, "mail")
	s.addr = hostV4(e.class, e.index)
	s.skew = -int64(e.rng.Float64() * 2 * minute)
	if e.rng.IntN(50) == 0 {
		s.skew = -int64(hour)
	}
	e.hello(s, true)
	e.message(s, s.person(e.rng.Uint64()), 1)
	s.do(opQuit, 40, span{}, 0)
	e.later(w)
}

func planMalformed(w *world, e *entity) float64 {
	e.gap = 10 * minute
	e.at = w.begin
	return float64(w.end-w.begin) / e.gap
}

// actMalformed has a line written that no server writes: empty, torn, or of another kind altogether.
func actMalformed(_ *world, e *entity, s *session) {
	noise := [...]string{"", " ", "\x00\x00\x00\x00\x00\x00\x00\x00", "Mar  2 09:14:", "2026-03-02T09:14:07.12", "2026-03-02T09:14:07.120Z,MX1\\Inter",
		",,,,,,,,", "\xff\xfe\xfa\x80 not a line", "2026-03-02 09:14:07 240.0.0.1 - SMTPSVC1", "segfault at 0 ip 0 sp 0 error 4 in libc"}
	s.steps = s.steps[:0]
	k := e.rng.IntN(len(noise) + 1)
	lo := len(s.buf)
	if k < len(noise) {
		s.buf = append(s.buf, noise[k]...)
	} else {
		s.buf = strconv.AppendUint(append(s.buf, "out of memory at "...), e.rng.Uint64(), 16)
	}
	s.do(opNoise, 0, s.since(lo), 0)
	e.at += int64(e.gap * (.5 + e.rng.Float64()))
}
