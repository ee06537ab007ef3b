package loggen

import (
	"math/rand/v2"
	"strconv"
)

// The commands that smtpd counts in its disconnect line, in its order (smtpd.c of Postfix 3).
const (
	ctEhlo = iota
	ctStarttls
	ctAuth
	ctMail
	ctRcpt
	ctData
	ctRset
	ctQuit
	counters
)

var counterNames = [counters]string{"ehlo", "starttls", "auth", "mail", "rcpt", "data", "rset", "quit"}

// smtpd is what Postfix knows of one open session.
type smtpd struct {
	client   []byte // name[address]
	queueID  []byte // of the transaction, empty for none yet
	accepted int64  // when the transaction got it
	from     span
	rcpts    []span
	count    [counters][2]int32 // accepted, all
	proc     process
	auth     span // the authenticated user
}

// delivery is what goes on with a message after its session has had its answer.
type delivery struct {
	queueID  []byte
	from     []byte
	text     []byte // the recipients
	rcpts    []span
	accepted int64
	queued   int64
	size     int32
	next     int32 // the recipient that is due
	agent    uint8 // daemonLMTP or daemonSMTP
	cleanup  process
	proc     process
}

// postfix renders sessions as Postfix 3.7 logs them with its defaults and TLS log level 1.
type postfix struct {
	*sink
	w          *world
	stamp      stamper
	pids       pids
	rng        *rand.Rand // for what Postfix makes up by itself: queue ids, process ids
	inodes     []uint32
	smtpd      []smtpd // by the session's slot
	deliveries []delivery
	free       []int32
	anvil      anvil
}

func newPostfix(w *world, out *sink) renderer {
	p := &postfix{w: w, sink: out, rng: rand.New(rand.NewPCG(w.cfg.Seed, 0x706f7374))}
	p.stamp = stamper{form: w.cfg.Stamp, loc: w.cfg.Start.Location()}
	p.pids.rng = p.rng
	p.pids.last = 900 + p.rng.Int32N(3_000)
	p.pids.qmgr = p.pids.last - 40
	p.anvil.reset(w.begin)
	for range 512 {
		p.inodes = append(p.inodes, 0x1a000+p.rng.Uint32N(0x30000)<<2|uint32(len(p.inodes)&3))
	}
	return p
}

// head begins a line of a daemon; the sink's end ends it.
func (p *postfix) head(at int64, d daemon, pid int32) []byte {
	b := p.stamp.appendTo(p.line[:0], at)
	b = append(append(append(b, ' '), p.w.cfg.Host...), " postfix/"...)
	b = append(append(b, daemonNames[d]...), '[')
	b = strconv.AppendInt(b, int64(pid), 10)
	return append(b, "]: "...)
}

func (p *postfix) of(s *session) *smtpd {
	for int(s.slot) >= len(p.smtpd) {
		p.smtpd = append(p.smtpd, smtpd{})
	}
	return &p.smtpd[s.slot]
}

func (p *postfix) step(s *session, st *step) int64 {
	d := p.of(s)
	switch st.op {
	case opConnect:
		p.connect(s, d)
	case opTLS:
		d.tally(ctEhlo, true)
		d.tally(ctStarttls, true)
		p.tls(s, d)
	case opHelo:
		d.tally(ctEhlo, true)
	case opAuthFail:
		d.tally(ctAuth, false)
		p.authFail(s, d, st)
	case opAuthOK:
		d.tally(ctAuth, true)
		d.auth = st.text
	case opMail:
		d.tally(ctMail, true)
		d.from, d.queueID, d.rcpts = st.text, d.queueID[:0], d.rcpts[:0]
	case opUnknown, opRefused, opRelay:
		d.tally(ctRcpt, false)
		p.reject(s, d, st)
	case opRcptOK:
		d.tally(ctRcpt, true)
		d.rcpts = append(d.rcpts, st.text)
		if len(d.queueID) == 0 {
			p.accept(s, d)
		}
	case opData, opSpam:
		d.tally(ctData, st.op == opData)
		p.data(s, d, st)
	case opRset:
		d.tally(ctRset, true)
		d.queueID = d.queueID[:0]
	case opLost:
		p.lost(s, d, "lost connection after ", lostAfter[st.n])
	case opTooMany:
		p.lost(s, d, "too many errors after ", "RCPT")
	case opQuit:
		d.tally(ctQuit, true)
		p.disconnect(s, d)
	case opEnd:
		p.disconnect(s, d)
	case opNoise:
		p.end(append(p.line[:0], s.get(st.text)...))
	}
	return 0
}

func (p *postfix) answer(*session, *step) {} // Postfix writes a line at the answer, and the steps are dated by it

var lostAfter = [...]string{cmdConnect: "CONNECT", cmdEhlo: "EHLO", cmdAuth: "AUTH", cmdRcpt: "RCPT"}

func (d *smtpd) tally(command int, ok bool) {
	if ok {
		d.count[command][0]++
	}
	d.count[command][1]++
}

func daemonOf(s *session) daemon {
	if s.service == svcSubmission {
		return daemonSubmission
	}
	return daemonSMTPD
}

func (p *postfix) connect(s *session, d *smtpd) {
	client := d.client[:0]
	if name := s.get(s.name); len(name) > 0 {
		client = append(client, name...)
	} else {
		client = append(client, "unknown"...)
	}
	client = append(s.addr.AppendTo(append(client, '[')), ']')
	*d = smtpd{client: client, queueID: d.queueID[:0], rcpts: d.rcpts[:0], proc: p.pids.take(daemonOf(s), s.at)}
	p.anvil.connect(s.at, s.service, s.addr)
	p.end(append(append(p.head(s.at, daemonOf(s), d.proc.pid), "connect from "...), client...))
}

func (p *postfix) tls(s *session, d *smtpd) {
	b := append(p.head(s.at, daemonOf(s), d.proc.pid), "Anonymous TLS connection established from "...)
	b = append(b, d.client...)
	b = append(b, ": TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519"...)
	p.end(append(b, " server-signature RSA-PSS (2048 bits) server-digest SHA256"...))
}

var authReasons = [4]string{"LOGIN authentication failed: UGFzc3dvcmQ6, sasl_username=", "LOGIN authentication failed: authentication failure, sasl_username=",
	"PLAIN authentication failed: authentication failure, sasl_username=", "PLAIN authentication failed: (reason unavailable), sasl_username="}

func (p *postfix) authFail(s *session, d *smtpd, st *step) {
	b := append(append(p.head(s.at, daemonOf(s), d.proc.pid), "warning: "...), d.client...)
	b = append(append(b, ": SASL "...), authReasons[st.n&3]...)
	p.end(append(b, s.get(st.text)...))
}

func (p *postfix) reject(s *session, d *smtpd, st *step) {
	b := p.head(s.at, daemonOf(s), d.proc.pid)
	if len(d.queueID) > 0 {
		b = append(b, d.queueID...)
	} else {
		b = append(b, "NOQUEUE"...)
	}
	b = append(append(b, ": reject: RCPT from "...), d.client...)
	to := s.get(st.text)
	switch st.op {
	case opUnknown:
		b = append(append(b, ": 550 5.1.1 <"...), to...)
		b = append(b, ">: Recipient address rejected: User unknown in local recipient table"...)
	case opRelay:
		b = append(append(append(b, ": 554 5.7.1 <"...), to...), ">: Relay access denied"...)
	default:
		b = s.addr.AppendTo(append(b, ": 554 5.7.1 Service unavailable; Client host ["...))
		b = append(b, "] blocked using zen.dnsbl.example; https://dnsbl.example/query/"...)
		b = s.addr.AppendTo(b)
	}
	p.end(d.whatsUp(s, b, to))
}

// whatsUp appends what every refusal ends with.
func (d *smtpd) whatsUp(s *session, b, to []byte) []byte {
	b = append(append(b, "; from=<"...), s.get(d.from)...)
	b = append(append(b, "> to=<"...), to...)
	return append(append(append(b, "> proto=ESMTP helo=<"...), s.get(s.helo)...), '>')
}

func (p *postfix) accept(s *session, d *smtpd) {
	d.queueID = p.appendQueueID(d.queueID[:0], s.at)
	d.accepted = s.at
	b := append(p.head(s.at, daemonOf(s), d.proc.pid), d.queueID...)
	b = append(append(b, ": client="...), d.client...)
	if user := s.get(d.auth); len(user) > 0 {
		b = append(append(b, ", sasl_method=PLAIN, sasl_username="...), user...)
	}
	p.end(b)
}

func (p *postfix) lost(s *session, d *smtpd, what, command string) {
	b := append(append(p.head(s.at, daemonOf(s), d.proc.pid), what...), command...)
	p.end(append(append(b, " from "...), d.client...))
}

func (p *postfix) disconnect(s *session, d *smtpd) {
	b := append(append(p.head(s.at, daemonOf(s), d.proc.pid), "disconnect from "...), d.client...)
	var ok, all int32
	for i, c := range d.count {
		if c[1] == 0 {
			continue
		}
		b = appendCount(append(append(b, ' '), counterNames[i]...), c[0], c[1], false)
		ok += c[0]
		all += c[1]
	}
	p.end(appendCount(append(b, " commands"...), ok, all, all == 0))
	p.pids.give(d.proc, s.at)
	d.proc = process{}
}

func appendCount(b []byte, ok, all int32, both bool) []byte {
	b = strconv.AppendInt(append(b, '='), int64(ok), 10)
	if ok != all || both {
		b = strconv.AppendInt(append(b, '/'), int64(all), 10)
	}
	return b
}
