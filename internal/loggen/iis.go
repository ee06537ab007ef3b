package loggen

import (
	"math/rand/v2"
	"strconv"
)

// iis renders sessions as the SMTP service of IIS logs them in the W3C extended format: a row for each command, none for
// a connection, no text of an answer. What is refused by a block list is refused with 554 here, so that the log tells it
// from an unknown recipient; authentications leave no row.
type iis struct {
	*sink
	w     *world
	rng   *rand.Rand
	stamp secondStamp
	from  []span // the sender of the transaction, by the session's slot
}

func newIIS(w *world, out *sink) renderer {
	r := &iis{sink: out, w: w, rng: rand.New(rand.NewPCG(w.cfg.Seed, 0x696973)), stamp: secondStamp{layout: "2006-01-02 15:04:05"}}
	r.endCRLF(append(r.line[:0], "#Software: Microsoft Internet Information Services 8.5"...))
	r.endCRLF(append(r.line[:0], "#Version: 1.0"...))
	r.endCRLF(r.stamp.appendTo(append(r.line[:0], "#Date: "...), w.begin))
	r.endCRLF(append(r.line[:0], "#Fields: date time c-ip cs-username s-sitename s-computername s-ip s-port cs-method cs-uri-stem cs-uri-query "+
		"sc-status sc-win32-status sc-bytes cs-bytes time-taken cs-version cs-host cs(User-Agent) cs(Cookie) cs(Referer) "...))
	return r
}

func (r *iis) job(int64, int32) int64 { return -1 }
func (r *iis) idle(int64)             {}
func (r *iis) answer(*session, *step) {} // a row is written at the answer

func (r *iis) step(s *session, st *step) int64 {
	for int(s.slot) >= len(r.from) {
		r.from = append(r.from, span{})
	}
	switch st.op {
	case opHelo:
		r.row(s, "EHLO - +", s.get(s.helo), "", 250)
	case opMail:
		r.from[s.slot] = st.text
		r.row(s, "MAIL - +FROM:<", s.get(st.text), ">", 250)
	case opUnknown:
		r.row(s, "RCPT - +TO:<", s.get(st.text), ">", 550)
	case opRefused:
		r.row(s, "RCPT - +TO:<", s.get(st.text), ">", 554)
	case opRelay:
		r.row(s, "RCPT - +TO:<", s.get(st.text), ">", 550)
	case opNoise:
		r.endCRLF(append(r.line[:0], s.get(st.text)...))
	case opRcptOK:
		r.row(s, "RCPT - +TO:<", s.get(st.text), ">", 250)
	case opData:
		r.data(s, 250)
	case opSpam:
		r.data(s, 550)
	case opRset:
		r.row(s, "RSET - -", nil, "", 250)
	case opQuit:
		r.row(s, "QUIT - ", s.get(s.helo), "", 240)
	}
	return 0
}

// data writes the row of a message; its argument is the message's id.
func (r *iis) data(s *session, status int64) {
	var id [64]byte
	b := strconv.AppendUint(id[:0], r.rng.Uint64(), 36)
	b = append(b, '@')
	r.row(s, "DATA - +<", append(b, domainOf(s.get(r.from[s.slot]), r.w.cfg.Host)...), ">", status)
}

// row writes what a command was and how it was answered.
func (r *iis) row(s *session, command string, argument []byte, end string, status int64) {
	b := append(r.stamp.appendTo(r.line[:0], s.at), ' ')
	b = append(s.addr.AppendTo(b), ' ')
	if helo := s.get(s.helo); len(helo) > 0 {
		b = append(b, helo...)
	} else {
		b = append(b, '-')
	}
	b = append(append(append(b, " SMTPSVC1 "...), r.w.cfg.Host...), " 240.0.0.10 0 "...)
	size := len(command) + len(argument) + len(end) - 3
	b = append(append(append(append(b, command...), argument...), end...), ' ')
	b = append(strconv.AppendInt(b, status, 10), " 0 "...)
	b = append(strconv.AppendUint(b, 24+r.rng.Uint64N(40), 10), ' ')
	b = append(strconv.AppendInt(b, int64(size), 10), ' ')
	b = strconv.AppendUint(b, r.rng.Uint64N(200), 10)
	r.endCRLF(append(b, " SMTP - - - -"...))
}
