package loggen

func planCrawl(w *world, e *entity) float64 {
	e.per, e.rush = 1, 1
	e.gap = 2 * hour
	e.at = w.open + int64(e.rng.Float64()*min(24*hour, float64(w.end-w.open)/2))
	e.count = 1 << 20
	e.fit(w)
	return float64(e.count) * 3.3
}

func planBuyer(w *world, e *entity) float64 {
	e.per, e.rush = 1, 1
	e.good = 4 + int32(e.rng.IntN(3)) // messages to buy credit with
	e.count = 100 + int32(e.rng.IntN(300))
	e.gap = (20 + 15*e.rng.Float64()) * second
	w.start(e, float64(e.good)*5*hour+float64(e.count)*e.gap)
	return float64(e.count) * 3.3
}

// actBuyer delivers a few messages that nobody minds, hours apart, and harvests then.
func actBuyer(w *world, e *entity, s *session) {
	if e.good == 0 {
		actHarvest(w, e, s)
		return
	}
	e.good--
	e.dress(s)
	s.do(opHelo, 90, span{}, 0)
	e.message(s, e.sender(s), 1)
	s.do(opQuit, 40, span{}, 0)
	e.at += int64((3 + 2*e.rng.Float64()) * hour)
}

func planHog(w *world, e *entity) float64 {
	e.per = 12 + int32(e.rng.IntN(12)) // connections at once
	e.count = 110 + int32(e.rng.IntN(500))
	const holds = 150 * second
	e.gap = holds / float64(e.per)
	w.start(e, float64(e.count)*e.gap)
	return float64(e.count) * 3
}

// actHog connects, and says its name perhaps, and then nothing for minutes.
func actHog(_ *world, e *entity, s *session) {
	e.dress(s)
	last := cmdConnect
	if e.style&128 != 0 {
		s.do(opHelo, 500, span{}, 0)
		last = cmdEhlo
	}
	s.do(opLost, 150_000, span{}, last)
	s.do(opEnd, 1, span{}, 0)
	e.count--
	e.pace()
}

func planMsgflood(w *world, e *entity) float64 {
	e.count = 320 + e.lognormal(300, .8, 50, 4_000)
	e.gap = (2 + 2.5*e.rng.Float64()) * second
	w.start(e, float64(e.count)*e.gap)
	return float64(e.count) * 5
}

// actMsgflood sends the same to one mailbox after the other, and all of it is refused as spam.
func actMsgflood(_ *world, e *entity, s *session) {
	e.dress(s)
	s.do(opHelo, 90, span{}, 0)
	s.do(opMail, 60, e.sender(s), 0)
	s.do(opRcptOK, 120, s.valid(e.pick+uint64(e.count)), 0)
	s.do(opSpam, 900, span{}, 2_000+e.rng.IntN(3_000))
	s.do(opQuit, 50, span{}, 0)
	e.count--
	e.pace()
}

func planSpray(w *world, e *entity) float64 {
	e.count = 10 + int32(e.rng.IntN(50))
	e.gap = (10 + 35*e.rng.Float64()) * minute
	w.start(e, float64(e.count)*e.gap)
	e.fit(w)
	return float64(e.count) * 3.5
}

// actSpray tries a password with the next user.
func actSpray(w *world, e *entity, s *session) {
	e.dress(s)
	s.service = svcSubmission
	s.do(opHelo, 80, span{}, 0)
	name, flag := e.user(s, uint64(e.done))
	s.do(opAuthFail, 700, name, flag|int(e.style&3))
	s.do(opQuit, 60, span{}, 0)
	e.done++
	e.count--
	e.rest(w, s)
}

func planPentest(w *world, e *entity) float64 {
	e.count = 600
	e.per, e.rush = 10, 1
	w.start(e, 6*hour)
	return float64(e.count) * 5
}

// actPentest does, one after the other, what its customer ordered: an address harvest, relay attempts, password guesses
// and a few hundred connections.
func actPentest(w *world, e *entity, s *session) {
	e.dress(s)
	s.name = s.put("scan.pentest.example")
	s.helo = s.name
	s.do(opHelo, 80, span{}, 0)
	switch k := e.count; {
	case k > 570:
		s.do(opMail, 60, e.sender(s), 0)
		for range e.per {
			s.do(opUnknown, 200, s.guess(e.pick+uint64(e.done)), 0)
			e.done++
		}
	case k > 550:
		s.do(opMail, 60, e.sender(s), 0)
		lo := len(s.buf)
		s.buf = appendPerson(s.buf, uint64(k), []byte(isps[k%6]+".example"))
		s.do(opRelay, 200, s.since(lo), 0)
	case k > 450:
		s.service = svcSubmission
		name, flag := e.user(s, uint64(k))
		s.do(opAuthFail, 500, name, flag|1)
	}
	s.do(opQuit, 60, span{}, 0)
	e.gap = 3 * second
	if e.count%150 == 0 {
		e.gap = 40 * minute
	}
	e.count--
	e.rest(w, s)
}
