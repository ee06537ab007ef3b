package postfix

import (
	"bytes"
	"strings"
	"testing"

	"github.com/harvestwatch/harvestwatch"
)

const (
	rej  = "smtpd[7]: NOQUEUE: reject: RCPT from mail.sender.example[203.0.113.9]: "
	tail = "; from=<a@sender.example> to=<x@kontor.example> proto=ESMTP helo=<h.example>"
	told = " from=a@sender.example to=x@kontor.example helo=h.example"
)

// Each line alone, and the one event that it gives: "" for a line that is understood and says nothing, "?" for one that
// nobody understands.
var lineCases = []struct{ line, want string }{
	{"smtpd[7]: connect from unknown[203.0.113.9]", "connect 203.0.113.9"},
	{"smtpd[7]: connect from mail.sender.example[2001:db8::9]:4711", "connect 2001:db8::9"},
	{"smtpd[7]: connect from unknown[::ffff:203.0.113.9]", "connect 203.0.113.9"},
	{"smtpd[7]: connect from unknown[unknown]", "connect -"},
	{"smtpd[7]: connect from unknown[203.0.113.9", "?"},
	{"smtpd[7]: connect from unknown[203.0.113.09]", "?"},
	{"smtpd[7]: connect from un known[203.0.113.9]", "?"},
	{"smtpd[7]: connect from unknown[203.0.113.9] x", "?"},
	{"submission/smtpd[7]: connect from unknown[203.0.113.9]", "connect 203.0.113.9"},
	{"smtpd[7]: disconnect from unknown[203.0.113.9]", "disconnect 203.0.113.9"},
	{"smtpd[7]: disconnect from unknown[203.0.113.9] ehlo=1 notes=bare_lf commands=1", "disconnect 203.0.113.9"},
	{"smtpd[7]: disconnect from unknown[203.0.113.9] ehlo=x", "?"},
	{"smtpd[7]: lost connection after AUTH from unknown[203.0.113.9]", "protocol_error 203.0.113.9"},
	{"smtpd[7]: NOQUEUE: lost connection after CONNECT from unknown[203.0.113.9]", "protocol_error 203.0.113.9"},
	{"smtpd[7]: 00ADB3C0899: timeout after RCPT from unknown[203.0.113.9]", "protocol_error 203.0.113.9"},
	{"smtpd[7]: lost connection after DATA (12 bytes) from unknown[203.0.113.9]", ""},
	{"smtpd[7]: NOQUEUE: timeout after BDAT (0 bytes) from unknown[203.0.113.9]", ""},
	{"smtpd[7]: timeout after END-OF-MESSAGE from unknown[203.0.113.9]", ""},
	{"smtpd[7]: too many errors after DATA from unknown[203.0.113.9]", "protocol_error 203.0.113.9"},
	{"smtpd[7]: improper command pipelining after EHLO from unknown[203.0.113.9]: MAIL FROM:<x[192.0.2.66]>", "protocol_error 203.0.113.9"},
	{"smtpd[7]: improper command pipelining after NOOP from unknown[203.0.113.9]", "protocol_error 203.0.113.9"},
	{"smtpd[7]: SSL_accept error from unknown[203.0.113.9]: lost connection", "protocol_error 203.0.113.9"},
	{"smtpd[7]: NOQUEUE: abort: TLS from unknown[203.0.113.9]: Client certificate not trusted", "rcpt_refused 203.0.113.9"},
	{"smtpd[7]: Anonymous TLS connection established from unknown[203.0.113.9]: TLSv1.3", ""},
	{"smtpd[7]: warning: non-SMTP command from unknown[203.0.113.9]: GET / HTTP/1.1", "protocol_error 203.0.113.9"},
	{"smtpd[7]: warning: unknown[203.0.113.9]: request longer than 2048: HELO [192.0.2.66]", "protocol_error 203.0.113.9"},
	{"smtpd[7]: warning: Illegal address syntax from unknown[203.0.113.9] in RCPT command: <[192.0.2.66]>", "protocol_error 203.0.113.9"},
	{"smtpd[7]: warning: Connection rate limit exceeded: 31 from unknown[203.0.113.9] for service smtp", "throttled 203.0.113.9"},
	{"smtpd[7]: warning: AUTH command rate limit exceeded: 31 from unknown[203.0.113.9] for service [::]:25", "throttled 203.0.113.9"},
	{"smtpd[7]: warning: Refusing STARTTLS request from unknown[203.0.113.9] for service smtp", "throttled 203.0.113.9"},
	{"smtpd[7]: warning: hostname x.example does not resolve to address 203.0.113.9", ""},
	{"smtpd[7]: warning: 203.0.113.9: hostname x.example verification failed: Name or service not known", ""},
	{"smtpd[7]: warning: valid_hostname: invalid character 91(decimal): unknown[192.0.2.66]", ""},
	{"smtpd[7]: warning: SASL authentication failure: Password verification failed", ""},
	{"smtpd[7]: warning: a wholly new complaint from unknown[203.0.113.9]", "?"},
	{"smtpd[7]: fatal: no SASL authentication mechanisms", ""},
	{"smtpd[7]: nobody ever saw this", "?"},

	{"smtpd[7]: warning: unknown[203.0.113.9]: SASL LOGIN authentication failed: UGFzc3dvcmQ6", "auth_fail 203.0.113.9"},
	{"smtpd[7]: warning: unknown[203.0.113.9]: SASL Plain authentication failed:", "auth_fail 203.0.113.9"},
	{"smtpd[7]: warning: unknown[203.0.113.9]:55729: SASL LOGIN authentication failed: (reason unavailable), sasl_username=a b, sasl_username=c",
		"auth_fail 203.0.113.9 user=a b, sasl_username=c"},
	{"smtpd[7]: warning: unknown[203.0.113.9]: SASL LOGIN authentication failed: x, sasl_username=(unavailable)", "auth_fail 203.0.113.9"},
	{"smtpd[7]: warning: unknown[203.0.113.9]: SASL [192.0.2.66]: authentication failed: x", "auth_fail 203.0.113.9"},
	{"smtpd[7]: warning: unknown[203.0.113.9]: SASL LOGIN authentication failed: Connection lost to authentication server", "server_error 203.0.113.9"},
	{"smtpd[7]: warning: unknown[203.0.113.9]: SASL LOGIN authentication failed: Temporary authentication failure", "server_error 203.0.113.9"},
	{"smtpd[7]: warning: unknown[203.0.113.9]: SASL FOO authentication failed: Invalid authentication mechanism: 'FOO'", "protocol_error 203.0.113.9"},
	{"smtpd[7]: warning: unknown[203.0.113.9]: SASL LOGIN authentication aborted", "protocol_error 203.0.113.9"},

	{rej + "550 5.1.1 <x@kontor.example>: Recipient address rejected: User unknown in local recipient table" + tail, "rcpt_unknown 203.0.113.9 550 5.1.1" + told},
	{rej + "450 4.1.1 <x@kontor.example>: Recipient address rejected: User unknown in relay recipient table" + tail, "rcpt_unknown 203.0.113.9 450 4.1.1" + told},
	{rej + "550 <x@kontor.example>: User unknown in virtual mailbox table" + tail, "rcpt_unknown 203.0.113.9 550" + told},
	{rej + "550 5.1.1 <x@kontor.example>: Recipient address rejected: User unknown in virtual alias table" + tail, "rcpt_unknown 203.0.113.9 550 5.1.1" + told},
	{rej + "550 5.1.1 <x@kontor.example>: Recipient address rejected: undeliverable address: host mx[192.0.2.66] said: 550 <x>: Relay access denied" + tail,
		"rcpt_unknown 203.0.113.9 550 5.1.1" + told},
	{rej + "450 4.1.1 <x@kontor.example>: Recipient address rejected: unverified address: Address verification in progress" + tail, "rcpt_refused 203.0.113.9 450 4.1.1" + told},
	{rej + "450 4.2.0 <x@kontor.example>: Recipient address rejected: Greylisted" + tail, "rcpt_refused 203.0.113.9 450 4.2.0" + told},
	{rej + "550 5.1.0 <a@sender.example>: Sender address rejected: User unknown in local recipient table" + tail, "rcpt_refused 203.0.113.9 550 5.1.0" + told},
	{rej + "454 4.7.1 <x@kontor.example>: Relay access denied" + tail, "rcpt_relay_denied 203.0.113.9 454 4.7.1" + told},
	{rej + "554 5.7.1 Service unavailable; Client host [192.0.2.66] blocked using bl.example; see http://bl.example/?192.0.2.66" + tail, "rcpt_refused 203.0.113.9 554 5.7.1" + told},
	{rej + "450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.66]" + tail, "rcpt_refused 203.0.113.9 450 4.7.25" + told},
	{rej + "553 5.7.1 <a@sender.example>: Sender address rejected: not owned by user b" + tail, "rcpt_refused 203.0.113.9 553 5.7.1" + told},
	{rej + "550 5.5.3 <DATA>: Data command rejected: Multi-recipient bounce; from=<> to=<x@kontor.example> proto=ESMTP helo=<h.example>",
		"protocol_error 203.0.113.9 550 5.5.3 null to=x@kontor.example helo=h.example"},
	{rej + "503 5.5.0 <DATA>: Data command rejected: Improper use of SMTP command pipelining" + tail, "protocol_error 203.0.113.9 503 5.5.0" + told},
	{rej + "521 5.5.2 mx1.example Error: bare <LF> received" + tail, "protocol_error 203.0.113.9 521 5.5.2" + told},
	{rej + "452 4.3.1 Insufficient system storage" + tail, "server_error 203.0.113.9 452 4.3.1" + told},
	{rej + "552 5.3.4 Message size exceeds fixed limit" + tail, "server_error 203.0.113.9 552 5.3.4" + told},
	{rej + "451 4.3.0 <x@kontor.example>: Temporary lookup failure" + tail, "server_error 203.0.113.9 451 4.3.0" + told},
	{rej + "451 <x@kontor.example>: Temporary lookup failure" + tail, "server_error 203.0.113.9 451" + told},
	{rej + "451 4.7.1 <x@kontor.example>: Recipient address rejected: Greylisting in action" + tail, "rcpt_refused 203.0.113.9 451 4.7.1" + told},
	{rej + "550 5.1.1 <x@kontor.example>: Recipient address rejected: User unknown; from=<> to=<x@kontor.example> proto=ESMTP helo=<h.example>",
		"rcpt_unknown 203.0.113.9 550 5.1.1 null to=x@kontor.example helo=h.example"},
	{strings.Replace(rej, "RCPT", "VRFY", 1) + "550 5.1.1 <x@kontor.example>: Recipient address rejected: User unknown; to=<x@kontor.example> proto=ESMTP helo=<h.example>",
		"rcpt_unknown 203.0.113.9 550 5.1.1 to=x@kontor.example helo=h.example"},
	{strings.Replace(rej, "RCPT", "CONNECT", 1) + "554 5.7.1 <unknown[192.0.2.66]>: Client host rejected: Access denied; proto=SMTP", "rcpt_refused 203.0.113.9 554 5.7.1"},
	{strings.Replace(rej, "reject:", "milter-reject:", 1) + "550 5.7.1 Command rejected" + tail, "rcpt_refused 203.0.113.9 550 5.7.1" + told},
	{"smtpd[7]: 00ADB3C0899: milter-reject: END-OF-MESSAGE from unknown[203.0.113.9]: 5.7.1 Spam" + tail, "spam_refused 203.0.113.9 5.7.1" + told},
	{"cleanup[8]: 00ADB3C0899: milter-reject: END-OF-MESSAGE from unknown[203.0.113.9]: 4.7.1 Service unavailable - try again later" + tail, "server_error 203.0.113.9 4.7.1" + told},
	{"cleanup[8]: 00ADB3C0899: milter-reject: END-OF-MESSAGE from unknown[203.0.113.9]: 5.7.1 Spam" + tail, "spam_refused 203.0.113.9 5.7.1" + told},
	{"smtpd[7]: proxy-reject: END-OF-MESSAGE: 554 5.7.1 no" + tail, "spam_refused - 554 5.7.1" + told},
	{strings.Replace(rej, "reject:", "reject_warning:", 1) + "550 5.1.1 <x@kontor.example>: Recipient address rejected: User unknown" + tail, ""},
	{strings.Replace(rej, "reject:", "warn:", 1) + "custom" + tail, ""},
	{strings.Replace(rej, "reject:", "hold:", 1) + "custom" + tail, ""},
	{strings.Replace(rej, "reject:", "frobnicate:", 1) + "custom" + tail, "?"},
	{"smtpd[7]: NOQUEUE: reject: RCPT from unknown[203.0.113.9 x[192.0.2.66]: 550 5.1.1 <x>: Recipient address rejected: User unknown" + tail, "?"},

	{"postscreen[9]: CONNECT from [203.0.113.9]:4711 to [192.0.2.1]:25", "connect 203.0.113.9"},
	{"postscreen[9]: DISCONNECT [2001:db8::9]:4711", "disconnect 2001:db8::9"},
	{"postscreen[9]: DISCONNECT [203.0.113.9]:4711 x", "?"},
	{"postscreen[9]: HANGUP after 0.4 from [203.0.113.9]:4711 in tests after SMTP handshake", "protocol_error 203.0.113.9"},
	{"postscreen[9]: PREGREET 81 after 0 from [203.0.113.9]:4711: EHLO x from [192.0.2.66]:25: y", "protocol_error 203.0.113.9"},
	{"postscreen[9]: DNSBL rank 3 for [203.0.113.9]:4711", "rcpt_refused 203.0.113.9"},
	{"postscreen[9]: DENYLISTED [203.0.113.9]:4711", "rcpt_refused 203.0.113.9"},
	{"postscreen[9]: ALLOWLIST VETO [203.0.113.9]:4711", ""},
	{"postscreen[9]: NOQUEUE: reject: RCPT from [203.0.113.9]:4711: 550 5.5.1 Protocol error; from=<a@b.example>, to=<c@d.example>, proto=ESMTP, helo=<e>",
		"protocol_error 203.0.113.9 550 5.5.1 from=a@b.example to=c@d.example helo=e"},
	{"postscreen[9]: NOQUEUE: reject: RCPT from [203.0.113.9]:4711: 450 4.3.2 Service currently unavailable; from=<>, to=<c@d.example>, proto=ESMTP, helo=<e>",
		"rcpt_refused 203.0.113.9 450 4.3.2 null to=c@d.example helo=e"},
	{"postscreen[9]: NOQUEUE: reject: CONNECT from [203.0.113.9]:4711: too many connections", "throttled 203.0.113.9"},
	{"postscreen[9]: reject: connect from [203.0.113.9]:4711: all screening ports busy", "throttled 203.0.113.9"},
	{"postscreen[9]: NON-SMTP COMMAND from [203.0.113.9]:4711 after CONNECT: GET / [192.0.2.66]:25", "protocol_error 203.0.113.9"},
	{"postscreen[9]: BDAT without valid RCPT from [203.0.113.9]:4711", "protocol_error 203.0.113.9"},
	{"postscreen[9]: entering STRESS mode with 90 connections", ""},

	{"cleanup[8]: 00ADB3C0899: message-id=<x from unknown[192.0.2.66]: SASL LOGIN authentication failed: y>", ""},
	{"cleanup[8]: 00ADB3C0899: warning: header Subject: x from unknown[192.0.2.66]; from=<a> to=<b>", ""},
	{"cleanup[8]: 00ADB3C0899: reject: header Subject: buy from unknown[203.0.113.9]; from=<a@b.example> to=<c@d.example> proto=ESMTP helo=<e>: 5.7.1 no",
		"spam_refused 203.0.113.9 from=a@b.example to=c@d.example"},
	{"cleanup[8]: 00ADB3C0899: reject: header Subject: buy from unknown[192.0.2.66]; from=<a> to=<b> from unknown[203.0.113.9]; from=<a@b.example> to=<c@d.example>", "spam_refused -"},
	{"cleanup[8]: 00ADB3C0899: reject: header Subject: buy from unknown[192.0.2.66]; from=<a> to=<b> from local; from=<a@b.example> to=<c@d.example>", "spam_refused -"},
	{"cleanup[8]: 00ADB3C0899: reject: body x from local; from=<\"z from unknown[192.0.2.66]; from=<\"@b.example> to=<c@d.example>", "spam_refused -"},
	{"qmgr[6]: 00ADB3C0899: from=<a@b.example>, size=1, nrcpt=1 (queue active)", ""},
	{"qmgr[6]: 00ADB3C0899: removed", ""},
	{"anvil[5]: statistics: max connection rate 2/60s for (smtp:203.0.113.9) at Nov 22 10:00:00", ""},
	{"smtp[5]: connect to mx.example[192.0.2.66]:25: Connection refused", ""},
	{"smtp[5]: 00ADB3C0899: host mx.example[192.0.2.66] said: 450 4.7.1 connect from unknown[192.0.2.67] (in reply to RCPT TO command)", ""},
	{"dovecot[5]: x", ""},
}

func TestLines(t *testing.T) {
	for _, c := range lineCases {
		got, counts := run(t, log(c.line), show)
		switch {
		case c.want == "?":
			if counts.Unparsed != 1 || len(got) != 0 {
				t.Errorf("%s\n  got %q %+v, want it not to be understood", c.line, got, counts)
			}
		case c.want == "":
			if counts.Ignored != 1 || len(got) != 0 {
				t.Errorf("%s\n  got %q %+v, want it ignored", c.line, got, counts)
			}
		case len(got) != 1 || got[0] != "1 "+c.want:
			t.Errorf("%s\n  got %q\n  want %q", c.line, got, c.want)
		}
	}
}

func TestForeignAndBroken(t *testing.T) {
	data := strings.Join([]string{
		"Nov 22 10:00:00 mx1 sshd[1]: Failed password from 192.0.2.66",
		"Nov 22 10:00:00 mx1 dovecot: auth: x (192.0.2.66)",
		"Nov 22 10:00:00 mx1 smtpd[1]: connect from unknown[192.0.2.66]", // another mail server
		"Nov 22 10:00:00 mx1 logger: postfix/smtpd[1]: connect from unknown[192.0.2.66]",
		"Nov 22 10:00:00 mx1 last message repeated 2 times",
		"", "\r",
		"no envelope at all", "Nov 22 10:00:00 mx1 no tag",
		"Nov 22 10:00:00 mx1 postfix/smtpd[1]: connect from unknown[203.0.113.9] " + strings.Repeat("x", MaxLine),
		"Nov 22 10:00:00 mx1 postfix/smtpd[1]: connect from unknown[203.0.113.9]\r",
		"Nov 22 10:00:00 mx1 postfix/smtpd[1]: connect from \x00unknown[203.0.113.9]",
	}, "\n")
	got, counts := run(t, []byte(data), show)
	if len(got) != 1 || got[0] != "11 connect 203.0.113.9" {
		t.Errorf("got %q", got)
	}
	if want := (harvestwatch.Counts{Lines: 12, Events: 1, Ignored: 7, Unparsed: 4}); counts != want {
		t.Errorf("got %+v, want %+v", counts, want)
	}
}

func TestUnparsedTellsTheLine(t *testing.T) {
	data := []byte("Nov 22 10:00:00 mx1 postfix/smtpd[1]: connect from unknown[203.0.113.9]\nwhat\r\n")
	p := New(reference, 0, nil)
	l := &harvestwatch.Lines{Data: data, Pos: harvestwatch.Pos{Input: 3, Line: 10, Offset: 1000}}
	p.Lex(l)
	var at harvestwatch.Pos
	var text string
	p.Fold(l, func(*harvestwatch.Event) {}, func(pos harvestwatch.Pos, line []byte) { at, text = pos, string(line) })
	want := harvestwatch.Pos{Input: 3, Line: 11, Offset: 1000 + int64(bytes.IndexByte(data, '\n')) + 1}
	if at != want || text != "what" {
		t.Errorf("got %v %q, want %v", at, text, want)
	}
}

func TestFieldsAreBounded(t *testing.T) {
	long := strings.Repeat("a", 3*harvestwatch.MaxField)
	_, _ = run(t, log(rej+"550 5.1.1 <"+long+">: Recipient address rejected: User unknown; from=<"+long+"> to=<"+long+"> proto=ESMTP helo=<"+long+">",
		"smtpd[7]: warning: unknown[203.0.113.9]: SASL LOGIN authentication failed: x, sasl_username="+long), func(ev *harvestwatch.Event) string {
		for _, f := range [][]byte{ev.Helo, ev.Sender, ev.Recipient, ev.User} {
			if len(f) != harvestwatch.MaxField && len(f) != 0 || cap(f) != len(f) {
				t.Errorf("a text of %d bytes, capacity %d", len(f), cap(f))
			}
		}
		return ""
	})
}

// The recipient must be told apart from what the client wrote into it, or he could make many look like one.
func TestHostileRecipients(t *testing.T) {
	for _, c := range []struct{ internal, external string }{
		{`a1> to=<x@kontor.example`, `"a1> to=<x"@kontor.example`},
		{`b>: Temporary lookup failure; from=<q> to=<z@kontor.example`, `"b>: Temporary lookup failure; from=<q> to=<z"@kontor.example`},
		{`c"d\e>@kontor.example`, `"c\"d\\e>"@kontor.example`},
		{`old> to=<x@kontor.example`, `old> to=<x@kontor.example`}, // as Postfix wrote it until 3.4
		{"tab here@kontor.example<", `"tab?here"@kontor.example<`},
	} {
		for _, sender := range []string{"a@b.example", "> to=<q", `"x> to=<y"@b.example`, "<>; from=<e> to=<f> proto=ESMTP helo=<g>"} {
			line := rej + "550 5.1.1 <" + c.internal + ">: Recipient address rejected: User unknown in local recipient table; from=<" + sender +
				"> to=<" + c.external + "> proto=ESMTP helo=<h.example>"
			got, _ := run(t, log(line), func(ev *harvestwatch.Event) string { return ev.Kind.String() + " " + string(ev.Recipient) })
			if len(got) != 1 || got[0] != "rcpt_unknown "+c.external {
				t.Errorf("%s\n  got %q", line, got)
			}
		}
	}
}
