package loggen

import "strconv"

// What Exchange answers.
const (
	replyUnknown  = "550 5.1.1 User unknown"
	replyRelay    = "550 5.7.1 Unable to relay"
	replyBlocked  = "550 5.7.1 Recipient not authorized, your IP has been found on a block list"
	replySpam     = "550 5.7.1 Message rejected as spam by Content Filtering."
	replyAuthFail = "535 5.7.3 Authentication unsuccessful"
	replyReset    = "250 2.0.0 Resetting"
	replyTooMany  = "421 4.7.0 Too many errors on this connection, closing transmission channel"
)

// ehloLines are the lines of the answer to EHLO but the first. A server of 2010 has a row for each; ehloFlat is how one of
// 2013 and later writes them, behind the first.
var ehloLines = [...]string{"250-SIZE", "250-PIPELINING", "250-DSN", "250-ENHANCEDSTATUSCODES", "250-STARTTLS", "250-AUTH NTLM LOGIN",
	"250-8BITMIME", "250-BINARYMIME", "250 CHUNKING"}

const ehloFlat = " SIZE 37748736 PIPELINING DSN ENHANCEDSTATUSCODES STARTTLS X-ANONYMOUSTLS AUTH NTLM LOGIN X-EXPS GSSAPI NTLM 8BITMIME" +
	" BINARYMIME CHUNKING XRDST"

func (x *exchange) step(s *session, st *step) int64 {
	c := x.of(s)
	if s.muted && st.op != opQuit && st.op != opEnd {
		return 0
	}
	switch st.op {
	case opConnect:
		x.connect(s, c)
	case opTLS:
		x.tls(s, c)
	case opHelo:
		x.hello(s, c)
	case opAuthFail:
		return x.authFail(s, c, st)
	case opAuthOK:
		x.authOK(s, c, st)
	case opMail:
		c.kept = c.kept[:0]
		x.mail(s, c, st.text)
	case opUnknown:
		if x.front {
			x.wholeMessage(s, c, st)
		} else {
			x.to(s, c, st)
		}
		return x.holdBack(s, c, replyUnknown)
	case opRefused:
		x.to(s, c, st)
		return x.holdBack(s, c, replyBlocked)
	case opRelay:
		x.to(s, c, st)
		return x.holdBack(s, c, replyRelay)
	case opNoise:
		x.endCRLF(append(x.line[:0], s.get(st.text)...))
	case opRcptOK:
		x.taken(s, c, st)
	case opData:
		x.again(s, c)
		x.data(s, c)
		x.queued(s, c, st)
	case opSpam:
		x.again(s, c)
		x.data(s, c)
		return x.holdBack(s, c, replySpam)
	case opRset:
		x.command(s, c, "RSET", nil, "")
		c.open = false
		return x.holdBack(s, c, replyReset)
	case opLost:
		c.why = "Remote(ConnectionReset)"
	case opTooMany:
		x.tell(s, c, '>', replyTooMany)
		c.why = "TooManyErrors"
	case opQuit:
		x.quit(s, c)
	case opEnd:
		x.disconnect(s, c, c.why)
	}
	return 0
}

func (x *exchange) hello(s *session, c *receive) {
	x.command(s, c, "EHLO ", s.get(s.helo), "")
	b := x.row(s, c, '>')
	if x.front {
		b = append(b, "250  "...)
	} else {
		b = append(b, "250-"...)
	}
	b = append(append(b, x.host...), " Hello ["...)
	b = append(s.addr.AppendTo(b), ']')
	if x.front {
		b = append(b, ehloFlat...)
	}
	x.endCRLF(append(b, ','))
	if !x.front {
		for _, line := range ehloLines {
			x.tell(s, c, '>', line)
		}
	}
}

func (x *exchange) tls(s *session, c *receive) {
	x.tell(s, c, '<', "STARTTLS")
	x.tell(s, c, '>', "220 2.0.0 SMTP server ready")
	x.note(s, c, '*', "", "TLS protocol SP_PROT_TLS1_2_SERVER negotiation succeeded using bulk encryption algorithm CALG_AES_256 with strength 256 bits")
	x.hello(s, c)
}

func (x *exchange) login(s *session, c *receive) {
	x.tell(s, c, '<', "AUTH LOGIN")
	x.tell(s, c, '>', "334 <authentication response>")
	x.tell(s, c, '>', "334 <authentication response>")
}

func (x *exchange) authFail(s *session, c *receive, st *step) int64 {
	x.login(s, c)
	x.note(s, c, '*', "", "Inbound AUTH LOGIN failed because of LogonDenied")
	b := append(append(x.row(s, c, '*'), ",User Name: "...), s.get(st.text)...)
	x.endCRLF(b)
	return x.holdBack(s, c, replyAuthFail)
}

func (x *exchange) authOK(s *session, c *receive, st *step) {
	x.login(s, c)
	b := append(append(x.row(s, c, '*'), s.get(st.text)...), ",authenticated"...)
	x.endCRLF(b)
	x.tell(s, c, '>', "235 2.7.0 Authentication successful")
	if x.front {
		b = append(append(x.row(s, c, '*'), ",Proxy session was successfully set up. Session for"...), s.get(st.text)...)
		x.endCRLF(append(b, " will now be proxied"...))
		s.muted = true
	}
}

func (x *exchange) mail(s *session, c *receive, from span) {
	x.command(s, c, "MAIL FROM:<", s.get(from), ">")
	c.from, c.open, c.tos = from, true, 0
	c.msgs++
	b := append(x.row(s, c, '*'), c.id[:len(c.id)-1]...)
	b = x.at(append(b, ';'), s.at)
	b = strconv.AppendUint(append(b, "Z;"...), c.msgs, 10)
	x.endCRLF(append(b, ",receiving message"...))
	x.tell(s, c, '>', "250 2.1.0 Sender OK")
}

func (x *exchange) to(s *session, c *receive, st *step) {
	x.command(s, c, "RCPT TO:<", s.get(st.text), ">")
}

func (x *exchange) taken(s *session, c *receive, st *step) {
	if !c.open {
		x.mail(s, c, c.from)
	}
	x.to(s, c, st)
	x.tell(s, c, '>', "250 2.1.5 Recipient OK")
	c.tos++
	if x.front && st.op == opRcptOK {
		c.kept = append(c.kept, st.text)
	}
}

// again has the client ask once more for the recipients of a message that it had to give up since another one turned out
// to be unknown.
func (x *exchange) again(s *session, c *receive) {
	if !x.front || int(c.tos) == len(c.kept) && c.open {
		return
	}
	if c.open {
		x.tell(s, c, '<', "RSET")
		x.tell(s, c, '>', replyReset)
	}
	x.mail(s, c, c.from)
	for _, to := range c.kept {
		x.command(s, c, "RCPT TO:<", s.get(to), ">")
		x.tell(s, c, '>', "250 2.1.5 Recipient OK")
	}
	c.tos = int32(len(c.kept))
}

// data begins a message.
func (x *exchange) data(s *session, c *receive) {
	x.tell(s, c, '<', "DATA")
	x.tell(s, c, '>', "354 Start mail input; end with <CRLF>.<CRLF>")
	if x.front {
		x.note(s, c, '*', "", "Proxy destination(s) obtained from OnProxyInboundMessage event")
	}
	c.open = false
}

// wholeMessage has a front end take a recipient and hand the message on to the back end, which will refuse it: in a
// transaction of its own, so that no other recipient is refused with it.
func (x *exchange) wholeMessage(s *session, c *receive, st *step) {
	if c.open && c.tos > 0 {
		x.tell(s, c, '<', "RSET")
		x.tell(s, c, '>', replyReset)
		c.open = false
	}
	if !c.open {
		x.mail(s, c, c.from)
	}
	x.taken(s, c, st)
	x.data(s, c)
}

// queued tells that a message was taken in.
func (x *exchange) queued(s *session, c *receive, st *step) {
	x.messages++
	b := append(x.row(s, c, '>'), `"250 2.6.0 <`...)
	b = strconv.AppendUint(b, x.rng.Uint64(), 36)
	b = append(strconv.AppendInt(append(b, '.'), s.at/1e9, 10), '@')
	b = append(append(b, domainOf(s.get(c.from), x.host)...), "> [InternalId="...)
	b = append(strconv.AppendUint(b, x.messages, 10), ", Hostname="...)
	b = append(append(b, x.host...), "] "...)
	b = append(strconv.AppendInt(b, int64(st.n), 10), " bytes in 0."...)
	b = append(strconv.AppendUint(b, 100+x.rng.Uint64N(900), 10), ", "...)
	b = append(strconv.AppendUint(b, 10+x.rng.Uint64N(200), 10), ',')
	b = append(strconv.AppendUint(b, 100+x.rng.Uint64N(900), 10), ` KB/sec Queued mail for delivery",`...)
	x.endCRLF(b)
}

func (x *exchange) quit(s *session, c *receive) {
	if !s.muted {
		x.tell(s, c, '<', "QUIT")
		x.tell(s, c, '>', "221 2.0.0 Service closing transmission channel")
	}
	x.disconnect(s, c, "Local")
}
