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

// run lets time pass until nothing is left to do.
func (w *world) run(r renderer) {
	for {
		it, ok := w.agenda.pop()
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
	e := &w.entities[it.idx]
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
	for {
		st := &s.steps[s.next]
		if s.waits {
			s.waits = false
			r.answer(s, st)
		} else {
			w.count(s, st)
			if pause := r.step(s, st); pause > 0 {
				s.waits = true
				s.at += pause
				if w.agenda.due(s.at) {
					w.agenda.push(s.at, wakeSession, s.slot)
					return
				}
				r.idle(s.at)
				continue
			}
		}
		s.next++
		if int(s.next) == len(s.steps) {
			w.idle = append(w.idle, s.slot)
			return
		}
		s.at += s.steps[s.next].wait
		if w.agenda.due(s.at) {
			w.agenda.push(s.at, wakeSession, s.slot)
			return
		}
		r.idle(s.at)
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

// count keeps the truth: what a step means, as far as the log's format shows it.
func (w *world) count(s *session, st *step) {
	if s.muted {
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
	case opRefused:
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
	for i := range w.entities {
		e := &w.entities[i]
		for k := range e.srcs {
			x := &e.srcs[k]
			if x.counts.Connects == 0 {
				continue
			}
			bits := 64
			if x.addr.Is4() {
				bits = 32
			}
			name := w.specs[e.class].name
			t.Total.add(x.counts)
			t.Sources = append(t.Sources, Source{Prefix: netip.PrefixFrom(x.addr, bits).Masked(), Class: name,
				Entity: name + "-" + strconv.Itoa(int(e.index)), Label: label(e, &x.counts), First: when(x.first), Last: when(x.last),
				Counts: x.counts})
		}
	}
	return t
}

// label says what should become of a source. What it takes to be plain is built into the classes: a fast harvester or
// an evader makes its twelve tries within half an hour, a slow one its eighteen within 15 hours, a guesser its twelve
// within eight minutes and a flooder its first 130 connects within 50 seconds.
func label(e *entity, s *Counts) Label {
	plain := false
	switch e.class {
	case fast, evader:
		plain = s.Unknown >= 12
	case slow:
		plain = s.Unknown >= 18
	case guesser:
		plain = s.AuthFails >= 14
	case flooder:
		plain = s.Connects >= 130
	case botnet, spammer:
	default:
		return MustNotBlock
	}
	if plain {
		return MustBlock
	}
	return MayBlock
}
