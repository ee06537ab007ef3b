package loggen

import "strconv"

// readers is how many a mailing list has; three of ten are gone.
const readers = 60

func planList(w *world, e *entity) float64 {
	e.at = w.begin + int64(e.rng.Float64()*4*hour)
	e.per = 3 // confirmations before the first issue
	e.gap = 12 * hour
	days := float64(w.end-w.begin) / (24 * hour)
	if e.class == digest {
		return days * 2 * readers * 2
	}
	return days * 2 * readers * 6
}

// actList sends the issues of a list, two a day, in the order of the alphabet: to one reader in each transaction, five
// in each session, or to all in one transaction. It has confirmed a few subscriptions before.
func actList(w *world, e *entity, s *session) {
	e.business(s, "list")
	s.addr = hostV4(e.class, e.index)
	e.hello(s, true)
	from := s.bounces()
	if e.per > 0 || e.at < w.open {
		e.per = max(e.per-1, 0)
		e.deliver(s, from, e.rng.Uint64(), appendValid)
		s.do(opQuit, 40, span{}, 0)
		e.at += int64((2 + 2*e.rng.Float64()) * hour)
		return
	}
	if e.class == digest {
		s.do(opMail, 60, from, 0)
		for j := range readers {
			e.reader(s, j)
		}
		s.do(opData, 900, span{}, 40_000)
		s.do(opQuit, 40, span{}, 0)
		e.at += int64(e.gap)
		return
	}
	for range 5 {
		s.do(opMail, 60, from, 0)
		if e.reader(s, int(e.done)) {
			s.do(opData, 500, span{}, 40_000)
		}
		e.done++
	}
	s.do(opQuit, 40, span{}, 0)
	e.at += int64((8 + 4*e.rng.Float64()) * second)
	if e.done == readers {
		e.done = 0
		e.at += int64(e.gap)
	}
}

// reader asks for a reader and says whether there is one.
func (e *entity) reader(s *session, j int) bool {
	lo := len(s.buf)
	var gone bool
	s.buf, gone = appendReader(s.buf, e.pick, j, readers)
	if gone {
		s.do(opUnknown, 60, s.since(lo), 0)
	} else {
		s.do(opRcptOK, 60, s.since(lo), 0)
	}
	return !gone
}

// A mailing by a provider of mailings: how many recipients, over how many addresses, how many of a hundred are dead, and
// how long it takes between two, in seconds.
type mailing struct {
	rcpts, hosts, dead int32
	gap                float64
}

func (e *entity) mailing() mailing {
	if e.class == newesp {
		return mailing{90, 30, 60, 40}
	}
	return mailing{300, 4, 30, 4}
}

func planBlast(w *world, e *entity) float64 {
	m := e.mailing()
	e.count = m.rcpts
	e.gap = m.gap * second
	w.start(e, float64(e.count)*e.gap)
	return float64(e.count) * 5
}

func planNewesp(w *world, e *entity) float64 { return planBlast(w, e) }

// actBlast sends a mailing to a stale list, one recipient in each session, over the addresses of a pool in turn.
func actBlast(_ *world, e *entity, s *session) {
	m := e.mailing()
	host := e.done % m.hosts
	lo := len(s.buf)
	s.buf = strconv.AppendInt(append(s.buf, "out"...), int64(host), 10)
	s.buf = append(append(s.buf, '.'), e.brand()...)
	s.buf = strconv.AppendUint(append(s.buf, '-'), uint64(e.index), 10)
	s.buf = append(s.buf, ".example"...)
	s.name = s.since(lo)
	s.helo = s.name
	s.src, s.addr = host, poolV4(e.class, e.index, 16+int(host))
	e.hello(s, true)
	from := s.bounces()
	if e.rng.Int32N(100) < m.dead {
		e.refuse(s, from, e.pick+uint64(e.done), appendGone)
	} else {
		e.deliver(s, from, e.pick+uint64(e.done), appendValid)
	}
	s.do(opQuit, 40, span{}, 0)
	e.done++
	e.count--
	e.pace()
}

// brand is the domain of a provider of mailings, without what tells one from the other.
func (e *entity) brand() string {
	if e.class == newesp {
		return "freshmail"
	}
	return "mailings"
}
