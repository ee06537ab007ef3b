package loggen

import "net/netip"

// op is a step of a session: what the client did, with the server's answer.
type op uint8

const (
	opConnect  op = iota
	opTLS         // STARTTLS, and EHLO again
	opHelo        // EHLO
	opAuthFail    // AUTH as text, refused
	opAuthOK      // AUTH as text, accepted
	opMail        // MAIL FROM text; the null sender is empty
	opUnknown     // RCPT TO text, refused: no such user
	opRcptOK      // RCPT TO text, accepted
	opRefused     // RCPT TO text, refused by a block list
	opData        // a message of n bytes, accepted; it is delivered to the accepted recipients
	opSpam        // a message of n bytes, refused by the content filter
	opRset        // RSET: the transaction is given up
	opLost        // the client goes away; n is the last command, one of the cmd constants
	opTooMany     // the server hangs up: too many errors
	opQuit        // QUIT
	opEnd         // the connection has ended without QUIT
	opRelay       // RCPT TO text, refused: the server doesn't relay
	opNoise       // text is a line that no server writes
)

// noUser is set in the n of an opAuthFail when the user doesn't exist; the bits below it say how the failure is worded.
const noUser = 4

type service uint8

const (
	svcSMTP service = iota
	svcSubmission
	services
)

type span struct{ lo, hi int32 }

type step struct {
	wait int64 // nanoseconds since the step before
	text span
	n    int32
	op   op
}

// session is what one client does in one connection, neutral to the log's format. It is used again and again: its text
// lies in buf.
type session struct {
	at      int64 // when the next step is due
	begun   int64
	skew    int64 // what the clock that dates its lines is ahead
	ent     *entity
	addr    netip.Addr
	name    span // the verified reverse name, empty for none
	helo    span
	steps   []step
	buf     []byte
	next    int32 // the step that is due
	slot    int32 // its place in the world's sessions
	src     int32 // the place of its source among the entity's
	service service
	harvest bool
	waits   bool // for the answer to the step that is due
	muted   bool // the server goes on in another log: what follows isn't shown
}

func (s *session) reset(e *entity, at int64) {
	s.ent, s.at, s.next, s.src, s.service = e, at, 0, 0, svcSMTP
	s.begun, s.skew = at, 0
	s.harvest, s.waits, s.muted = false, false, false
	s.name, s.helo, s.steps, s.buf = span{}, span{}, s.steps[:0], s.buf[:0]
	s.steps = append(s.steps, step{op: opConnect})
}

func (s *session) get(t span) []byte { return s.buf[t.lo:t.hi] }

// since returns what was written to buf since it was lo bytes long.
func (s *session) since(lo int) span { return span{int32(lo), int32(len(s.buf))} }

func (s *session) put(text string) span {
	lo := len(s.buf)
	s.buf = append(s.buf, text...)
	return s.since(lo)
}

// do adds a step after a wait of ms milliseconds, half of it to one and a half times it.
func (s *session) do(o op, ms float64, text span, n int) {
	w := ms * (.5 + s.ent.rng.Float64()) * 1e6
	s.steps = append(s.steps, step{wait: int64(w), text: text, n: int32(n), op: o})
}
