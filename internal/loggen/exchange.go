package loggen

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// receive is what Exchange knows of one open session.
type receive struct {
	id   []byte // the session's id and a comma
	ends []byte // a comma, the endpoints, each with a comma
	why  string // why the session ended
	text string // the answer that is held back
	from span   // the sender of the transaction
	kept []span // the recipients of the client's message that were taken
	seq  uint64
	msgs uint64 // messages begun
	tos  int32  // recipients taken in the open transaction
	open bool   // MAIL was taken
}

// exchange renders sessions as Exchange's SMTP receive protocol log. A server of 2010 refuses an unknown recipient at
// RCPT. A front end of 2013 and later takes every recipient, has the back end refuse the whole message at DATA, and
// logs nothing more of a client that has authenticated; there a client who asks for several recipients sends a message
// for each, since it would learn nothing otherwise.
type exchange struct {
	*sink
	w          *world
	rng        *rand.Rand // for what Exchange makes up by itself
	stamp      secondStamp
	connectors [services]string
	host       string
	open       []receive // by the session's slot
	ids        uint64
	messages   uint64
	front      bool
}

func newReceive(w *world, out *sink) renderer  { return newExchange(w, out, false) }
func newFrontEnd(w *world, out *sink) renderer { return newExchange(w, out, true) }

func newExchange(w *world, out *sink, front bool) *exchange {
	short, _, _ := strings.Cut(w.cfg.Host, ".")
	server := strings.ToUpper(short)
	x := &exchange{sink: out, w: w, front: front, host: w.cfg.Host, rng: rand.New(rand.NewPCG(w.cfg.Seed, 0x65786368)),
		stamp: secondStamp{layout: "2006-01-02T15:04:05."}, connectors: [services]string{server + `\Internet,`, server + `\Client ` + server + ","}}
	version := "14.0.0.0"
	if front {
		version = "15.0.0.0"
		x.connectors = [services]string{server + `\Default Frontend ` + server + ",", server + `\Client Frontend ` + server + ","}
	}
	x.ids = 0x08DE000000000000 + x.rng.Uint64N(1<<40)
	x.messages = 237_172_389_052_427 + x.rng.Uint64N(1<<30)
	x.endCRLF(append(x.line[:0], "\xef\xbb\xbf#Software: Microsoft Exchange Server"...))
	x.endCRLF(append(append(x.line[:0], "#Version: "...), version...))
	x.endCRLF(append(x.line[:0], "#Log-type: SMTP Receive Protocol Log"...))
	x.endCRLF(append(x.at(append(x.line[:0], "#Date: "...), w.begin), 'Z'))
	x.endCRLF(append(x.line[:0], "#Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context"...))
	return x
}

// secondStamp writes times of whole seconds in UTC. It works out a date once a second.
type secondStamp struct {
	layout string
	text   []byte
	second int64
}

func (t *secondStamp) appendTo(b []byte, at int64) []byte {
	if sec := at / 1e9; sec != t.second || t.text == nil {
		t.second = sec
		t.text = time.Unix(sec, 0).UTC().AppendFormat(t.text[:0], t.layout)
	}
	return append(b, t.text...)
}

// at appends a time in milliseconds, without the Z.
func (x *exchange) at(b []byte, at int64) []byte {
	ms := at / 1e6 % 1000
	return append(x.stamp.appendTo(b, at), byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
}

// row begins a row; it lacks the data and the context.
func (x *exchange) row(s *session, c *receive, event byte) []byte {
	b := append(x.at(x.line[:0], s.at), 'Z', ',')
	b = append(append(b, x.connectors[s.service]...), c.id...)
	b = append(strconv.AppendUint(b, c.seq, 10), c.ends...)
	c.seq++
	return append(b, event, ',')
}

// field appends a field, quoted where it has to be.
func field(b []byte, text string) []byte {
	if !strings.ContainsAny(text, `,"`) {
		return append(b, text...)
	}
	return append(append(append(b, '"'), strings.ReplaceAll(text, `"`, `""`)...), '"')
}

// tell writes a row with data and no context; note one with both.
func (x *exchange) tell(s *session, c *receive, event byte, data string) {
	x.note(s, c, event, data, "")
}

func (x *exchange) note(s *session, c *receive, event byte, data, context string) {
	b := append(field(x.row(s, c, event), data), ',')
	x.endCRLF(field(b, context))
}

// command writes a row of what the client said: a verb, and text behind it.
func (x *exchange) command(s *session, c *receive, verb string, text []byte, end string) {
	b := append(append(append(x.row(s, c, '<'), verb...), text...), end...)
	x.endCRLF(append(b, ','))
}

const tarpit = 5 * int64(time.Second)

// holdBack has the server wait before a refusal, as it does to slow guessers down, and says how long.
func (x *exchange) holdBack(s *session, c *receive, reply string) int64 {
	c.text = reply
	why := "Tarpit for '0.00:00:05'"
	if x.front {
		why += " due to '" + reply + "'"
	}
	x.tell(s, c, '*', why)
	return tarpit
}

// answer writes the refusal that was held back.
func (x *exchange) answer(s *session, _ *step) {
	c := x.of(s)
	x.tell(s, c, '>', c.text)
}

func (x *exchange) of(s *session) *receive {
	for int(s.slot) >= len(x.open) {
		x.open = append(x.open, receive{})
	}
	return &x.open[s.slot]
}

func (x *exchange) job(int64, int32) int64 { return -1 }
func (x *exchange) idle(int64)             {}

// connect begins a session.
func (x *exchange) connect(s *session, c *receive) {
	x.ids += 1 + x.rng.Uint64N(3)
	*c = receive{id: appendHex(c.id[:0], x.ids), ends: c.ends[:0], kept: c.kept[:0], why: "Remote"}
	c.id = append(c.id, ',')
	port := ":25,"
	if s.service == svcSubmission {
		port = ":587,"
	}
	if s.addr.Is4() {
		c.ends = append(append(append(c.ends, ",240.0.0.10"...), port...), s.addr.String()...)
	} else {
		c.ends = append(append(c.ends, ",[2001:db8::10]"...), port...)
		c.ends = append(s.addr.AppendTo(append(c.ends, '[')), ']')
	}
	c.ends = append(strconv.AppendUint(append(c.ends, ':'), 1_024+x.rng.Uint64N(64_000), 10), ',')
	x.tell(s, c, '+', "")
	x.note(s, c, '*', "SMTPSubmit SMTPAcceptAnySender SMTPAcceptAuthoritativeDomainSender AcceptRoutingHeaders", "Set Session Permissions")
	b := append(append(append(x.row(s, c, '>'), `"220 `...), x.host...), " Microsoft ESMTP MAIL Service ready at "...)
	b = time.Unix(0, s.at).In(x.w.cfg.Start.Location()).AppendFormat(b, "Mon, 2 Jan 2006 15:04:05 -0700")
	x.endCRLF(append(b, '"', ','))
}

func appendHex(b []byte, n uint64) []byte {
	for shift := 60; shift >= 0; shift -= 4 {
		b = append(b, hexDigits[n>>shift&15])
	}
	return b
}

func (x *exchange) disconnect(s *session, c *receive, why string) { x.note(s, c, '-', "", why) }
