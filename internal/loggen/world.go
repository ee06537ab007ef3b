package loggen

import (
	"net/netip"
	"strconv"
	"time"
)

// renderer writes a session's steps and its own jobs as lines of a log.
type renderer interface {
	// step writes what the server logs of that step, at s.at. It returns how many nanoseconds the server waits with an
	// answer that is logged by itself; 0 for none. While it waits, others go on.
	step(s *session, st *step) int64
	// answer writes that answer, at s.at.
	answer(s *session, st *step)
	// job goes on with the renderer's own work number idx, and returns when it is due again, negative for never.
	job(at int64, idx int32) int64
	// idle writes what the server logs by itself up to that time.
	idle(at int64)
}

// next takes what is to happen next: who sleeps wakes before what else is due at that moment.
func (w *world) next() (item, bool) {
	if len(w.asleep) > 0 && !w.agenda.due(w.asleep[0].at-1) {
		first := w.asleep[0]
		w.asleep = w.asleep[1:]
		return item{at: first.at, idx: first.idx, what: wakeEntity}, true
	}
	return w.agenda.pop()
}

// due reports whether something is to happen before that time, or at it.
func (w *world) due(at int64) bool {
	return w.agenda.due(at) || len(w.asleep) > 0 && w.asleep[0].at <= at
}

// run lets time pass until nothing is left to do.
func (w *world) run(r renderer) {
	for !w.stopped {
		it, ok := w.next()
		if !ok {
			return
		}
		r.idle(it.at)
		switch it.what {
		case wakeEntity:
			w.wake(r, it)
		case wakeSession:
			w.advance(r, w.sessions[it.idx])
		case wakeJob:
			if next := r.job(it.at, it.idx); next >= 0 {
				w.agenda.push(max(next, it.at), wakeJob, it.idx)
			}
		}
	}
}

// wake makes an entity's next session and begins it. Sessions begin until the end of the time; those that have begun go on.
func (w *world) wake(r renderer, it item) {
	e := w.entity(it.idx)
	if it.at >= w.end {
		return
	}
	s := w.session()
	s.reset(e, it.at)
	e.at = it.at
	w.specs[e.class].act(w, e, s)
	if e.at >= 0 {
		w.agenda.push(max(e.at, it.at+1), wakeEntity, it.idx)
	}
	w.advance(r, s)
}

// advance takes the session's steps until something else is to happen first.
func (w *world) advance(r renderer, s *session) {
	for !w.stopped {
		if s.begun < w.restarted && s.at >= w.restarted {
			w.idle = append(w.idle, s.slot) // nobody is left to tell of it
			return
		}
		if pause := w.take(r, s); pause > 0 {
			s.waits = true
			s.at += pause
		} else {
			s.next++
			if int(s.next) == len(s.steps) {
				w.idle = append(w.idle, s.slot)
				return
			}
			s.at += s.steps[s.next].wait
		}
		if w.quiet>>s.steps[s.next].op&1 == 0 && w.due(s.at) {
			w.agenda.push(s.at, wakeSession, s.slot)
			return
		}
		r.idle(s.at)
	}
}

// take has a session's next step rendered, or the answer to it, by the clock that its lines are dated by.
func (w *world) take(r renderer, s *session) (pause int64) {
	st := &s.steps[s.next]
	s.at += s.skew
	if s.waits {
		s.waits = false
		r.answer(s, st)
	} else {
		w.disturb(s, st)
		w.tally(s, st)
		pause = r.step(s, st)
	}
	s.at -= s.skew
	return pause
}

// disturb changes a step while the directory is out of order: no recipient is known then, and no message comes about.
func (w *world) disturb(s *session, st *step) {
	if w.outTo == 0 || s.service != svcSMTP {
		return
	}
	switch st.op {
	case opRcptOK:
		if s.at >= w.outFrom && s.at < w.outTo {
			st.op = opUnknown
		}
	case opData, opSpam:
		for i := int(s.next) - 1; s.steps[i].op != opMail; i-- {
			if s.steps[i].op == opRcptOK {
				return
			}
		}
		st.op = opRset
	}
}

func (w *world) session() *session {
	if n := len(w.idle); n > 0 {
		s := w.sessions[w.idle[n-1]]
		w.idle = w.idle[:n-1]
		return s
	}
	s := &session{slot: int32(len(w.sessions))}
	w.sessions = append(w.sessions, s)
	return s
}

// tally keeps the truth: what a step means, as far as the log's format shows it.
func (w *world) tally(s *session, st *step) {
	if s.muted || st.op == opNoise {
		return
	}
	t := s.ent.source(s.src, s.addr)
	c := &t.counts
	if st.op == w.format.begins {
		if c.Connects == 0 {
			t.first = s.at
		}
		t.last = s.at
		c.Connects++
		w.sessionsBegun(s)
	}
	switch st.op {
	case opUnknown:
		c.Unknown++
		if s.at >= w.outFrom && s.at < w.outTo {
			t.out++
		}
	case opRefused, opRelay:
		c.Refused++
	case opAuthFail:
		if w.format.logins {
			c.AuthFails++
		}
	case opAuthOK:
		if w.format.logins && !w.format.queues {
			c.AuthOKs++
		}
	case opRcptOK:
		if w.format.queues {
			w.accepts(s, c)
		}
	case opData:
		if w.specs[s.ent.class].kind != hostile && s.ent.class != pentest {
			w.total.Good++
		}
		if !w.format.queues {
			c.Accepted++
		}
		for i := int(s.next) - 1; i >= 0 && s.steps[i].op != opMail; i-- {
			if s.steps[i].op == opRcptOK {
				c.Delivered++
			}
		}
	case opSpam:
		c.SpamRefused++
	}
}

func (w *world) sessionsBegun(s *session) {
	t := &w.total
	if t.Sessions == 0 {
		t.First = when(s.at)
	}
	w.lastBegun = s.at
	t.Sessions++
	if s.harvest {
		t.Harvests++
	}
}

func when(at int64) time.Time { return time.Unix(0, at).UTC() }

// accepts counts the first accepted recipient of a transaction: with it the message gets its queue id.
func (w *world) accepts(s *session, c *Counts) {
	for i := int(s.next) - 1; s.steps[i].op != opMail; i-- {
		if s.steps[i].op == opRcptOK {
			return
		}
	}
	c.Accepted++
	for i := range s.steps[:s.next] {
		if s.steps[i].op == opAuthOK {
			c.AuthOKs++
			return
		}
	}
}

// truth gathers what is known of all sources.
func (w *world) truth() Truth {
	t := w.total
	if t.Sessions > 0 {
		t.Last = when(w.lastBegun)
	}
	var text []byte // all entities' names, to be one string
	var ends []int
	w.eachSource(func(e *entity, _ *tally) {
		text = strconv.AppendUint(append(append(text, w.specs[e.class].name...), '-'), uint64(e.index), 10)
		ends = append(ends, len(text))
	})
	names, from := string(text), 0
	t.Sources = make([]Source, 0, len(ends))
	w.eachSource(func(e *entity, x *tally) {
		to := ends[len(t.Sources)]
		bits := 64
		if x.addr.Is4() {
			bits = 32
		}
		sp := &w.specs[e.class]
		t.Total.add(x.counts)
		t.Sources = append(t.Sources, Source{Prefix: netip.PrefixFrom(x.addr, bits).Masked(), Class: sp.name, Scenario: sp.scenario,
			Entity: names[from:to], Label: label(e, x), First: when(x.first), Last: when(x.last), Counts: x.counts})
		from = to
	})
	return t
}

// eachSource goes through the sources that connected at least once.
func (w *world) eachSource(yield func(e *entity, x *tally)) {
	for i := range int32(w.count) {
		e := w.entity(i)
		if e.main.counts.Connects > 0 {
			yield(e, &e.main)
		}
		for k := range e.more {
			if e.more[k].counts.Connects > 0 {
				yield(e, &e.more[k])
			}
		}
	}
}
