package loggen

import "strconv"

// How many entities of each harmless class there are.
const (
	partners    = 220
	pools       = 3  // of big providers
	poolSize    = 12 // addresses in each
	newsletters = 8
	typists     = 15
	offices     = 4
)

// atPeak is the mean gap at the busiest hour, in nanoseconds, of something that happens so often a day.
func (w *world) atPeak(perDay float64) float64 { return 24 * hour * .56 / max(perDay*w.good, 1e-6) }

// monitorGap is the time between a monitor's connections: half a minute, and more where a monitor would fill the log.
func (w *world) monitorGap() float64 {
	gap := 30 * second
	if w.cfg.Lines > 0 {
		gap = max(gap, float64(w.end-w.begin)*w.format.monitor[1]/(float64(w.cfg.Lines)/50))
	}
	return gap
}

// business gives the session the reverse name and the HELO name of a host of some firm.
func (e *entity) business(s *session, host string) {
	lo := len(s.buf)
	s.buf = append(append(s.buf, host...), '.')
	s.buf = append(append(s.buf, businesses[e.pick%uint64(len(businesses))]...), '-')
	s.buf = strconv.AppendUint(s.buf, uint64(e.index), 10)
	s.buf = append(s.buf, ".example"...)
	s.name = s.since(lo)
	s.helo = s.name
}

// domain is the part of the HELO name behind its first label.
func (s *session) domain() []byte {
	name := s.get(s.helo)
	for i, c := range name {
		if c == '.' {
			return name[i+1:]
		}
	}
	return name
}

func (s *session) person(k uint64) span {
	domain := s.domain()
	lo := len(s.buf)
	s.buf = appendPerson(s.buf, k, domain)
	return s.since(lo)
}

func (e *entity) size() int { return int(e.lognormal(9_000, 1.2, 700, 20_000_000)) }

// message has one message to n recipients sent and delivered.
func (e *entity) message(s *session, from span, n int) {
	s.do(opMail, 60, from, 0)
	k := e.rng.Uint64()
	for i := range n {
		s.do(opRcptOK, 90, s.valid(k+uint64(i)*7), 0)
	}
	s.do(opData, 600, span{}, e.size())
}

func (e *entity) hello(s *session, tls bool) {
	s.do(opHelo, 90, span{}, 0)
	if tls {
		s.do(opTLS, 120, span{}, 0)
	}
}

func planPartner(w *world, e *entity) float64 {
	const harmonic = 5.97 // the sum of 1/k for k up to 220
	e.gap = w.atPeak(1_700 * .6 / harmonic / float64(e.index+1))
	e.at = w.begin
	e.v6 = e.index%9 == 4
	e.later(w)
	return 0
}

// actPartner writes to one or a few people; once in a hundred and forty the address is mistyped.
func actPartner(w *world, e *entity, s *session) {
	e.business(s, "mail")
	s.addr = hostV4(e.class, e.index)
	if e.v6 {
		s.addr = hostV6(e.class, e.index, 0x25)
	}
	e.hello(s, e.style&3 != 0)
	from := s.person(e.rng.Uint64())
	if e.rng.IntN(140) == 0 {
		s.do(opMail, 60, from, 0)
		lo := len(s.buf)
		s.buf = appendTypo(s.buf, e.rng.Uint64())
		s.do(opUnknown, 90, s.since(lo), 0)
	} else {
		e.message(s, from, 1+e.rng.IntN(5)/4)
	}
	s.do(opQuit, 40, span{}, 0)
	e.later(w)
}

func planProvider(w *world, e *entity) float64 {
	e.gap = w.atPeak(1_700 * .25 / pools)
	e.at = w.begin
	e.later(w)
	return 0
}

// actProvider sends from one of the pool's addresses; one message in thirty is spam and one address in a hundred wrong.
func actProvider(w *world, e *entity, s *session) {
	k := e.rng.IntN(poolSize)
	lo := len(s.buf)
	s.buf = append(s.buf, "out"...)
	s.buf = strconv.AppendInt(s.buf, int64(k), 10)
	s.buf = append(s.buf, ".bigmail"...)
	s.buf = strconv.AppendUint(s.buf, uint64(e.index), 10)
	s.buf = append(s.buf, ".example"...)
	s.name = s.since(lo)
	s.helo = s.name
	s.src, s.addr = int32(k), poolV4(e.class, e.index, 16+k)
	e.hello(s, true)
	from := s.person(e.rng.Uint64())
	switch r := e.rng.IntN(300); {
	case r < 10:
		s.do(opMail, 60, from, 0)
		s.do(opRcptOK, 90, s.valid(e.rng.Uint64()), 0)
		s.do(opSpam, 900, span{}, e.size())
	case r < 13:
		s.do(opMail, 60, from, 0)
		lo := len(s.buf)
		s.buf = appendTypo(s.buf, e.rng.Uint64())
		s.do(opUnknown, 90, s.since(lo), 0)
	default:
		e.message(s, from, 1)
	}
	s.do(opQuit, 40, span{}, 0)
	e.later(w)
}

func planNewsletter(w *world, e *entity) float64 {
	e.per = 40 + int32(e.rng.IntN(40)) // readers
	e.gap = 6 * second
	e.at = w.begin + int64(e.rng.Float64()*min(24*hour, float64(w.end-w.begin)))
	e.pick = e.rng.Uint64N(1 << 16)
	return 0
}

// actNewsletter writes to the next reader of the list, one session each. Three of ten have left; the list begins with
// some who haven't. The next issue comes after a day or so, and fewer of them where there is little good mail.
func actNewsletter(w *world, e *entity, s *session) {
	e.business(s, "lists")
	s.addr = hostV4(e.class, e.index)
	e.hello(s, true)
	lo := len(s.buf)
	s.buf = append(append(s.buf, "bounces@"...), s.domain()...)
	from := s.since(lo)
	if r := e.done % 10; r == 4 || r == 7 || r == 9 {
		s.do(opMail, 60, from, 0)
		lo = len(s.buf)
		s.buf = appendDead(s.buf, e.pick+uint64(e.done))
		s.do(opUnknown, 90, s.since(lo), 0)
	} else {
		s.do(opMail, 60, from, 0)
		s.do(opRcptOK, 90, s.valid(e.pick+uint64(e.done)), 0)
		s.do(opData, 600, span{}, 48_000)
	}
	s.do(opQuit, 40, span{}, 0)
	e.done++
	e.count = 1
	e.rest(w, s)
	if e.done == e.per {
		e.done = 0
		e.at += int64((20 + 8*e.rng.Float64()) * hour / min(1, w.good))
	}
}

func planTypist(w *world, e *entity) float64 {
	e.gap = 25 * minute / min(1, w.good)
	e.count = 40
	w.start(e, 18*hour)
	return 0
}

// actTypist has a wrong address in a message that is sent again and again, and a right one in the next.
func actTypist(w *world, e *entity, s *session) {
	e.business(s, "smtp")
	s.addr = hostV4(e.class, e.index)
	e.hello(s, false)
	from := s.person(e.pick)
	if e.done%8 == 0 {
		e.message(s, from, 1)
	} else {
		s.do(opMail, 60, from, 0)
		lo := len(s.buf)
		s.buf = appendTypo(s.buf, e.pick)
		s.do(opUnknown, 90, s.since(lo), 0)
	}
	s.do(opQuit, 40, span{}, 0)
	e.done++
	e.count--
	e.rest(w, s)
}

func planOffice(w *world, e *entity) float64 {
	e.gap = w.atPeak(40)
	e.at = w.begin
	e.later(w)
	return 0
}

// actOffice has one of twelve colleagues behind one address send a message. Once they have, some mistype a password or
// two; and once in a while a new rule has everybody do so, within a few minutes.
func actOffice(w *world, e *entity, s *session) {
	e.business(s, "nat")
	s.addr = hostV4(e.class, e.index)
	s.helo = s.put("[192.168.1." + strconv.Itoa(20+e.rng.IntN(60)) + "]")
	s.service = svcSubmission
	e.hello(s, true)
	lo := len(s.buf)
	s.buf = appendValid(s.buf, e.pick+e.rng.Uint64N(12))
	user := s.since(lo)
	if e.good >= 3 && (e.burst > 0 || e.rng.IntN(6) == 0) {
		for range 1 + e.rng.IntN(2) {
			s.do(opAuthFail, 4_000, user, 3)
		}
	}
	if e.burst > 0 {
		e.burst--
		s.do(opQuit, 40, span{}, 0)
		e.at += int64((20 + 20*e.rng.Float64()) * second)
		return
	}
	e.good++
	s.do(opAuthOK, 300, user, 0)
	s.do(opMail, 60, user, 0)
	lo = len(s.buf)
	s.buf = append(s.buf, "einkauf@"...)
	s.buf = append(append(s.buf, businesses[e.rng.IntN(len(businesses))]...), "-1.example"...)
	s.do(opRcptOK, 90, s.since(lo), 0)
	s.do(opData, 500, span{}, e.size())
	s.do(opQuit, 40, span{}, 0)
	if e.good >= 3 && e.rng.IntN(60) == 0 {
		e.burst = 14
		e.at += int64(40 * second)
		return
	}
	e.later(w)
}

func planMonitor(w *world, e *entity) float64 {
	e.gap = w.monitorGap()
	e.at = w.begin + int64(e.rng.Float64()*second)
	rows := w.format.monitor[0]
	if e.style&1 == 0 {
		rows = w.format.monitor[1]
	}
	return float64(w.end-w.begin) / e.gap * rows
}

// actMonitor looks whether the server answers.
func actMonitor(_ *world, e *entity, s *session) {
	s.name = s.put("monitor.kontor.example")
	s.helo = s.name
	s.addr = hostV4(e.class, e.index)
	if e.style&1 == 0 {
		s.do(opHelo, 30, span{}, 0)
	}
	s.do(opQuit, 30, span{}, 0)
	e.at += int64(e.gap)
}
