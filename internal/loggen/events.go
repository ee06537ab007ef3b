package loggen

import (
	"fmt"
	"net/netip"

	"github.com/harvestwatch/harvestwatch"
)

// Events makes the same traffic as Generate and gives it to yield as events, in the order of time (but for the class
// "clock", whose events come late), as the log of a Postfix that left nothing out would tell them: a message is accepted
// with its first recipient, and delivered to each of them a little later. It returns the truth about what was told, with
// Lines and Bytes 0. It ends early, without an error, when yield returns false; the truth is then about what was told
// until then. Format and Stamp of cfg mean nothing here. Lines of the class "malformed" tell nothing.
//
// An event and its texts belong to Events and change when yield returns; Event.Clone keeps them. Every event has Time,
// Session, Pos (numbered through), Addr, Name where the client has a verified name, and Helo once it has said one. The
// error wraps ErrConfig.
func Events(cfg Config, yield func(ev *harvestwatch.Event) bool) (Truth, error) {
	cfg.Format, cfg.Stamp = "", StampRFC3339
	cfg, err := cfg.withDefaults()
	if err != nil {
		return Truth{}, err
	}
	f, ok := formatOf(cfg.Format)
	if !ok {
		return Truth{}, fmt.Errorf("%w: there is no format %q", ErrConfig, cfg.Format)
	}
	w := newWorld(cfg, f)
	t := newTeller(w, yield)
	w.quiet = 1<<opHelo | 1<<opTLS | 1<<opMail | 1<<opRset
	w.run(t)
	truth := w.truth()
	truth.Events = t.ev.Pos.Line
	return truth, nil
}

// talk is what a teller knows of one open session.
type talk struct {
	id       uint64
	began    int64
	accepted int64 // when the open transaction got its queue id, 0 for not yet
	from     span
	rcpts    []span
	auth     span
	helo     bool // the client has said its name
	mail     bool // it has given MAIL
	sender   bool // a transaction is open
}

// errand is a message on its way to its recipients.
type errand struct {
	addr     netip.Addr
	id       uint64
	accepted int64
	text     []byte // reverse name, HELO name, user, sender, recipients
	name     span
	helo     span
	user     span
	from     span
	rcpts    []span
	next     int32
}

// teller renders sessions as events.
type teller struct {
	w       *world
	yield   func(*harvestwatch.Event) bool
	ev      harvestwatch.Event
	open    []talk // by the session's slot
	errands []errand
	free    []int32
	ids     uint64
}

func newTeller(w *world, yield func(*harvestwatch.Event) bool) *teller {
	return &teller{w: w, yield: yield, ids: mix64(w.cfg.Seed) >> 16 << 8}
}

func (t *teller) answer(*session, *step) {}
func (t *teller) idle(int64)             {}

func (t *teller) of(s *session) *talk {
	for int(s.slot) >= len(t.open) {
		t.open = append(t.open, talk{})
	}
	return &t.open[s.slot]
}

// begin makes t.ev an event of a session.
func (t *teller) begin(s *session, d *talk, k harvestwatch.Kind, code uint16) *harvestwatch.Event {
	ev := &t.ev
	pos := ev.Pos
	*ev = harvestwatch.Event{}
	ev.Time, ev.Session, ev.Addr, ev.Pos, ev.Kind, ev.Code, ev.Name = s.at, d.id, s.addr, pos, k, code, s.some(s.name)
	if d.helo {
		ev.Helo = s.some(s.helo)
	}
	return ev
}

// send gives t.ev away.
func (t *teller) send() {
	t.ev.Pos.Offset = t.ev.Pos.Line
	t.ev.Pos.Line++
	if !t.yield(&t.ev) {
		t.w.stopped = true
	}
}

// about adds the transaction's sender to t.ev.
func (t *teller) about(s *session, d *talk) {
	if d.sender {
		t.ev.Sender = s.get(d.from)
		t.ev.Null = len(t.ev.Sender) == 0
	}
}

// some returns a text, nil where it is empty.
func (s *session) some(x span) []byte {
	if x.hi == x.lo {
		return nil
	}
	return s.buf[x.lo:x.hi:x.hi]
}

func (t *teller) step(s *session, st *step) int64 {
	d := t.of(s)
	switch st.op {
	case opConnect:
		t.ids++
		*d = talk{id: t.ids, began: s.at, rcpts: d.rcpts[:0]}
		t.begin(s, d, harvestwatch.Connect, 0)
		t.send()
	case opTLS, opHelo:
		d.helo = true
		d.sender = false
	case opMail:
		d.mail, d.sender, d.from, d.accepted, d.rcpts = true, true, st.text, 0, d.rcpts[:0]
	case opUnknown, opRefused, opRelay, opRcptOK:
		t.recipient(s, d, st)
	case opData:
		t.queue(s, d)
		d.endTransaction()
	case opSpam:
		t.begin(s, d, harvestwatch.SpamRefused, 550).Status = harvestwatch.Enhanced{5, 7, 1}
		t.about(s, d)
		if n := len(d.rcpts); n > 0 {
			t.ev.Recipient = s.get(d.rcpts[n-1])
		}
		t.send()
		d.endTransaction()
	case opRset:
		d.endTransaction()
	case opAuthFail, opAuthOK:
		t.login(s, d, st)
	case opLost, opTooMany:
		t.begin(s, d, harvestwatch.ProtocolError, 0)
		t.send()
	case opQuit, opEnd:
		t.begin(s, d, harvestwatch.Disconnect, 0)
		t.ev.Began, t.ev.Idle = d.began, !d.mail
		t.send()
	}
	return 0
}

func (d *talk) endTransaction() { d.sender, d.accepted, d.rcpts = false, 0, d.rcpts[:0] }

func (t *teller) recipient(s *session, d *talk, st *step) {
	k, code, status := harvestwatch.RcptUnknown, uint16(550), harvestwatch.Enhanced{5, 1, 1}
	switch st.op {
	case opRefused:
		k, code, status = harvestwatch.RcptRefused, 554, harvestwatch.Enhanced{5, 7, 1}
	case opRelay:
		k, code, status = harvestwatch.RcptRelayDenied, 554, harvestwatch.Enhanced{5, 7, 1}
	case opRcptOK:
		k, code, status = harvestwatch.RcptOK, 250, harvestwatch.Enhanced{2, 1, 5}
	}
	ev := t.begin(s, d, k, code)
	ev.Status, ev.Recipient, ev.Listed = status, s.get(st.text), st.op == opRefused
	t.about(s, d)
	t.send()
	if st.op != opRcptOK {
		return
	}
	d.rcpts = append(d.rcpts, st.text)
	if d.accepted == 0 {
		d.accepted = s.at
		t.begin(s, d, harvestwatch.Accepted, 0)
		t.about(s, d)
		t.ev.User = s.some(d.auth)
		t.send()
	}
}

func (t *teller) login(s *session, d *talk, st *step) {
	if st.op == opAuthOK {
		d.auth = st.text
		t.begin(s, d, harvestwatch.AuthOK, 235)
	} else {
		t.begin(s, d, harvestwatch.AuthFail, 535).NoUser = st.n&noUser != 0
	}
	t.ev.User = s.get(st.text)
	t.send()
}

// queue sends a message on its way. What follows is told by job.
func (t *teller) queue(s *session, d *talk) {
	idx := int32(len(t.errands))
	if n := len(t.free); n > 0 {
		idx, t.free = t.free[n-1], t.free[:n-1]
	} else {
		t.errands = append(t.errands, errand{})
	}
	m := &t.errands[idx]
	*m = errand{addr: s.addr, id: d.id, accepted: d.accepted, text: m.text[:0], rcpts: m.rcpts[:0]}
	m.name, m.helo, m.user, m.from = m.keep(s.get(s.name)), m.keep(s.get(s.helo)), m.keep(s.some(d.auth)), m.keep(s.get(d.from))
	for _, r := range d.rcpts {
		m.rcpts = append(m.rcpts, m.keep(s.get(r)))
	}
	t.w.agenda.push(s.at+queueTime(m.accepted, s.at)+deliveryTime(m.accepted, 0), wakeJob, idx)
}

func (m *errand) keep(text []byte) span {
	lo := len(m.text)
	m.text = append(m.text, text...)
	return span{int32(lo), int32(len(m.text))}
}

// get returns a text, nil where it is empty.
func (m *errand) get(x span) []byte {
	if x.hi == x.lo {
		return nil
	}
	return m.text[x.lo:x.hi:x.hi]
}

// job tells the next delivery of a message.
func (t *teller) job(at int64, idx int32) int64 {
	m := &t.errands[idx]
	if int(m.next) == len(m.rcpts) {
		t.free = append(t.free, idx)
		return -1
	}
	t.ev = harvestwatch.Event{Time: at, Began: m.accepted, Session: m.id, Addr: m.addr, Pos: t.ev.Pos, Kind: harvestwatch.Delivered,
		Status: harvestwatch.Enhanced{2, 0, 0}, Name: m.get(m.name), Helo: m.get(m.helo), Sender: m.text[m.from.lo:m.from.hi],
		User: m.get(m.user),
		Null: m.from.hi == m.from.lo, Recipient: m.get(m.rcpts[m.next])}
	t.send()
	m.next++
	if int(m.next) == len(m.rcpts) {
		t.free = append(t.free, idx)
		return -1
	}
	return at + deliveryTime(m.accepted, m.next)
}

// queueTime is how long a message waits that was accepted and sent at those times, until it is active in the queue.
func queueTime(accepted, sent int64) int64 {
	return (5 + int64(mix64(uint64(accepted)^uint64(sent)<<1)%40)) * millisecond
}

// deliveryTime is how long it takes then to deliver a message to its k-th recipient, after the one before.
func deliveryTime(accepted int64, k int32) int64 {
	return (20 + int64(mix64(uint64(accepted)+uint64(k)<<50)%300)) * millisecond
}
